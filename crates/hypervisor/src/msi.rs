// SPDX-License-Identifier: Apache-2.0
//! MSI-X vectors: an eventfd that KVM turns into a message without leaving the kernel (irqfd).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::interrupt::{MsiMessage, MsiVector, MsiVectors};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::Vm;

/// Hands out vectors.
pub(crate) struct Vectors {
    vm: Vm,
}

impl Vectors {
    pub(crate) fn new(vm: Vm) -> Self {
        Self { vm }
    }
}

impl MsiVectors for Vectors {
    fn create(&self) -> io::Result<Arc<dyn MsiVector>> {
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        let mut routes = self.vm.inner.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let gsi =
            routes.allocate().ok_or_else(|| io::Error::other("all interrupt routes of KVM are taken"))?;
        Ok(Arc::new(Vector { vm: self.vm.clone(), gsi, event, wiring: Mutex::default() }))
    }
}

#[derive(Debug, Default)]
struct Wiring {
    /// A route has been set.
    routed: bool,
    /// The eventfd is attached to the GSI.
    attached: bool,
}

/// One vector: a GSI with a message route, and the eventfd that raises it while unmasked.
struct Vector {
    vm: Vm,
    gsi: u32,
    event: EventFd,
    wiring: Mutex<Wiring>,
}

impl MsiVector for Vector {
    fn route(&self, message: MsiMessage) -> io::Result<()> {
        let mut wiring = self.wiring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = self.vm.inner.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.set(&self.vm.inner.fd, self.gsi, message)?;
        wiring.routed = true;
        Ok(())
    }

    fn unmask(&self) -> io::Result<()> {
        let mut wiring = self.wiring.lock().unwrap_or_else(PoisonError::into_inner);
        if !wiring.routed {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "vector has no route: set one first"));
        }
        if !wiring.attached {
            // A trigger that came in since the mask left the eventfd readable: KVM delivers it now.
            self.vm.inner.fd.register_irqfd(&self.event, self.gsi)?;
            wiring.attached = true;
        }
        Ok(())
    }

    fn mask(&self) -> io::Result<()> {
        let mut wiring = self.wiring.lock().unwrap_or_else(PoisonError::into_inner);
        if wiring.attached {
            self.vm.inner.fd.unregister_irqfd(&self.event, self.gsi)?;
            wiring.attached = false;
        }
        Ok(())
    }

    fn trigger(&self) {
        // `WouldBlock` means 2^64 - 2 triggers wait: one more changes nothing.
        match self.event.write(1) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.vm.inner.interrupt_errors.increment(),
        }
    }

    fn event(&self) -> Option<io::Result<EventFd>> {
        Some(self.event.try_clone())
    }

    fn take_waiting(&self) -> bool {
        let wiring = self.wiring.lock().unwrap_or_else(PoisonError::into_inner);
        // While attached, what stands in the eventfd is KVM's to take.
        !wiring.attached && self.event.read().is_ok()
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        if self.mask().is_err() {
            self.vm.inner.interrupt_errors.increment();
        }
        self.vm.inner.routes.lock().unwrap_or_else(PoisonError::into_inner).free(self.gsi);
    }
}
