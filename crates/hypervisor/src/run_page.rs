// SPDX-License-Identifier: Apache-2.0
//! A second mapping of the page that KVM and the vCPU's owner share.
//!
//! The first one belongs to the vCPU's thread, which holds it borrowed while the guest runs. Other threads must
//! write one byte of it meanwhile, `immediate_exit`; they do so here, through atomics and raw reads only.

use std::io;
use std::mem::offset_of;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering};

use kvm_bindings::kvm_run;

/// A second mapping of `struct kvm_run`.
#[derive(Debug)]
pub(crate) struct RunPage {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is valid until drop, and is accessed only by atomic operations and by raw reads of fields that
// the kernel writes while the reading thread itself is inside KVM_RUN, that is, never at the same time.
unsafe impl Send for RunPage {}
// SAFETY: as above.
unsafe impl Sync for RunPage {}

impl RunPage {
    /// Maps the shared page of a vCPU's descriptor; `len` is KVM's mapping size.
    pub(crate) fn map(vcpu: RawFd, len: usize) -> io::Result<Self> {
        if len < size_of::<kvm_run>() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: no fixed address is asked for, so no existing mapping is touched, and the result is checked.
        let address = unsafe { libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED, vcpu, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { address, len })
    }

    /// Makes the current or next `KVM_RUN` return `EINTR`, until cleared.
    pub(crate) fn set_immediate_exit(&self, value: bool) {
        let field = offset_of!(kvm_run, immediate_exit);
        // SAFETY: the field lies inside the mapping, whose length was checked in `map`.
        let byte = unsafe { self.address.as_ptr().add(field) };
        // SAFETY: the byte is valid for as long as `self` is, aligned, and only accessed atomically by this process.
        let byte = unsafe { AtomicU8::from_ptr(byte) };
        byte.store(u8::from(value), Ordering::SeqCst);
    }

    /// The part of the page that describes the last exit. Only for the thread that runs the vCPU.
    pub(crate) fn exit_details(&self) -> kvm_run {
        let page: *const kvm_run = self.address.as_ptr().cast_const().cast();
        // SAFETY: the mapping is page-aligned and long enough for the struct, which is plain data.
        unsafe { ptr::read_volatile(page) }
    }
}

impl Drop for RunPage {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping made in `map`, and no reference into it outlives `self`.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}
