// SPDX-License-Identifier: Apache-2.0
//! System calls on the calling thread: for hosts that refuse `io_uring`, and for content that lies in the host's memory,
//! where a ring has nothing to wait for. Requests complete inside `submit`.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use flotilla_device_model::block::{BlockQueue, Completion, Request};

use crate::disk::Disk;
use crate::transfer::{Direction, Transfer};

/// A queue whose requests run one after the other.
pub(crate) struct DirectQueue {
    disk: Arc<Disk>,
    depth: usize,
    finished: Vec<Completion>,
    /// The list of buffers of the next transfer.
    buffers: Vec<libc::iovec>,
}

// SAFETY: between calls `buffers` is a list whose pointers nobody follows; nothing else is tied to a thread.
unsafe impl Send for DirectQueue {}

impl DirectQueue {
    pub(crate) fn new(disk: Arc<Disk>, depth: u16) -> Self {
        Self { disk, depth: usize::from(depth), finished: Vec::new(), buffers: Vec::new() }
    }

    /// Carries a request out.
    pub(crate) fn carry_out(&mut self, request: Request) -> Completion {
        match Transfer::new(request, &self.disk, &mut self.buffers) {
            Ok(mut transfer) => {
                let result = self.run(&mut transfer);
                self.buffers = transfer.take_buffers();
                transfer.finish(result)
            }
            Err(completion) => completion,
        }
    }

    fn run(&self, transfer: &mut Transfer) -> io::Result<u64> {
        loop {
            let result = self.call(transfer);
            if let Some(end) = transfer.settle(result) {
                return end;
            }
        }
    }

    fn call(&self, transfer: &Transfer) -> io::Result<usize> {
        let fd = self.disk.as_raw_fd();
        let offset = libc::off_t::try_from(transfer.offset()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let buffers = transfer.buffers();
        let count = libc::c_int::try_from(buffers.len()).unwrap_or(libc::c_int::MAX);
        let answer = match (transfer.direction(), buffers) {
            // One buffer is the usual case, and the plainer call the faster one.
            (Direction::Read, [buffer]) => {
                // SAFETY: as for several buffers.
                unsafe { libc::pread(fd, buffer.iov_base, buffer.iov_len, offset) }
            }
            (Direction::Write, [buffer]) => {
                // SAFETY: as for several buffers.
                unsafe { libc::pwrite(fd, buffer.iov_base, buffer.iov_len, offset) }
            }
            // SAFETY: the buffers lie in guest memory that `transfer` keeps mapped and that may change at any time.
            (Direction::Read, _) => unsafe { libc::preadv(fd, buffers.as_ptr(), count, offset) },
            // SAFETY: as for reading.
            (Direction::Write, _) => unsafe { libc::pwritev(fd, buffers.as_ptr(), count, offset) },
            (Direction::Flush, _) => {
                // SAFETY: takes no memory.
                let answer = unsafe { libc::fdatasync(fd) };
                isize::try_from(answer).unwrap_or(-1)
            }
        };
        usize::try_from(answer).map_err(|_| io::Error::last_os_error())
    }
}

impl BlockQueue for DirectQueue {
    /// Where a vCPU shares the processor with this thread, a doorbell must not take it away from the guest at once: what
    /// the guest asks for next costs no doorbell while this one is unanswered. A batch thread runs when the processor
    /// is free or its turn has come, and at once on another one.
    fn begin(&mut self) {
        let none = libc::sched_param { sched_priority: 0 };
        // SAFETY: reads one sched_param, which lives through the call. A refusal costs speed on small hosts only.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const none) };
    }

    fn submit(&mut self, request: Request) -> io::Result<()> {
        if self.in_flight() >= self.depth {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let completion = self.carry_out(request);
        self.finished.push(completion);
        Ok(())
    }

    fn kick(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn completion_event(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn reap(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        done.append(&mut self.finished);
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.finished.len()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        self.reap(done)
    }
}
