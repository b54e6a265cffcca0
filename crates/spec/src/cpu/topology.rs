// SPDX-License-Identifier: Apache-2.0
//! How the CPUs of a machine are numbered.

use crate::{MachineSpec, TopologySpec};

/// Sockets of cores of threads. A CPU's APIC id is made of the three numbers, each in a field of whole bits, so that ids are not
/// consecutive where a number is no power of two (Intel SDM volume 3A, "Identifying Logical Processors").
///
/// ```
/// use flotilla_spec::cpu::Topology;
/// let topology = Topology { sockets: 2, cores: 3, threads: 2 };
/// assert_eq!(topology.apic_id(6), 0b1_00_0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Sockets of the machine.
    pub sockets: u32,
    /// Cores of a socket.
    pub cores: u32,
    /// Threads of a core.
    pub threads: u32,
}

impl Topology {
    /// One socket of cores without siblings.
    pub const fn flat(cpus: u32) -> Self {
        Self { sockets: 1, cores: cpus, threads: 1 }
    }

    /// The APIC id of the CPU at position `index`.
    pub const fn apic_id(&self, index: u32) -> u32 {
        let (threads, cores) = (at_least_one(self.threads), at_least_one(self.cores));
        let (thread, core) = (index % threads, index / threads % cores);
        let socket = index / threads / cores;
        let (thread_bits, core_bits) = (width(threads), width(cores));
        socket << (thread_bits + core_bits) | core << thread_bits | thread
    }
}

const fn at_least_one(number: u32) -> u32 {
    if number == 0 { 1 } else { number }
}

/// Bits that hold the numbers below `count`.
const fn width(count: u32) -> u32 {
    u32::BITS - (count - 1).leading_zeros()
}

impl MachineSpec {
    /// The topology as it is after defaults.
    pub fn topology(&self) -> Topology {
        match self.cpu.topology {
            Some(TopologySpec { sockets, cores, threads }) => Topology { sockets, cores, threads },
            None => Topology::flat(self.cpus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_CPUS;

    #[test]
    fn ids_are_consecutive_where_all_numbers_are_powers_of_two() {
        let topology = Topology { sockets: 2, cores: 4, threads: 2 };
        assert!((0..16).all(|index| topology.apic_id(index) == index));
        assert!((0..64).all(|index| Topology::flat(64).apic_id(index) == index));
    }

    #[test]
    fn a_field_of_its_own_holds_each_number() {
        let topology = Topology { sockets: 2, cores: 3, threads: 2 };
        let ids: Vec<u32> = (0..12).map(|index| topology.apic_id(index)).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]);
    }

    /// Ids from 255 on would need interrupts of another form (x2APIC with extended destination ids).
    #[test]
    fn no_topology_of_any_machine_needs_more_than_eight_bits() {
        for cores in 1..=MAX_CPUS {
            for threads in 1..=MAX_CPUS / cores {
                for sockets in 1..=MAX_CPUS / cores / threads {
                    let topology = Topology { sockets, cores, threads };
                    let ids: std::collections::BTreeSet<u32> =
                        (0..sockets * cores * threads).map(|index| topology.apic_id(index)).collect();
                    assert_eq!(ids.len(), (sockets * cores * threads) as usize, "{topology:?}");
                    assert!(ids.last().unwrap() < &255, "{topology:?}");
                }
            }
        }
    }
}
