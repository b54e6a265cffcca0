// SPDX-License-Identifier: Apache-2.0
//! Doorbells without a kernel.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Mutex;

use flotilla_device_model::virtio::Doorbells;
use vmm_sys_util::eventfd::EventFd;

struct Attached {
    address: u64,
    value: Option<u32>,
    event: EventFd,
    descriptor: i32,
}

/// Keeps the attached doorbells; refuses duplicates and unknown ones like the kernel.
#[derive(Default)]
pub struct FakeDoorbells {
    attached: Mutex<Vec<Attached>>,
    refuse_at: Mutex<Option<u64>>,
}

impl FakeDoorbells {
    /// The addresses attached, sorted.
    pub fn addresses(&self) -> Vec<u64> {
        let mut addresses: Vec<_> = self.attached.lock().unwrap().iter().map(|entry| entry.address).collect();
        addresses.sort_unstable();
        addresses
    }

    /// Does what the kernel does on a guest write; `false` when nobody listens.
    pub fn ring(&self, address: u64, value: u32) -> bool {
        let attached = self.attached.lock().unwrap();
        let found = attached
            .iter()
            .find(|entry| entry.address == address && entry.value.is_none_or(|wanted| wanted == value));
        found.is_some_and(|entry| entry.event.write(1).is_ok())
    }

    /// Lets `attach` fail at addresses from this one on.
    pub fn refuse_from(&self, address: Option<u64>) {
        *self.refuse_at.lock().unwrap() = address;
    }
}

impl Doorbells for FakeDoorbells {
    fn attach(&self, address: u64, value: Option<u32>, event: &EventFd) -> io::Result<()> {
        if self.refuse_at.lock().unwrap().is_some_and(|limit| address >= limit) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let mut attached = self.attached.lock().unwrap();
        if attached.iter().any(|entry| entry.address == address && entry.value == value) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let descriptor = event.as_raw_fd();
        attached.push(Attached { address, value, event: event.try_clone()?, descriptor });
        Ok(())
    }

    fn detach(&self, address: u64, value: Option<u32>, event: &EventFd) -> io::Result<()> {
        let mut attached = self.attached.lock().unwrap();
        let found = attached.iter().position(|entry| {
            entry.address == address && entry.value == value && entry.descriptor == event.as_raw_fd()
        });
        let index = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        attached.remove(index);
        Ok(())
    }
}
