// SPDX-License-Identifier: Apache-2.0
//! Model-specific registers.

use kvm_bindings::{KVM_MAX_MSR_ENTRIES, Msrs, kvm_msr_entry};
use serde::{Deserialize, Serialize};

use crate::error::{HypervisorError, refused};
use crate::{Kvm, Vcpu};

/// Time stamp counter.
pub(crate) const TSC: u32 = 0x10;
/// When the local APIC's timer fires, as a TSC value.
pub(crate) const TSC_DEADLINE: u32 = 0x6e0;
const SYSENTER_CS: u32 = 0x174;
const SYSENTER_ESP: u32 = 0x175;
const SYSENTER_EIP: u32 = 0x176;
const MISC_ENABLE: u32 = 0x1a0;
const MISC_ENABLE_FAST_STRINGS: u64 = 1;
const MTRR_DEF_TYPE: u32 = 0x2ff;
/// MTRRs on, memory without one is write-back: the guest would else have uncached memory.
const MTRR_ENABLE_WRITE_BACK: u64 = 0x806;
const XSS: u32 = 0xda0;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const CSTAR: u32 = 0xc000_0083;
const SYSCALL_MASK: u32 = 0xc000_0084;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// KVM's own registers, with room for some more. Variants of KVM have others above that are none of a guest's state
/// and cannot be written.
const KVM_CUSTOM: std::ops::RangeInclusive<u32> = 0x4b56_4d00..=0x4b56_4d0f;

/// Registers in one call: KVM refuses as many as its own limit.
const CHUNK: usize = KVM_MAX_MSR_ENTRIES - 1;

/// The value of one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Msr {
    /// Number of the register.
    pub index: u32,
    /// Its value.
    pub value: u64,
}

/// What the registers hold when a guest starts.
pub(crate) fn boot() -> Vec<Msr> {
    let zero = [
        SYSENTER_CS,
        SYSENTER_ESP,
        SYSENTER_EIP,
        STAR,
        CSTAR,
        KERNEL_GS_BASE,
        SYSCALL_MASK,
        LSTAR,
        // A zero from the host makes KVM synchronize the counters of all vCPUs.
        TSC,
    ];
    let zero = zero.into_iter().map(|index| Msr { index, value: 0 });
    zero.chain([
        Msr { index: MISC_ENABLE, value: MISC_ENABLE_FAST_STRINGS },
        Msr { index: MTRR_DEF_TYPE, value: MTRR_ENABLE_WRITE_BACK },
    ])
    .collect()
}

/// Writes registers in chunks. KVM stops at the first one it refuses, which is an error unless it is to be zero.
pub(crate) fn write(vcpu: &Vcpu, msrs: &[Msr]) -> Result<(), HypervisorError> {
    let mut rest = msrs;
    while !rest.is_empty() {
        let (chunk, _) = rest.split_at(rest.len().min(CHUNK));
        let written = vcpu.fd.set_msrs(&to_kvm(chunk)?).map_err(refused("write the MSRs of a vCPU"))?;
        let done = match chunk.get(written) {
            None => written,
            // Some KVMs read a register that the vCPU does not have as zero and refuse to write it.
            Some(refused) if refused.value == 0 => written + 1,
            Some(refused) => return Err(HypervisorError::Msr { index: refused.index }),
        };
        rest = rest.get(done..).unwrap_or_default();
    }
    Ok(())
}

/// Reads those of the registers that the vCPU has.
pub(crate) fn read(vcpu: &Vcpu, indices: &[u32]) -> Result<Vec<Msr>, HypervisorError> {
    let mut found = Vec::with_capacity(indices.len());
    let mut rest = indices;
    while !rest.is_empty() {
        let (chunk, _) = rest.split_at(rest.len().min(CHUNK));
        let wanted: Vec<_> = chunk.iter().map(|&index| Msr { index, value: 0 }).collect();
        let mut msrs = to_kvm(&wanted)?;
        let count = vcpu.fd.get_msrs(&mut msrs).map_err(refused("read the MSRs of a vCPU"))?;
        let entries = msrs.as_slice().iter().take(count);
        found.extend(entries.map(|entry| Msr { index: entry.index, value: entry.data }));
        // KVM stopped at one the vCPU does not have: go on after it.
        let done = if count < chunk.len() { count + 1 } else { count };
        rest = rest.get(done..).unwrap_or_default();
    }
    Ok(found)
}

/// The registers that make up a vCPU's state: those KVM lists, all of KVM's own, and the extended supervisor state
/// mask, without which guests with control-flow enforcement fault.
pub(crate) fn stateful(kvm: &Kvm) -> Result<Vec<u32>, HypervisorError> {
    let list = kvm.fd.get_msr_index_list().map_err(refused("list the MSRs to save"))?;
    let mut indices: Vec<u32> = list.as_slice().iter().copied().chain(KVM_CUSTOM).chain([XSS]).collect();
    indices.sort_unstable();
    indices.dedup();
    Ok(indices)
}

fn to_kvm(msrs: &[Msr]) -> Result<Msrs, HypervisorError> {
    let entries = msrs.iter().map(|msr| kvm_msr_entry { index: msr.index, data: msr.value, reserved: 0 });
    Msrs::from_entries(&entries.collect::<Vec<_>>())
        .map_err(|_| HypervisorError::State { reason: "it has more MSRs than KVM takes" })
}
