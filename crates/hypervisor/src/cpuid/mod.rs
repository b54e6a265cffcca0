// SPDX-License-Identifier: Apache-2.0
//! CPUID: what the guest learns about its processor.
//!
//! ```text
//!   what KVM supports ──complete──▶ what any guest has ──(a model)──▶ of this machine ──fit──▶ of one vCPU
//! ```
//!
//! KVM reports what it can virtualize on the host processor it happens to run on. That table is wrong for a guest in
//! all that concerns the place of a vCPU in its machine (ids, sharing, counts: [`topology`]) and in a few features that a
//! guest must or must not have; these are mended here. Leaf numbers: Intel SDM volume 2 "CPUID", AMD APM volume 3
//! appendix E.

mod features;
#[cfg(test)]
mod tests;
mod topology;

use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use serde::{Deserialize, Serialize};

use crate::HypervisorError;

pub use features::CpuidRegister;
pub use topology::CpuTopology;

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
/// What KVM offers to guests that know it.
const KVM_FEATURES: u32 = 0x4000_0001;
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

    /// Whether the processor alone gives a guest the time and its ticks: KVM's clock with the TSC's frequency, and a local APIC whose timer
    /// goes by the TSC. Without all of these Linux needs an interval timer (`apic_needs_pit` in arch/x86/kernel/apic/apic.c).
    pub fn has_timers_of_its_own(&self) -> bool {
        let clock = [0, 3].iter().any(|&bit| self.has(KVM_FEATURES, 0, CpuidRegister::Eax, bit));
        let deadline = self.has(0x1, 0, CpuidRegister::Ecx, 24);
        let always = self.has(0x6, 0, CpuidRegister::Eax, 2);
        clock && deadline && always
    }

    /// Makes of what KVM supports what any guest has. `deadline` tells whether KVM has the TSC deadline timer.
    pub(crate) fn complete(&mut self, deadline: bool) {
        let amd = self.is_amd();
        for entry in &mut self.entries {
            match entry.function {
                0x1 => basic_features(entry, deadline),
                // Turbo and energy bias belong to the host.
                0x6 => (entry.eax, entry.ecx) = (entry.eax & !(1 << 1), entry.ecx & !(1 << 3)),
                0x7 if entry.index == 0 => extended_features(entry, amd),
                // No performance monitoring unit.
                0xa => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
                // TOPOEXT: leaves 0x8000001d and 0x8000001e count.
                0x8000_0001 if amd => set(&mut entry.ecx, 22, true),
                0x8000_0008 => {
                    entry.eax = entry.eax & !0xff_00ff | u32::from(guest_physical_bits(entry.eax));
                }
                _ => {}
            }
        }
    }

    fn is_amd(&self) -> bool {
        self.leaf(0, 0).is_some_and(|leaf| [VENDOR_AMD, VENDOR_HYGON].contains(&leaf.ecx))
    }

    /// Tells the guest the TSC's frequency, so that it need not measure it.
    pub(crate) fn set_timing(&mut self, tsc_khz: Option<u32>) {
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

fn basic_features(entry: &mut CpuidEntry, deadline: bool) {
    set(&mut entry.ecx, 31, true); // a hypervisor is present
    set(&mut entry.ecx, 24, deadline);
    set(&mut entry.ecx, 21, true); // x2APIC, which KVM emulates on any host
    set(&mut entry.ecx, 15, false); // PDCM: there is no performance monitoring unit
    set(&mut entry.edx, 12, true); // MTRR
}

fn extended_features(entry: &mut CpuidEntry, amd: bool) {
    set(&mut entry.ecx, 5, false); // WAITPKG: a guest could idle a host core without an exit
    if amd {
        set(&mut entry.edx, 29, false); // ARCH_CAPABILITIES is Intel's; KVM makes it up on AMD
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
