// SPDX-License-Identifier: Apache-2.0
//! CPUID: what the guest learns about its processor.
//!
//! KVM reports what it can virtualize on the host processor it happens to run on. That table is wrong for a guest in
//! all that concerns the place of a vCPU in its machine (ids, sharing, counts) and in a few features that a guest
//! must or must not have; [`Cpuid::fit`] mends these. Leaf numbers: Intel SDM volume 2 "CPUID", AMD APM volume 3
//! appendix E.

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};
use serde::{Deserialize, Serialize};

use crate::HypervisorError;

/// How many processors a machine shows its guest: one socket of cores without hyper-threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTopology {
    /// Number of vCPUs, 1 to 254. Their APIC ids count from 0.
    pub cpus: u32,
}

impl CpuTopology {
    /// Width in bits of the core number in an APIC id.
    fn core_bits(self) -> u32 {
        self.cpus.max(1).next_power_of_two().trailing_zeros()
    }
}

/// One CPUID leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuidEntry {
    /// EAX on input.
    pub function: u32,
    /// ECX on input, if the leaf has subleaves.
    pub index: u32,
    /// KVM's flags; bit 0 says that the leaf has subleaves.
    pub flags: u32,
    /// EAX on output.
    pub eax: u32,
    /// EBX on output.
    pub ebx: u32,
    /// ECX on output.
    pub ecx: u32,
    /// EDX on output.
    pub edx: u32,
}

/// A table of CPUID leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpuid {
    /// The leaves.
    pub entries: Vec<CpuidEntry>,
}

/// "cAMD", the last four letters of AMD's vendor name (leaf 0, ECX).
const VENDOR_AMD: u32 = 0x444d_4163;
/// "uine", the same of the compatible Hygon processors.
const VENDOR_HYGON: u32 = 0x656e_6975;
/// First leaf of the hypervisor's own range: its name, and its highest leaf in EAX.
const HYPERVISOR_BASE: u32 = 0x4000_0000;
/// Frequencies of TSC and local APIC bus in kHz, a convention that another vendor began.
const HYPERVISOR_TIMING: u32 = 0x4000_0010;
/// The frequency of KVM's local APIC bus in kHz.
const APIC_BUS_KHZ: u32 = 1_000_000;

impl Cpuid {
    /// The leaf, if the table has it.
    pub fn leaf(&self, function: u32, index: u32) -> Option<&CpuidEntry> {
        self.entries.iter().find(|entry| entry.function == function && entry.index == index)
    }

    /// Width in bits of the physical addresses that a guest can use on this host.
    pub fn physical_address_bits(&self) -> u8 {
        let leaf = self.leaf(0x8000_0008, 0).map_or(36, |leaf| leaf.eax);
        guest_physical_bits(leaf)
    }

    /// Fits the table to the vCPU with this index. `tsc_khz` is the frequency of its TSC; `deadline` tells whether
    /// KVM has the TSC deadline timer.
    pub(crate) fn fit(&mut self, index: u32, topology: CpuTopology, tsc_khz: Option<u32>, deadline: bool) {
        let amd = self.leaf(0, 0).is_some_and(|leaf| [VENDOR_AMD, VENDOR_HYGON].contains(&leaf.ecx));
        for entry in &mut self.entries {
            match entry.function {
                0x1 => features(entry, index, topology, deadline),
                0x4 | 0x8000_001d => sharing(entry, topology),
                // Turbo and energy bias belong to the host.
                0x6 => (entry.eax, entry.ecx) = (entry.eax & !(1 << 1), entry.ecx & !(1 << 3)),
                0x7 if entry.index == 0 => extended_features(entry, amd),
                // No performance monitoring unit.
                0xa => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
                0x8000_0001 if amd => amd_features(entry, topology),
                0x8000_0008 => address_sizes(entry, topology, amd),
                0x8000_001e => (entry.eax, entry.ebx, entry.ecx) = (index, index & 0xff, 0),
                _ => {}
            }
        }
        self.set_extended_topology(index, topology, amd);
        self.set_timing(tsc_khz);
    }

    /// Leaf 0xB, which KVM leaves nearly empty, and its successor 0x1F.
    fn set_extended_topology(&mut self, index: u32, topology: CpuTopology, amd: bool) {
        self.entries.retain(|entry| entry.function != 0xb && entry.function != 0x1f);
        let highest = self.raise_highest(0, 0xb);
        let successor = (!amd && highest >= 0x1f).then_some(0x1f);
        for function in [Some(0xb), successor].into_iter().flatten() {
            let level = |subleaf, kind: u32, shift, count| CpuidEntry {
                function,
                index: subleaf,
                flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                eax: shift,
                ebx: count,
                ecx: kind << 8 | subleaf,
                edx: index,
            };
            let threads = level(0, 1, 0, 1);
            let cores = level(1, 2, topology.core_bits(), topology.cpus);
            self.entries.extend([threads, cores, level(2, 0, 0, 0)]);
        }
    }

    /// Tells the guest the TSC's frequency, so that it need not measure it.
    fn set_timing(&mut self, tsc_khz: Option<u32>) {
        let invariant = self.leaf(0x8000_0007, 0).is_some_and(|leaf| leaf.edx & 1 << 8 != 0);
        let ours = self.leaf(HYPERVISOR_BASE, 0).is_some();
        let Some(eax) = tsc_khz.filter(|_| invariant && ours) else { return };
        self.raise_highest(HYPERVISOR_BASE, HYPERVISOR_TIMING);
        self.entries.retain(|entry| entry.function != HYPERVISOR_TIMING);
        self.entries.push(CpuidEntry {
            function: HYPERVISOR_TIMING,
            eax,
            ebx: APIC_BUS_KHZ,
            ..Default::default()
        });
    }

    /// Makes a range's highest leaf at least `least`, and returns it.
    fn raise_highest(&mut self, base: u32, least: u32) -> u32 {
        let entry = self.entries.iter_mut().find(|entry| entry.function == base);
        entry.map_or(0, |entry| {
            entry.eax = entry.eax.max(least);
            entry.eax
        })
    }

    pub(crate) fn from_kvm(table: &CpuId) -> Self {
        let entries = table.as_slice().iter().map(|entry| CpuidEntry {
            function: entry.function,
            index: entry.index,
            flags: entry.flags,
            eax: entry.eax,
            ebx: entry.ebx,
            ecx: entry.ecx,
            edx: entry.edx,
        });
        Self { entries: entries.collect() }
    }

    pub(crate) fn to_kvm(&self) -> Result<CpuId, HypervisorError> {
        let entries = self.entries.iter().map(|entry| kvm_cpuid_entry2 {
            function: entry.function,
            index: entry.index,
            flags: entry.flags,
            eax: entry.eax,
            ebx: entry.ebx,
            ecx: entry.ecx,
            edx: entry.edx,
            ..Default::default()
        });
        CpuId::from_entries(&entries.collect::<Vec<_>>())
            .map_err(|_| HypervisorError::State { reason: "it has more CPUID leaves than KVM takes" })
    }
}

fn features(entry: &mut CpuidEntry, index: u32, topology: CpuTopology, deadline: bool) {
    let count = topology.cpus.next_power_of_two().min(255);
    let cache_line = 64 / 8;
    entry.ebx = (index & 0xff) << 24 | count << 16 | cache_line << 8 | entry.ebx & 0xff;
    set(&mut entry.ecx, 31, true); // a hypervisor is present
    set(&mut entry.ecx, 24, deadline);
    set(&mut entry.ecx, 21, true); // x2APIC, which KVM emulates on any host
    set(&mut entry.ecx, 15, false); // PDCM: there is no performance monitoring unit
    set(&mut entry.edx, 12, true); // MTRR
    set(&mut entry.edx, 28, topology.cpus > 1); // HTT: more than one id per package
}

/// Which caches are shared: the last level by all, the others by nobody.
fn sharing(entry: &mut CpuidEntry, topology: CpuTopology) {
    let kind = entry.eax & 0x1f;
    if kind == 0 {
        return;
    }
    let level = entry.eax >> 5 & 7;
    let sharers = if level >= 3 { topology.cpus.next_power_of_two() } else { 1 };
    entry.eax = entry.eax & 0x3fff | (sharers - 1).min(0xfff) << 14;
    if entry.function == 0x4 {
        entry.eax |= (topology.cpus.next_power_of_two() - 1).min(0x3f) << 26;
    }
}

fn extended_features(entry: &mut CpuidEntry, amd: bool) {
    set(&mut entry.ecx, 5, false); // WAITPKG: a guest could idle a host core without an exit
    if amd {
        set(&mut entry.edx, 29, false); // ARCH_CAPABILITIES is Intel's; KVM makes it up on AMD
    }
}

fn amd_features(entry: &mut CpuidEntry, topology: CpuTopology) {
    set(&mut entry.ecx, 22, true); // TOPOEXT: leaves 0x8000001d and 0x8000001e count
    set(&mut entry.ecx, 1, topology.cpus > 1); // CMP_LEGACY: the HTT count means cores
}

fn address_sizes(entry: &mut CpuidEntry, topology: CpuTopology, amd: bool) {
    entry.eax = entry.eax & !0xff_00ff | u32::from(guest_physical_bits(entry.eax));
    entry.ecx &= !0xf0ff;
    if amd {
        entry.ecx |= topology.core_bits() << 12 | topology.cpus.saturating_sub(1).min(0xff);
    }
}

/// Bits 16 to 23 say what nested paging can map, if that is less than the processor's width in bits 0 to 7.
fn guest_physical_bits(eax: u32) -> u8 {
    let [physical, _, guest, _] = eax.to_le_bytes();
    if guest == 0 { physical } else { physical.min(guest) }
}

fn set(register: &mut u32, bit: u32, on: bool) {
    *register = *register & !(1 << bit) | u32::from(on) << bit;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, index: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> CpuidEntry {
        CpuidEntry { function, index, flags: 0, eax, ebx, ecx, edx }
    }

    fn amd() -> Cpuid {
        Cpuid {
            entries: vec![
                entry(0, 0, [0x10, 0, VENDOR_AMD, 0]),
                entry(1, 0, [0xa2_0f12, 0x0708_0805, 1 << 15, 1 << 28]),
                entry(7, 0, [1, 0, 1 << 5 | 1, 1 << 29 | 1]),
                entry(0xb, 0, [0, 0, 0, 0]),
                entry(0x4000_0000, 0, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
                entry(0x8000_0001, 0, [0, 0, 0, 0]),
                entry(0x8000_0007, 0, [0, 0, 0, 1 << 8]),
                entry(0x8000_0008, 0, [0x30_3034, 0, 0x7007, 0]),
                entry(0x8000_001d, 3, [0x1c163, 0, 0, 0]),
                entry(0x8000_001d, 1, [0x4122, 0, 0, 0]),
                entry(0x8000_001e, 0, [9, 0x109, 0x103, 0]),
            ],
        }
    }

    fn fitted(index: u32, cpus: u32) -> Cpuid {
        let mut cpuid = amd();
        cpuid.fit(index, CpuTopology { cpus }, Some(2_600_000), true);
        cpuid
    }

    #[test]
    fn numbers_the_vcpu_in_every_leaf() {
        let cpuid = fitted(2, 3);
        assert_eq!(cpuid.leaf(1, 0).unwrap().ebx, 0x0204_0805);
        assert_eq!(cpuid.leaf(0xb, 0).unwrap().edx, 2);
        assert_eq!(cpuid.leaf(0x8000_001e, 0).unwrap(), &entry(0x8000_001e, 0, [2, 2, 0, 0]));
    }

    #[test]
    fn shows_one_thread_per_core_and_all_cores_in_one_socket() {
        let cpuid = fitted(0, 3);
        let threads = cpuid.leaf(0xb, 0).unwrap();
        assert_eq!((threads.eax, threads.ebx, threads.ecx), (0, 1, 0x100));
        let cores = cpuid.leaf(0xb, 1).unwrap();
        assert_eq!((cores.eax, cores.ebx, cores.ecx), (2, 3, 0x201));
        assert_eq!(cpuid.leaf(0x8000_0008, 0).unwrap().ecx, 0x2002);
    }

    #[test]
    fn shares_only_the_last_level_cache() {
        let cpuid = fitted(0, 4);
        assert_eq!(cpuid.leaf(0x8000_001d, 3).unwrap().eax, 3 << 14 | 0x163);
        assert_eq!(cpuid.leaf(0x8000_001d, 1).unwrap().eax, 0x122);
    }

    #[test]
    fn one_cpu_claims_no_siblings() {
        let cpuid = fitted(0, 1);
        assert_eq!(cpuid.leaf(1, 0).unwrap().edx >> 28 & 1, 0);
        assert_eq!(cpuid.leaf(0x8000_0001, 0).unwrap().ecx >> 1 & 1, 0);
        assert_eq!(cpuid.leaf(0xb, 1).unwrap().eax, 0);
    }

    #[test]
    fn sets_what_a_guest_must_have_and_clears_what_it_must_not() {
        let cpuid = fitted(0, 2);
        let leaf = cpuid.leaf(1, 0).unwrap();
        assert_eq!(leaf.ecx, 1 << 31 | 1 << 24 | 1 << 21);
        assert_eq!(leaf.edx, 1 << 28 | 1 << 12);
        let leaf = cpuid.leaf(7, 0).unwrap();
        assert_eq!((leaf.ecx, leaf.edx), (1, 1));
    }

    #[test]
    fn tells_the_frequency_of_an_invariant_tsc_only() {
        let cpuid = fitted(0, 1);
        assert_eq!(cpuid.leaf(0x4000_0000, 0).unwrap().eax, 0x4000_0010);
        let timing = cpuid.leaf(0x4000_0010, 0).unwrap();
        assert_eq!((timing.eax, timing.ebx), (2_600_000, 1_000_000));

        let mut cpuid = amd();
        cpuid.entries.retain(|entry| entry.function != 0x8000_0007);
        cpuid.fit(0, CpuTopology { cpus: 1 }, Some(2_600_000), true);
        assert_eq!(cpuid.leaf(0x4000_0010, 0), None);
    }

    #[test]
    fn promises_only_addresses_that_nested_paging_can_map() {
        assert_eq!(amd().physical_address_bits(), 48);
        assert_eq!(fitted(0, 1).leaf(0x8000_0008, 0).unwrap().eax, 0x3030);
    }

    #[test]
    fn the_largest_machine_fits_every_field() {
        let cpuid = fitted(253, 254);
        assert_eq!(cpuid.leaf(1, 0).unwrap().ebx >> 16, 0xfdff);
        assert_eq!(cpuid.leaf(0xb, 1).unwrap().eax, 8);
    }
}
