// SPDX-License-Identifier: Apache-2.0
//! The host's KVM.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;

use kvm_bindings::KVM_MAX_CPUID_ENTRIES;

use crate::error::{HypervisorError, refused};
use crate::{Capabilities, Cpuid, Vm};

/// `_IO(0xAE, 0x00)`: the API version, 12 on any KVM since 2007.
const KVM_GET_API_VERSION: libc::c_ulong = 0xae00;
const API_VERSION: i32 = 12;

/// The host's KVM. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kvm {
    pub(crate) fd: Arc<kvm_ioctls::Kvm>,
}

impl Kvm {
    /// Opens `/dev/kvm`.
    pub fn open() -> Result<Self, HypervisorError> {
        let fd = kvm_ioctls::Kvm::new().map_err(|error| HypervisorError::Open(io::Error::from(error)))?;
        Self::checked(fd)
    }

    /// Uses an open `/dev/kvm`. A descriptor of anything else is an error.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, HypervisorError> {
        // SAFETY: the request takes no argument, and any descriptor that is not KVM answers it with an error.
        let found = unsafe { libc::ioctl(descriptor.as_raw_fd(), KVM_GET_API_VERSION, 0) };
        if found != API_VERSION {
            return Err(HypervisorError::Version { found });
        }
        // SAFETY: the descriptor is open, owned by us alone, and has just answered as KVM.
        let fd = unsafe { kvm_ioctls::Kvm::from_raw_fd(descriptor.into_raw_fd()) };
        Self::checked(fd)
    }

    fn checked(fd: kvm_ioctls::Kvm) -> Result<Self, HypervisorError> {
        let found = fd.get_api_version();
        if found != API_VERSION {
            return Err(HypervisorError::Version { found });
        }
        Ok(Self { fd: Arc::new(fd) })
    }

    /// What this KVM offers, and what it lacks.
    pub fn check(&self) -> Capabilities {
        Capabilities::read(&self.fd)
    }

    /// The CPUID leaves this KVM supports, not yet fitted to a vCPU.
    pub fn supported_cpuid(&self) -> Result<Cpuid, HypervisorError> {
        let table = self.fd.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
        table.map(|table| Cpuid::from_kvm(&table)).map_err(refused("list the supported CPUID leaves"))
    }

    /// The CPUID leaves that any guest on this KVM can have, not yet fitted to a vCPU.
    pub fn guest_cpuid(&self) -> Result<Cpuid, HypervisorError> {
        let mut cpuid = self.supported_cpuid()?;
        cpuid.complete(self.check().tsc_deadline_timer);
        Ok(cpuid)
    }

    /// A new virtual machine without memory, interrupt controllers and vCPUs.
    pub fn create_vm(&self) -> Result<Vm, HypervisorError> {
        Vm::create(self)
    }
}
