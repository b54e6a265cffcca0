// SPDX-License-Identifier: Apache-2.0
//! A request on its way: what both engines share.
//!
//! A transfer owns the guest memory it moves until it is finished, and finishing consumes it: no engine can touch
//! memory of a request that was already reported.

use std::io;
use std::sync::Arc;

use flotilla_device_model::block::{Completion, Operation, Range, Request, Segment, Segments};
use flotilla_memory::{GuestMemory, Lookup};

use crate::alignment::{Bounce, copy};
use crate::disk::Disk;
use crate::space;

/// Buffers of one system call (`UIO_MAXIOV` of linux/uio.h). What does not fit follows in the next call.
const MAX_BUFFERS: usize = 1024;

/// How often a call that was interrupted or asked to come again is repeated before it counts as failed.
const MAX_RETRIES: u32 = 1000;

/// What a transfer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
    Flush,
}

/// The limits of a disk, which an engine enforces although the device has checked them: a mistake there must not
/// make an image grow or write to one that is read-only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) size: u64,
    pub(crate) read_only: bool,
}

/// A request being worked on.
pub(crate) struct Transfer {
    token: u64,
    direction: Direction,
    memory: Arc<GuestMemory>,
    segments: Segments,
    /// Where the next byte goes on the disk.
    offset: u64,
    done: u64,
    total: u64,
    /// The host buffers of the segments; those before `first` are finished.
    buffers: Vec<libc::iovec>,
    first: usize,
    /// Takes the place of `buffers` where a direct transfer cannot use them.
    bounce: Option<Box<Bounce>>,
    retries: u32,
}

// SAFETY: the pointers in `buffers` lead into `memory`, which the transfer owns a share of and which may be used
// from any thread, that in `bounce` into memory of its own; nothing else in it is tied to a thread.
unsafe impl Send for Transfer {}

impl Transfer {
    /// Prepares a request, in a list of buffers that may have served before. One that needs no transfer, or cannot be
    /// done at all, is completed right away.
    pub(crate) fn new(
        request: Request,
        disk: &Disk,
        buffers: &mut Vec<libc::iovec>,
    ) -> Result<Self, Completion> {
        let Request { token, memory, operation } = request;
        let ended = |result| Completion { token, result };
        let limits = disk.limits();
        let (direction, offset, segments) = match operation {
            Operation::Read { offset, segments } => (Direction::Read, offset, segments),
            Operation::Write { offset, segments } => (Direction::Write, offset, segments),
            Operation::Flush => (Direction::Flush, 0, Segments::new()),
            Operation::Discard(ranges) => {
                return Err(ended(change(&ranges, limits, |range| space::discard(disk, range))));
            }
            Operation::WriteZeroes(ranges) => {
                return Err(ended(change(&ranges, limits, |range| space::write_zeroes(disk, range))));
            }
        };
        let total = segments.iter().map(|segment| u64::from(segment.len)).sum();
        if direction == Direction::Write && limits.read_only {
            return Err(ended(Err(io::Error::from_raw_os_error(libc::EROFS))));
        }
        limits.check(offset, total).map_err(|error| ended(Err(error)))?;
        if total == 0 && direction != Direction::Flush {
            return Err(ended(Ok(0)));
        }
        buffers.clear();
        host_buffers(&memory, &segments, buffers).map_err(|error| ended(Err(error)))?;
        let alignment = disk.alignment().filter(|alignment| !alignment.fits(buffers));
        let bounce = alignment.map(|alignment| Box::new(Bounce::new(total, alignment)));
        let (done, first, retries) = (0, 0, 0);
        let buffers = std::mem::take(buffers);
        let mut transfer =
            Self { token, direction, memory, segments, offset, done, total, buffers, first, bounce, retries };
        transfer.prepare().map_err(ended_with(token))?;
        Ok(transfer)
    }

    /// Fills the stand-in of the guest's buffers for the next system call.
    fn prepare(&mut self) -> io::Result<()> {
        let Some(bounce) = &mut self.bounce else { return Ok(()) };
        let data = bounce.prepare(self.total - self.done);
        match self.direction {
            Direction::Write => copy(&self.memory, &self.segments, self.done, data, false),
            Direction::Read | Direction::Flush => Ok(()),
        }
    }

    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// The disk offset of the next system call.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The buffers of the next system call. They stay where they are until `settle` or `finish` is called.
    pub(crate) fn buffers(&self) -> &[libc::iovec] {
        if let Some(bounce) = &self.bounce {
            return bounce.vector();
        }
        let rest = self.buffers.get(self.first..).unwrap_or_default();
        rest.get(..MAX_BUFFERS).unwrap_or(rest)
    }

    /// Takes the result of a system call. `None`: the transfer needs another one.
    pub(crate) fn settle(&mut self, result: io::Result<usize>) -> Option<io::Result<u64>> {
        match result {
            Err(error) if self.may_retry(&error) => None,
            Err(error) if self.direction == Direction::Flush => Some(Err(lost(error))),
            Err(error) => Some(Err(error)),
            Ok(_) if self.direction == Direction::Flush => Some(Ok(0)),
            // Somebody cut the file short under us.
            Ok(0) => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(moved) => match self.advance(moved) {
                Ok(()) => (self.done >= self.total).then_some(Ok(self.total)),
                Err(error) => Some(Err(error)),
            },
        }
    }

    /// Ends the transfer and lets its memory go.
    pub(crate) fn finish(self, result: io::Result<u64>) -> Completion {
        if self.direction == Direction::Read {
            // Also after an error: part of the data may have arrived. Not earlier: a dirty log that is read
            // between submission and completion would miss the data.
            let mut lookup = Lookup::new(&self.memory);
            for segment in &self.segments {
                lookup.mark_dirty(segment.address, usize_from(segment.len));
            }
        }
        Completion { token: self.token, result }
    }

    fn may_retry(&mut self, error: &io::Error) -> bool {
        let again = matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
        self.retries += u32::from(again);
        again && self.retries <= MAX_RETRIES
    }

    fn advance(&mut self, moved: usize) -> io::Result<()> {
        if let Some(bounce) = &mut self.bounce {
            if self.direction == Direction::Read {
                copy(&self.memory, &self.segments, self.done, bounce.moved(moved), true)?;
            }
            self.count(moved as u64);
            return self.prepare();
        }
        self.count(moved as u64);
        // The common case: nothing is left.
        if self.done >= self.total {
            return Ok(());
        }
        let mut rest = moved;
        while let Some(buffer) = self.buffers.get_mut(self.first) {
            let step = rest.min(buffer.iov_len);
            buffer.iov_base = buffer.iov_base.wrapping_byte_add(step);
            buffer.iov_len -= step;
            rest -= step;
            if buffer.iov_len > 0 {
                break;
            }
            self.first += 1;
        }
        Ok(())
    }

    fn count(&mut self, moved: u64) {
        self.offset += moved;
        self.done = self.done.saturating_add(moved).min(self.total);
    }

    /// The list of buffers, for the next transfer.
    pub(crate) fn take_buffers(&mut self) -> Vec<libc::iovec> {
        std::mem::take(&mut self.buffers)
    }
}

/// Why a sync failed. The host has dropped what it found no space for, and would say the next time that all is well: not
/// an error that goes away when there is space.
pub(crate) fn lost(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            io::Error::other(format!("host had no space for what was written before: {error}"))
        }
        _ => error,
    }
}

impl Limits {
    fn check(self, offset: u64, len: u64) -> io::Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.size) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "request ends past the disk"));
        }
        Ok(())
    }
}

/// Changes ranges of a disk one after the other.
fn change(
    ranges: &[Range],
    limits: Limits,
    mut change: impl FnMut(&Range) -> io::Result<()>,
) -> io::Result<u64> {
    if limits.read_only {
        return Err(io::Error::from_raw_os_error(libc::EROFS));
    }
    for range in ranges {
        limits.check(range.offset, range.len)?;
        change(range)?;
    }
    Ok(0)
}

fn ended_with(token: u64) -> impl Fn(io::Error) -> Completion {
    move |error| Completion { token, result: Err(error) }
}

fn host_buffers(
    memory: &GuestMemory,
    segments: &[Segment],
    buffers: &mut Vec<libc::iovec>,
) -> io::Result<()> {
    let mut lookup = Lookup::new(memory);
    buffers.reserve(segments.len());
    for segment in segments {
        lookup
            .push_iovecs(segment.address, usize_from(segment.len), buffers)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "segment lies outside guest memory"))?;
    }
    Ok(())
}

fn usize_from(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use flotilla_memory::{Backing, GuestAddress, allocate};

    use super::*;

    fn transfer(lengths: &[u32]) -> Transfer {
        let memory = allocate(&[(GuestAddress(0), 1 << 20)], Backing::Anonymous).unwrap();
        let segments = lengths
            .iter()
            .enumerate()
            .map(|(index, &len)| Segment { address: GuestAddress(index as u64 % 64 * 8192), len });
        let operation = Operation::Write { offset: 512, segments: segments.collect() };
        let disk = crate::tests::disk(1 << 20);
        Transfer::new(Request { token: 7, memory, operation }, &disk, &mut Vec::new()).ok().unwrap()
    }

    fn lengths(transfer: &Transfer) -> Vec<usize> {
        transfer.buffers().iter().map(|buffer| buffer.iov_len).collect()
    }

    #[test]
    fn goes_on_where_a_short_write_ended() {
        let mut transfer = transfer(&[1024, 512, 2048]);
        assert!(transfer.settle(Ok(1124)).is_none());
        assert_eq!(lengths(&transfer), [412, 2048]);
        assert_eq!(transfer.offset(), 512 + 1124);
        assert!(transfer.settle(Ok(412)).is_none());
        assert_eq!(lengths(&transfer), [2048]);
        assert_eq!(transfer.settle(Ok(2048)).unwrap().unwrap(), 3584);
    }

    #[test]
    fn repeats_interrupted_calls_but_not_for_ever() {
        let mut transfer = transfer(&[512]);
        let mut rounds = 0;
        while transfer.settle(Err(io::ErrorKind::Interrupted.into())).is_none() {
            rounds += 1;
        }
        assert_eq!(rounds, MAX_RETRIES);
        assert_eq!(lengths(&transfer), [512]);
    }

    #[test]
    fn a_flush_that_found_no_space_is_not_to_be_tried_again() {
        let disk = crate::tests::disk(1 << 20);
        let memory = allocate(&[(GuestAddress(0), 1 << 20)], Backing::Anonymous).unwrap();
        let request = Request { token: 7, memory, operation: Operation::Flush };
        let mut flush = Transfer::new(request, &disk, &mut Vec::new()).ok().unwrap();
        let full = || Err(io::Error::from_raw_os_error(libc::ENOSPC));
        let kind = |ended: Option<io::Result<u64>>| ended.unwrap().unwrap_err().kind();
        assert_eq!(kind(flush.settle(full())), io::ErrorKind::Other);
        assert_eq!(kind(transfer(&[512]).settle(full())), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_that_was_cut_short_is_an_error() {
        assert!(transfer(&[512]).settle(Ok(0)).unwrap().is_err());
    }

    #[test]
    fn gives_the_kernel_no_more_buffers_than_it_takes() {
        let transfer = transfer(&[16; 1500]);
        assert_eq!(transfer.buffers().len(), MAX_BUFFERS);
    }
}
