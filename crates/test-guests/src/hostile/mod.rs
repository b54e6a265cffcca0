// SPDX-License-Identifier: Apache-2.0
//! Guests that attack their machine, each in one way. What they do follows from a seed, so that a failure comes again.
//!
//! They keep away only from what ends them by right: reset, power-off, the panic device and the local APIC, with which
//! a processor can reset itself.

mod devices;
pub(crate) mod driver;
mod map;
mod pages;
mod ports;
mod random;

use crate::script::Script;
use random::Random;

/// A way to attack.
pub struct Attack {
    /// What is attacked.
    pub name: &'static str,
    build: fn(&mut Random, u8, u32) -> Script,
}

impl Attack {
    /// The attack on a machine with that many virtio functions; `rounds` says how long.
    pub fn script(&self, seed: u64, functions: u8, rounds: u32) -> Script {
        (self.build)(&mut Random(seed | 1), functions, rounds)
    }
}

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    Attack { name: "ports", build: ports::ports },
    Attack { name: "legacy", build: ports::legacy },
    Attack { name: "config-space", build: map::config_space },
    Attack { name: "ecam", build: map::ecam },
    Attack { name: "holes", build: map::holes },
    Attack { name: "bars", build: map::bars },
    Attack { name: "registers", build: devices::registers },
    Attack { name: "msix", build: devices::msix },
    Attack { name: "rings", build: devices::rings },
    Attack { name: "resets", build: devices::resets },
    Attack { name: "pages", build: pages::pages },
    Attack { name: "two-cpus", build: devices::two_cpus },
    Attack { name: "flood", build: ports::flood },
];

#[cfg(test)]
mod tests {
    use super::driver::RINGS;
    use super::*;

    #[test]
    fn an_attack_is_the_same_each_time_and_fits_below_the_rings() {
        for attack in ATTACKS {
            let image = attack.script(7, 2, 20).image();
            assert_eq!(image, attack.script(7, 2, 20).image(), "{}", attack.name);
            assert!(image.len() < usize::try_from(RINGS - elf_start()).unwrap(), "{}", attack.name);
        }
    }

    fn elf_start() -> u32 {
        crate::elf::LOAD_ADDRESS
    }
}
