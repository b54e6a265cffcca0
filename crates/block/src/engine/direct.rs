// SPDX-License-Identifier: Apache-2.0
//! System calls on the calling thread, for hosts that refuse `io_uring`. Requests complete inside `kick`.

use std::collections::VecDeque;
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
    waiting: VecDeque<Transfer>,
    finished: Vec<Completion>,
}

impl DirectQueue {
    pub(crate) fn new(disk: Arc<Disk>, depth: u16) -> Self {
        Self { disk, depth: usize::from(depth), waiting: VecDeque::new(), finished: Vec::new() }
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
        let answer = match transfer.direction() {
            // SAFETY: the buffers lie in guest memory that `transfer` keeps mapped and that may change at any time.
            Direction::Read => unsafe { libc::preadv(fd, buffers.as_ptr(), count, offset) },
            // SAFETY: as for reading.
            Direction::Write => unsafe { libc::pwritev(fd, buffers.as_ptr(), count, offset) },
            Direction::Flush => {
                // SAFETY: takes no memory.
                let answer = unsafe { libc::fdatasync(fd) };
                isize::try_from(answer).unwrap_or(-1)
            }
        };
        usize::try_from(answer).map_err(|_| io::Error::last_os_error())
    }
}

impl BlockQueue for DirectQueue {
    fn submit(&mut self, request: Request) -> io::Result<()> {
        if self.in_flight() >= self.depth {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match Transfer::new(request, self.disk.limits()) {
            Ok(transfer) => self.waiting.push_back(transfer),
            Err(completion) => self.finished.push(completion),
        }
        Ok(())
    }

    fn kick(&mut self) -> io::Result<()> {
        while let Some(mut transfer) = self.waiting.pop_front() {
            let result = self.run(&mut transfer);
            self.finished.push(transfer.finish(result));
        }
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
        self.waiting.len() + self.finished.len()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        self.kick()?;
        self.reap(done)
    }
}
