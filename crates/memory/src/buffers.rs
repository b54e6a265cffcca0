// SPDX-License-Identifier: Apache-2.0
//! Guest memory as buffers for vectored system calls.

use vm_memory::bitmap::Bitmap;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryError};

use crate::GuestMemory;

/// Appends the host buffers behind `address..address + len` to `buffers`, one for each region touched.
///
/// The pointers are valid as long as `memory` lives: whoever hands them to the kernel keeps it until the kernel is
/// done with them. After an error `buffers` is as it was.
pub fn push_iovecs(
    memory: &GuestMemory,
    address: GuestAddress,
    len: usize,
    buffers: &mut Vec<libc::iovec>,
) -> Result<(), GuestMemoryError> {
    let before = buffers.len();
    for slice in GuestMemoryBackend::get_slices(memory, address, len) {
        match slice {
            Ok(slice) => {
                let base = slice.ptr_guard_mut().as_ptr().cast();
                buffers.push(libc::iovec { iov_base: base, iov_len: slice.len() });
            }
            Err(error) => {
                buffers.truncate(before);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Records that `address..address + len` was written by other means than the methods of `memory`. What lies outside
/// RAM is passed over.
pub fn mark_dirty(memory: &GuestMemory, address: GuestAddress, len: usize) {
    for slice in GuestMemoryBackend::get_slices(memory, address, len).flatten() {
        slice.bitmap().mark_dirty(0, slice.len());
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::GuestMemoryRegion;

    use super::*;
    use crate::{Backing, allocate};

    #[test]
    fn gives_one_buffer_for_each_region_touched() {
        let regions = [(GuestAddress(0), 8192), (GuestAddress(8192), 4096)];
        let memory = allocate(&regions, Backing::Anonymous).unwrap();
        let mut buffers = Vec::new();
        push_iovecs(&memory, GuestAddress(4096), 8192, &mut buffers).unwrap();
        let lengths: Vec<usize> = buffers.iter().map(|buffer| buffer.iov_len).collect();
        assert_eq!(lengths, [4096, 4096]);
    }

    #[test]
    fn leaves_the_list_alone_when_the_range_is_outside_memory() {
        let memory = allocate(&[(GuestAddress(0), 8192)], Backing::Anonymous).unwrap();
        let mut buffers = Vec::new();
        assert!(push_iovecs(&memory, GuestAddress(4096), 8192, &mut buffers).is_err());
        assert!(buffers.is_empty());
    }

    #[test]
    fn records_what_others_wrote() {
        let memory = allocate(&[(GuestAddress(0), 16384)], Backing::Anonymous).unwrap();
        mark_dirty(&memory, GuestAddress(4096), 4097);
        let region = memory.iter().next().unwrap();
        let dirty: Vec<bool> = (0..4).map(|page| region.bitmap().dirty_at(page * 4096)).collect();
        assert_eq!(dirty, [false, true, true, false]);
    }
}
