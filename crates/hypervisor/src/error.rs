// SPDX-License-Identifier: Apache-2.0
//! Why the hypervisor refused.

use std::io;

use thiserror::Error;

/// Why a step failed outside of running a guest.
#[derive(Debug, Error)]
pub enum HypervisorError {
    /// `/dev/kvm` could not be opened.
    #[error("Cannot open /dev/kvm: load kvm_intel or kvm_amd and give this user access (group kvm)")]
    Open(#[source] io::Error),
    /// The descriptor speaks another protocol than KVM API version 12.
    #[error("Descriptor is not a usable /dev/kvm (API version {found}, need 12): give an open /dev/kvm")]
    Version {
        /// What it answered; negative if it is not KVM at all.
        found: i32,
    },
    /// The kernel's KVM lacks something no machine works without.
    #[error("KVM on this host lacks {}: use Linux 5.10 or newer", missing.join(", "))]
    Missing {
        /// Names of what is missing.
        missing: Vec<&'static str>,
    },
    /// KVM refused a request.
    #[error("KVM refused to {step}")]
    Refused {
        /// What was asked for.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The guest memory has a shape KVM does not take.
    #[error("Guest memory cannot be mapped: {reason}")]
    Memory {
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// The vCPU's model-specific registers could not all be accessed.
    #[error("KVM refused MSR {index:#x}: the state or CPU model does not fit this host")]
    Msr {
        /// The first register that was refused.
        index: u32,
    },
    /// A saved state is not for this build or machine, or was changed.
    #[error("Saved state cannot be taken over: {reason}")]
    State {
        /// What is wrong, and what to do.
        reason: &'static str,
    },
    /// The kick signal is taken.
    #[error("Cannot use signal {signal} to interrupt vCPUs: another part of this process handles it")]
    Signal {
        /// The signal's number.
        signal: i32,
        /// What the kernel said, if it was asked.
        #[source]
        source: io::Error,
    },
}

impl HypervisorError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open(_) => "kvm.unavailable",
            Self::Version { .. } => "kvm.version",
            Self::Missing { .. } => "kvm.missing_capability",
            Self::Refused { .. } => "kvm.refused",
            Self::Memory { .. } => "kvm.memory",
            Self::Msr { .. } => "kvm.msr",
            Self::State { .. } => "kvm.state",
            Self::Signal { .. } => "kvm.signal",
        }
    }
}

/// Why a vCPU could not be entered. It cannot be run on.
#[derive(Debug, Error)]
pub enum RunError {
    /// `KVM_RUN` failed.
    #[error("KVM cannot run the vCPU with APIC id {vcpu}")]
    Run {
        /// APIC id of the vCPU.
        vcpu: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Names the step of a failed request: `fd.ioctl().map_err(refused("create a vCPU"))`.
pub(crate) fn refused(step: &'static str) -> impl Fn(kvm_ioctls::Error) -> HypervisorError {
    move |source| HypervisorError::Refused { step, source: source.into() }
}
