// SPDX-License-Identifier: Apache-2.0
//! Transfers that pass the host's page cache by (`O_DIRECT`), and the buffers they need where a guest's do not fit.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use flotilla_device_model::block::Segment;
use flotilla_memory::{Address, Bytes, GuestMemory};

use crate::BlockError;

/// What the host demands of direct transfers, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// Of buffers in memory.
    pub(crate) memory: usize,
    /// Of offsets and lengths on the disk.
    pub(crate) offset: u32,
}

/// What file systems that do not say what they demand are satisfied with.
const PAGE: u32 = 4096;

/// Makes transfers of an open file pass the page cache by, and says what they have to keep to.
pub(crate) fn go_direct(disk: BorrowedFd<'_>) -> Result<Alignment, BlockError> {
    // SAFETY: F_GETFL takes no memory.
    let flags = unsafe { libc::fcntl(disk.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: F_SETFL takes no memory.
    if flags < 0 || unsafe { libc::fcntl(disk.as_raw_fd(), libc::F_SETFL, flags | libc::O_DIRECT) } < 0 {
        return Err(BlockError::Direct(io::Error::last_os_error()));
    }
    Ok(ask(disk).unwrap_or(Alignment { memory: PAGE as usize, offset: PAGE }))
}

/// `STATX_DIOALIGN` (Linux 6.1). `None` where the kernel or the file system does not know.
fn ask(disk: BorrowedFd<'_>) -> Option<Alignment> {
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is an empty C string, and the result, which lives through the call, has the size of a statx.
    let answer = unsafe {
        libc::statx(
            disk.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            found.as_mut_ptr(),
        )
    };
    // SAFETY: it was zeroed, which is a value of each of its fields.
    let found = unsafe { found.assume_init() };
    let known = answer == 0 && found.stx_mask & libc::STATX_DIOALIGN != 0;
    let (memory, offset) = (found.stx_dio_mem_align, found.stx_dio_offset_align);
    let sound = |value: u32| value.is_power_of_two() && value <= PAGE;
    let alignment = Alignment { memory: usize::try_from(memory).ok()?, offset: offset.max(512) };
    (known && sound(memory) && sound(alignment.offset)).then_some(alignment)
}

impl Alignment {
    /// Whether a transfer may use these buffers as they are.
    pub(crate) fn fits(self, buffers: &[libc::iovec]) -> bool {
        let block = usize::try_from(self.offset).unwrap_or(usize::MAX);
        buffers.iter().all(|buffer| {
            buffer.iov_base.addr().is_multiple_of(self.memory) && buffer.iov_len.is_multiple_of(block)
        })
    }
}

/// Memory that begins where direct transfers may.
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Zeroed memory of `len` bytes.
    pub(crate) fn new(len: usize, alignment: usize) -> Self {
        let bytes = vec![0; len.saturating_add(alignment)];
        let start = bytes.as_ptr().addr().next_multiple_of(alignment.max(1)) - bytes.as_ptr().addr();
        Self { bytes, start, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_mut_slice(&mut self, len: usize) -> &mut [u8] {
        let end = self.start + len.min(self.len);
        self.bytes.get_mut(self.start..end).unwrap_or_default()
    }
}

/// The most that a transfer with unfit buffers moves at once, whatever the guest asks for. Each request has its own: with 256
/// of them in each of 16 queues this is half a GiB.
const PIECE: usize = 128 << 10;

/// A stand-in for the buffers of a guest.
pub(crate) struct Bounce {
    buffer: Aligned,
    vector: [libc::iovec; 1],
}

impl Bounce {
    pub(crate) fn new(total: u64, alignment: Alignment) -> Self {
        let block = usize::try_from(alignment.offset).unwrap_or(PIECE);
        let len = usize::try_from(total).unwrap_or(PIECE).min(PIECE).next_multiple_of(block);
        let vector = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }];
        Self { buffer: Aligned::new(len, alignment.memory.max(block)), vector }
    }

    /// Prepares the next system call of a transfer that has `left` bytes to go.
    pub(crate) fn prepare(&mut self, left: u64) -> &mut [u8] {
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
        let slice = self.buffer.as_mut_slice(len);
        self.vector = [libc::iovec { iov_base: slice.as_mut_ptr().cast(), iov_len: len }];
        slice
    }

    /// What the last call moved.
    pub(crate) fn moved(&mut self, len: usize) -> &mut [u8] {
        self.buffer.as_mut_slice(len)
    }

    pub(crate) fn vector(&self) -> &[libc::iovec] {
        &self.vector
    }
}

/// Copies between `data` and the segments, beginning at byte `skip` of them.
pub(crate) fn copy(
    memory: &GuestMemory,
    segments: &[Segment],
    skip: u64,
    data: &mut [u8],
    to_guest: bool,
) -> io::Result<()> {
    let mut skip = skip;
    let mut rest = data;
    for segment in segments {
        let len = u64::from(segment.len);
        if skip >= len {
            skip -= len;
            continue;
        }
        let now = usize::try_from(len - skip).unwrap_or(usize::MAX).min(rest.len());
        let (piece, later) = rest.split_at_mut(now);
        let address = segment.address.checked_add(skip).ok_or(io::ErrorKind::InvalidInput)?;
        let done =
            if to_guest { memory.write_slice(piece, address) } else { memory.read_slice(piece, address) };
        done.map_err(io::Error::other)?;
        rest = later;
        skip = 0;
        if rest.is_empty() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_small_however_much_is_asked_for() {
        let mut bounce = Bounce::new(4 << 30, Alignment { memory: 4096, offset: 4096 });
        assert_eq!(bounce.prepare(4 << 30).len(), PIECE);
        const { assert!(PIECE * 256 * 16 <= 512 << 20) };
    }
}
