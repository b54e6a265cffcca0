// SPDX-License-Identifier: Apache-2.0
//! Wired interrupt lines.

use std::io;

use flotilla_device_model::interrupt::InterruptLine;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::Vm;

/// A line of the interrupt controllers in the kernel.
pub(crate) struct Line {
    vm: Vm,
    gsi: u32,
}

impl Line {
    pub(crate) fn new(vm: Vm, gsi: u32) -> Self {
        Self { vm, gsi }
    }
}

impl InterruptLine for Line {
    fn set_level(&self, high: bool) {
        if self.vm.set_irq_line(self.gsi, high).is_err() {
            self.vm.inner.interrupt_errors.increment();
        }
    }
}

/// A line whose rising edge is the interrupt, by an eventfd that KVM turns into one (irqfd): for threads that may make no
/// request of KVM.
pub(crate) struct EdgeLine {
    vm: Vm,
    event: EventFd,
}

impl EdgeLine {
    pub(crate) fn new(vm: Vm, gsi: u32) -> io::Result<Self> {
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        vm.inner.fd.register_irqfd(&event, gsi)?;
        Ok(Self { vm, event })
    }
}

impl InterruptLine for EdgeLine {
    fn set_level(&self, high: bool) {
        // KVM lowers the line by itself. `WouldBlock` means 2^64 - 2 edges wait: one more changes nothing.
        match if high { self.event.write(1) } else { Ok(()) } {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.vm.inner.interrupt_errors.increment(),
        }
    }
}
