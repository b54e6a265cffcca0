// SPDX-License-Identifier: Apache-2.0
//! What the host's KVM offers.

use kvm_ioctls::Cap;

use crate::HypervisorError;

/// What every machine needs, with the names a person can search for.
const REQUIRED: &[(Cap, &str)] = &[
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR"),
    (Cap::SetIdentityMapAddr, "KVM_CAP_SET_IDENTITY_MAP_ADDR"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::MpState, "KVM_CAP_MP_STATE"),
    (Cap::IrqRouting, "KVM_CAP_IRQ_ROUTING"),
    (Cap::Irqfd, "KVM_CAP_IRQFD"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::Pit2, "KVM_CAP_PIT2"),
    (Cap::PitState2, "KVM_CAP_PIT_STATE2"),
    (Cap::SignalMsi, "KVM_CAP_SIGNAL_MSI"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::AdjustClock, "KVM_CAP_ADJUST_CLOCK"),
    (Cap::VcpuEvents, "KVM_CAP_VCPU_EVENTS"),
    (Cap::Debugregs, "KVM_CAP_DEBUGREGS"),
    (Cap::Xsave, "KVM_CAP_XSAVE"),
    (Cap::Xcrs, "KVM_CAP_XCRS"),
    (Cap::GetTscKhz, "KVM_CAP_GET_TSC_KHZ"),
];

/// What the host's KVM offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Names of what every machine needs and this host lacks; empty on a usable host.
    pub missing: Vec<&'static str>,
    /// vCPUs of a machine beyond which KVM advises against more.
    pub recommended_vcpus: usize,
    /// The largest number of vCPUs of a machine.
    pub max_vcpus: usize,
    /// The largest number of memory slots of a machine.
    pub max_memory_slots: usize,
    /// Whether the guest's TSC may run at another frequency than the host's.
    pub tsc_control: bool,
    /// Whether LAPIC timers may use the TSC deadline mode.
    pub tsc_deadline_timer: bool,
}

impl Capabilities {
    pub(crate) fn read(kvm: &kvm_ioctls::Kvm) -> Self {
        let absent = REQUIRED.iter().filter(|(cap, _)| !kvm.check_extension(*cap));
        Self {
            missing: absent.map(|(_, name)| *name).collect(),
            recommended_vcpus: kvm.get_nr_vcpus(),
            max_vcpus: kvm.get_max_vcpus(),
            max_memory_slots: kvm.get_nr_memslots(),
            tsc_control: kvm.check_extension(Cap::TscControl),
            tsc_deadline_timer: kvm.check_extension(Cap::TscDeadlineTimer),
        }
    }

    /// An error that names everything missing, if anything is.
    pub fn require(&self) -> Result<(), HypervisorError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(HypervisorError::Missing { missing: self.missing.clone() })
    }
}
