// SPDX-License-Identifier: Apache-2.0
//! Giving space back and writing zeroes, on the calling thread. Both engines do it this way: it is rare, it is one call
//! for any length, and a ring would hand it to another thread as well.

use std::io;

use flotilla_device_model::block::Range;

use crate::alignment::Aligned;
use crate::disk::Disk;

/// `BLKDISCARD` and `BLKZEROOUT` of linux/fs.h.
const BLKDISCARD: libc::c_ulong = 0x1277;
const BLKZEROOUT: libc::c_ulong = 0x127f;

/// Zeroes written at once where the host knows no better way.
const ZEROES: usize = 256 << 10;

/// Gives the space of a range back where the host can; the rest of it is kept.
pub(crate) fn discard(disk: &Disk, range: &Range) -> io::Result<()> {
    let done = if disk.is_device { ioctl(disk, BLKDISCARD, range) } else { punch(disk, range) };
    match done {
        // Only a hint, which the guest cannot know the host is deaf to.
        Err(error) if is_unsupported(&error) => Ok(()),
        done => done,
    }
}

/// Makes a range read as zero.
pub(crate) fn write_zeroes(disk: &Disk, range: &Range) -> io::Result<()> {
    let done = if disk.is_device {
        ioctl(disk, BLKZEROOUT, range)
    } else if range.unmap {
        punch(disk, range)
    } else {
        fallocate(disk, libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE, range)
    };
    match done {
        Err(error) if is_unsupported(&error) => write(disk, range),
        done => done,
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENOTTY))
}

fn punch(disk: &Disk, range: &Range) -> io::Result<()> {
    fallocate(disk, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, range)
}

fn fallocate(disk: &Disk, mode: libc::c_int, range: &Range) -> io::Result<()> {
    let (offset, len) = (off_t(range.offset)?, off_t(range.len)?);
    repeat(|| {
        // SAFETY: takes no memory.
        unsafe { libc::fallocate(disk.as_raw_fd(), mode, offset, len) }
    })
}

fn ioctl(disk: &Disk, request: libc::c_ulong, range: &Range) -> io::Result<()> {
    let range = [range.offset, range.len];
    repeat(|| {
        // SAFETY: both requests read two u64, which live through the call.
        unsafe { libc::ioctl(disk.as_raw_fd(), request, range.as_ptr()) }
    })
}

fn write(disk: &Disk, range: &Range) -> io::Result<()> {
    let alignment = disk.alignment().map_or(1, |alignment| alignment.memory.max(4096));
    let len = usize::try_from(range.len).unwrap_or(ZEROES).min(ZEROES);
    let mut zeroes = Aligned::new(len, alignment);
    let mut done = 0;
    while done < range.len {
        let rest = usize::try_from(range.len - done).unwrap_or(ZEROES).min(len);
        let slice = zeroes.as_mut_slice(rest);
        let offset = off_t(range.offset + done)?;
        // SAFETY: reads `rest` bytes of a slice that is as long.
        let wrote = unsafe { libc::pwrite(disk.as_raw_fd(), slice.as_ptr().cast(), slice.len(), offset) };
        match u64::try_from(wrote) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(wrote) => done += wrote,
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

fn off_t(value: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(value).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Repeats a call that a signal interrupts.
fn repeat(mut call: impl FnMut() -> libc::c_int) -> io::Result<()> {
    loop {
        if call() == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
