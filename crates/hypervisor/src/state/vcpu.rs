// SPDX-License-Identifier: Apache-2.0
//! The state of one vCPU. The order of the calls is part of the correctness: see each comment.

use kvm_bindings::{
    Xsave, kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs,
    kvm_xsave,
};
use kvm_ioctls::Cap;
use serde::{Deserialize, Serialize};

use super::Header;
use crate::error::{HypervisorError, refused};
use crate::msr::{self, Msr};
use crate::{Cpuid, Vcpu};

const KIND: &str = "kvm-vcpu";
const VERSION: u32 = 1;

/// Words in the part of the extended state that every KVM knows.
const XSAVE_WORDS: usize = size_of::<kvm_xsave>() / size_of::<u32>();
/// The largest extended state taken from a file, in words; today's processors need less than 16 KiB.
const XSAVE_MAX_WORDS: usize = 1 << 16;
/// More registers than any KVM has.
const MSR_MAX: usize = 4096;
/// A TSC frequency that differs less than this is used as it is (parts per million; the kernel's own tolerance).
const TSC_TOLERANCE_PPM: u64 = 250;

/// Saved state of a vCPU.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VcpuState {
    /// What this is.
    pub header: Header,
    tsc_khz: Option<u32>,
    cpuid: Cpuid,
    mp_state: kvm_mp_state,
    regs: kvm_regs,
    sregs: kvm_sregs,
    /// In 32-bit words: 1024 or what KVM says it needs.
    xsave: Vec<u32>,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    lapic: kvm_lapic_state,
    msrs: Vec<Msr>,
    events: kvm_vcpu_events,
}

pub(crate) fn save(vcpu: &Vcpu) -> Result<VcpuState, HypervisorError> {
    let fd = &vcpu.fd;
    // First: reading it makes KVM take in pending start-up interrupts, which changes the local APIC.
    let mp_state = fd.get_mp_state().map_err(refused("read the run state of a vCPU"))?;
    let cpuid = fd.get_cpuid2(kvm_bindings::KVM_MAX_CPUID_ENTRIES);
    Ok(VcpuState {
        header: Header::new(KIND, VERSION),
        mp_state,
        regs: fd.get_regs().map_err(refused("read the registers of a vCPU"))?,
        sregs: fd.get_sregs().map_err(refused("read the system registers of a vCPU"))?,
        xsave: get_xsave(vcpu)?,
        xcrs: fd.get_xcrs().map_err(refused("read the extended control registers of a vCPU"))?,
        debug: fd.get_debug_regs().map_err(refused("read the debug registers of a vCPU"))?,
        lapic: fd.get_lapic().map_err(refused("read the local APIC of a vCPU"))?,
        tsc_khz: fd.get_tsc_khz().ok(),
        cpuid: Cpuid::from_kvm(&cpuid.map_err(refused("read the CPUID leaves of a vCPU"))?),
        msrs: get_msrs(vcpu)?,
        // Last: the calls above may still deliver or clear an event.
        events: fd.get_vcpu_events().map_err(refused("read the pending events of a vCPU"))?,
    })
}

pub(crate) fn restore(vcpu: &Vcpu, state: &VcpuState) -> Result<(), HypervisorError> {
    state.header.check(KIND, VERSION)?;
    set_tsc_frequency(vcpu, state.tsc_khz)?;
    vcpu.set_cpuid(&state.cpuid)?;
    apply(vcpu, state, |_| true)?;
    vcpu.kvmclock_ctrl()
}

/// Puts a used vCPU back to `state`, which it had itself before: CPUID and clocks stay.
pub(crate) fn reset(vcpu: &Vcpu, state: &VcpuState) -> Result<(), HypervisorError> {
    apply(vcpu, state, |index| index != msr::TSC && index != msr::TSC_DEADLINE)
}

fn apply(vcpu: &Vcpu, state: &VcpuState, wanted: fn(u32) -> bool) -> Result<(), HypervisorError> {
    let fd = &vcpu.fd;
    fd.set_mp_state(state.mp_state).map_err(refused("set the run state of a vCPU"))?;
    fd.set_regs(&state.regs).map_err(refused("set the registers of a vCPU"))?;
    // Also sets the APIC base, hence before the local APIC.
    fd.set_sregs(&state.sregs).map_err(refused("set the system registers of a vCPU"))?;
    set_xsave(vcpu, &state.xsave)?;
    fd.set_xcrs(&state.xcrs).map_err(refused("set the extended control registers of a vCPU"))?;
    fd.set_debug_regs(&state.debug).map_err(refused("set the debug registers of a vCPU"))?;
    fd.set_lapic(&state.lapic).map_err(refused("set the local APIC of a vCPU"))?;
    if state.msrs.len() > MSR_MAX {
        return Err(HypervisorError::State { reason: "it has more MSRs than any KVM" });
    }
    let msrs = state.msrs.iter().copied().filter(|msr| wanted(msr.index));
    // The deadline needs the TSC and the local APIC in place, hence last.
    let (deadline, others): (Vec<_>, Vec<_>) = msrs.partition(|msr| msr.index == msr::TSC_DEADLINE);
    msr::write(vcpu, &others)?;
    msr::write(vcpu, &deadline)?;
    // After the registers, which clear pending exceptions.
    fd.set_vcpu_events(&state.events).map_err(refused("set the pending events of a vCPU"))
}

/// The registers to save. A deadline that has passed reads as zero although its interrupt may be still on the way;
/// a timer restored so would never fire again, so it is made to fire at once.
fn get_msrs(vcpu: &Vcpu) -> Result<Vec<Msr>, HypervisorError> {
    const LVT_TIMER: usize = 0x320;
    const TSC_DEADLINE_MODE: u8 = 2 << 1;
    let mut msrs = msr::read(vcpu, &msr::stateful(&vcpu.vm.inner.kvm)?)?;
    let lapic = vcpu.fd.get_lapic().map_err(refused("read the local APIC of a vCPU"))?;
    let mode = lapic.regs.get(LVT_TIMER + 2).map_or(0, |byte| byte.cast_unsigned());
    let tsc = msrs.iter().find(|msr| msr.index == msr::TSC).map_or(0, |msr| msr.value);
    let deadline = msrs.iter_mut().find(|msr| msr.index == msr::TSC_DEADLINE);
    if let Some(deadline) = deadline.filter(|msr| msr.value == 0 && mode & 6 == TSC_DEADLINE_MODE) {
        deadline.value = tsc;
    }
    Ok(msrs)
}

fn set_tsc_frequency(vcpu: &Vcpu, wanted: Option<u32>) -> Result<(), HypervisorError> {
    let (Some(wanted), Ok(present)) = (wanted, vcpu.fd.get_tsc_khz()) else { return Ok(()) };
    let tolerance = u64::from(present) * TSC_TOLERANCE_PPM / 1_000_000;
    if u64::from(wanted.abs_diff(present)) <= tolerance {
        return Ok(());
    }
    vcpu.fd
        .set_tsc_khz(wanted)
        .map_err(refused("set the TSC frequency of a vCPU: restore on a host that scales it"))
}

/// Words of the extended state that KVM reads and writes for this machine.
fn xsave_words(vcpu: &Vcpu) -> usize {
    let bytes = usize::try_from(vcpu.vm.inner.fd.check_extension_int(Cap::Xsave2)).unwrap_or(0);
    bytes.div_ceil(size_of::<u32>()).max(XSAVE_WORDS)
}

fn allocate_xsave(words: usize) -> Result<Xsave, HypervisorError> {
    Xsave::new(words - XSAVE_WORDS)
        .map_err(|_| HypervisorError::State { reason: "its extended processor state is too large" })
}

fn get_xsave(vcpu: &Vcpu) -> Result<Vec<u32>, HypervisorError> {
    let step = "read the extended processor state of a vCPU";
    if vcpu.vm.inner.fd.check_extension_int(Cap::Xsave2) <= 0 {
        let xsave = vcpu.fd.get_xsave().map_err(refused(step))?;
        return Ok(xsave.region.to_vec());
    }
    let mut xsave = allocate_xsave(xsave_words(vcpu))?;
    // SAFETY: the buffer has the size that KVM states for this machine, and no feature is enabled afterwards.
    unsafe { vcpu.fd.get_xsave2(&mut xsave) }.map_err(refused(step))?;
    let mut words = xsave.as_fam_struct_ref().xsave.region.to_vec();
    words.extend_from_slice(xsave.as_slice());
    Ok(words)
}

fn set_xsave(vcpu: &Vcpu, words: &[u32]) -> Result<(), HypervisorError> {
    let bad = |reason| Err(HypervisorError::State { reason });
    if words.len() < XSAVE_WORDS || words.len() > XSAVE_MAX_WORDS {
        return bad("its extended processor state has an impossible size");
    }
    let needed = xsave_words(vcpu);
    let (known, beyond) = words.split_at(words.len().min(needed));
    if beyond.iter().any(|&word| word != 0) {
        return bad(
            "it uses processor features that this host lacks: restore on a host like the one it is from",
        );
    }
    let mut xsave = allocate_xsave(needed)?;
    let (region, extra) = known.split_at(XSAVE_WORDS);
    // SAFETY: only the content is changed, not the length.
    let target = unsafe { xsave.as_mut_fam_struct() };
    target.xsave.region.copy_from_slice(region);
    for (word, value) in xsave.as_mut_slice().iter_mut().zip(extra) {
        *word = *value;
    }
    // SAFETY: the buffer has the size that KVM states for this machine, and no feature is enabled afterwards.
    let result = unsafe { vcpu.fd.set_xsave2(&xsave) };
    result.map_err(refused("set the extended processor state of a vCPU"))
}
