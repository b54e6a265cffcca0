// SPDX-License-Identifier: Apache-2.0
//! Parts of files into guest memory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use vm_memory::{Address, GuestAddress};

use crate::{GuestMemory, mark_dirty, push_iovecs};

/// Reads `len` bytes of `file` from `offset` on into guest memory at `address`, without a buffer in between: the kernel
/// writes where the guest looks. The position of the file stays as it is. A file that ends too soon is
/// `UnexpectedEof`, a range outside RAM `InvalidInput`; then a part may have been written.
pub fn read_file_at(
    memory: &GuestMemory,
    address: GuestAddress,
    len: usize,
    file: &File,
    offset: u64,
) -> io::Result<()> {
    let mut done = 0;
    let mut buffers = Vec::new();
    while done < len {
        let (to, rest) = (address.checked_add(done as u64).ok_or(io::ErrorKind::InvalidInput)?, len - done);
        buffers.clear();
        push_iovecs(memory, to, rest, &mut buffers)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let from = offset.checked_add(done as u64).and_then(|from| libc::off_t::try_from(from).ok());
        let from = from.ok_or(io::ErrorKind::InvalidInput)?;
        let count = libc::c_int::try_from(buffers.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the buffers lie in `memory`, which outlives the call; what the kernel writes there is bytes, which no
        // Rust reference points at.
        let read = unsafe { libc::preadv(file.as_raw_fd(), buffers.as_ptr(), count, from) };
        match usize::try_from(read) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                mark_dirty(memory, to, read);
                done += read;
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use vm_memory::bitmap::Bitmap;
    use vm_memory::{Bytes, GuestMemoryBackend, GuestMemoryRegion};

    use super::*;
    use crate::{Backing, allocate};

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn reads_across_regions_and_records_it() {
        let regions = [(GuestAddress(0), 8192), (GuestAddress(8192), 8192)];
        let memory = allocate(&regions, Backing::Anonymous).unwrap();
        let content: Vec<u8> = (0..10_000_u32).map(|value| value.to_le_bytes()[0]).collect();
        read_file_at(&memory, GuestAddress(5000), 9000, &file(&content), 1000).unwrap();
        let mut read = vec![0; 9000];
        memory.read_slice(&mut read, GuestAddress(5000)).unwrap();
        assert_eq!(read, content[1000..]);
        let dirty: Vec<bool> =
            memory.iter().flat_map(|region| [0, 4096].map(|at| region.bitmap().dirty_at(at))).collect();
        assert_eq!(dirty, [false, true, true, true]);
    }

    #[test]
    fn says_that_a_file_ended_too_soon() {
        let memory = allocate(&[(GuestAddress(0), 8192)], Backing::Anonymous).unwrap();
        let error = read_file_at(&memory, GuestAddress(0), 4096, &file(b"short"), 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let error = read_file_at(&memory, GuestAddress(0), 1, &file(b"short"), 1 << 40).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn refuses_what_lies_outside_memory() {
        let memory = allocate(&[(GuestAddress(0), 8192)], Backing::Anonymous).unwrap();
        for (address, len, offset) in [(4096, 8192, 0), (u64::MAX, 2, 0), (0, 1, u64::MAX)] {
            let error =
                read_file_at(&memory, GuestAddress(address), len, &file(&[1; 64]), offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{address:#x} {len} {offset:#x}");
        }
    }
}
