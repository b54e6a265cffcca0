// SPDX-License-Identifier: Apache-2.0
//! Wired interrupt lines.

use flotilla_device_model::interrupt::InterruptLine;

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
