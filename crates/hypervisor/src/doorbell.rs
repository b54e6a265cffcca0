// SPDX-License-Identifier: Apache-2.0
//! Doorbell registers that signal an eventfd without leaving the kernel (ioeventfd).

use std::io;

use flotilla_device_model::virtio::Doorbells;
use kvm_ioctls::{IoEventAddress, NoDatamatch};
use vmm_sys_util::eventfd::EventFd;

use crate::Vm;

/// Doorbells of one machine.
pub(crate) struct IoEventDoorbells {
    vm: Vm,
}

impl IoEventDoorbells {
    pub(crate) fn new(vm: Vm) -> Self {
        Self { vm }
    }
}

impl Doorbells for IoEventDoorbells {
    fn attach(&self, address: u64, value: Option<u32>, event: &EventFd) -> io::Result<()> {
        let (fd, address) = (&self.vm.inner.fd, IoEventAddress::Mmio(address));
        match value {
            Some(value) => fd.register_ioevent(event, &address, value)?,
            None => fd.register_ioevent(event, &address, NoDatamatch)?,
        }
        Ok(())
    }

    fn detach(&self, address: u64, value: Option<u32>, event: &EventFd) -> io::Result<()> {
        let (fd, address) = (&self.vm.inner.fd, IoEventAddress::Mmio(address));
        match value {
            Some(value) => fd.unregister_ioevent(event, &address, value)?,
            None => fd.unregister_ioevent(event, &address, NoDatamatch)?,
        }
        Ok(())
    }
}
