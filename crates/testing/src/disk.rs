// SPDX-License-Identifier: Apache-2.0
//! A disk in memory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flotilla_device_model::block::{BlockBackend, BlockQueue, Completion, Operation, Request};
use flotilla_memory::{Bytes, GuestMemory};

/// A disk whose content, failures and delays a test controls. Completions come through a socket.
pub struct FakeDisk {
    shared: Arc<Shared>,
}

struct Shared {
    content: Mutex<Vec<u8>>,
    read_only: bool,
    fail: AtomicBool,
    full: AtomicBool,
    hold: AtomicBool,
    flushes: AtomicU64,
}

impl FakeDisk {
    /// A disk with this content.
    pub fn new(content: Vec<u8>, read_only: bool) -> Self {
        let shared = Shared {
            content: Mutex::new(content),
            read_only,
            fail: AtomicBool::new(false),
            full: AtomicBool::new(false),
            hold: AtomicBool::new(false),
            flushes: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A copy of the content.
    pub fn content(&self) -> Vec<u8> {
        self.shared.content.lock().unwrap().clone()
    }

    /// Lets every request fail.
    pub fn fail(&self, fail: bool) {
        self.shared.fail.store(fail, Ordering::SeqCst);
    }

    /// Lets every request that takes space fail for want of it, and flushes and drains too, as with a back-end that keeps
    /// something in memory.
    pub fn fill(&self, full: bool) {
        self.shared.full.store(full, Ordering::SeqCst);
    }

    /// Keeps requests in flight until released or drained. A release takes effect at the next kick or drain.
    pub fn hold(&self, hold: bool) {
        self.shared.hold.store(hold, Ordering::SeqCst);
    }

    /// Makes the disk larger, with zeroes. The device sees that when it looks.
    pub fn grow(&self, len: usize) {
        self.shared.content.lock().unwrap().resize(len, 0);
    }

    /// Flushes so far.
    pub fn flushes(&self) -> u64 {
        self.shared.flushes.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn run(&self, request: &Request) -> io::Result<u64> {
        if self.fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("made to fail"));
        }
        let takes_space = !matches!(request.operation, Operation::Read { .. });
        if takes_space && self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let memory: &GuestMemory = &request.memory;
        let mut content = self.content.lock().unwrap();
        let mut moved = 0;
        match &request.operation {
            Operation::Read { offset, segments } => {
                for segment in segments {
                    let at = usize::try_from(offset + moved).unwrap();
                    let len = usize::try_from(segment.len).unwrap();
                    memory.write_slice(&content[at..at + len], segment.address).map_err(io::Error::other)?;
                    moved += u64::from(segment.len);
                }
            }
            Operation::Write { offset, segments } => {
                assert!(!self.read_only, "the device must refuse writes to a read-only disk");
                for segment in segments {
                    let at = usize::try_from(offset + moved).unwrap();
                    let len = usize::try_from(segment.len).unwrap();
                    memory
                        .read_slice(&mut content[at..at + len], segment.address)
                        .map_err(io::Error::other)?;
                    moved += u64::from(segment.len);
                }
            }
            Operation::Discard(ranges) | Operation::WriteZeroes(ranges) => {
                assert!(!self.read_only, "the device must refuse to change a read-only disk");
                for range in ranges {
                    let at = usize::try_from(range.offset).unwrap();
                    content[at..at + usize::try_from(range.len).unwrap()].fill(0);
                }
            }
            Operation::Flush => {
                self.flushes.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(moved)
    }
}

impl BlockBackend for FakeDisk {
    fn size(&self) -> u64 {
        u64::try_from(self.shared.content.lock().unwrap().len()).unwrap()
    }

    fn read_only(&self) -> bool {
        self.shared.read_only
    }

    fn can_discard(&self) -> bool {
        true
    }

    fn open_queue(&self, depth: u16) -> io::Result<Box<dyn BlockQueue>> {
        let (ready, teller) = UnixStream::pair()?;
        ready.set_nonblocking(true)?;
        Ok(Box::new(FakeDiskQueue {
            shared: Arc::clone(&self.shared),
            depth: usize::from(depth),
            submitted: VecDeque::new(),
            done: Vec::new(),
            ready,
            teller,
        }))
    }
}

struct FakeDiskQueue {
    shared: Arc<Shared>,
    depth: usize,
    submitted: VecDeque<Request>,
    done: Vec<Completion>,
    ready: UnixStream,
    teller: UnixStream,
}

impl FakeDiskQueue {
    fn run_all(&mut self) {
        while let Some(request) = self.submitted.pop_front() {
            let result = self.shared.run(&request);
            self.done.push(Completion { token: request.token, result });
            self.teller.write_all(&[1]).unwrap();
        }
    }
}

impl BlockQueue for FakeDiskQueue {
    fn submit(&mut self, request: Request) -> io::Result<()> {
        if self.in_flight() >= self.depth {
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        self.submitted.push_back(request);
        Ok(())
    }

    fn kick(&mut self) -> io::Result<()> {
        if !self.shared.hold.load(Ordering::SeqCst) {
            self.run_all();
        }
        Ok(())
    }

    fn completion_event(&self) -> Option<BorrowedFd<'_>> {
        Some(self.ready.as_fd())
    }

    fn reap(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        let mut told = [0; 64];
        while self.ready.read(&mut told).is_ok_and(|len| len > 0) {}
        done.append(&mut self.done);
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.submitted.len() + self.done.len()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        self.run_all();
        self.reap(done)?;
        if self.shared.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
