// SPDX-License-Identifier: Apache-2.0
//! `io_uring`. System call filters do not see what a ring does, so the ring itself is restricted: it starts
//! disabled, learns its eventfd, its one file and the few operations on it that are allowed, and is then enabled.
//! Nothing can be registered afterwards.
//!
//! A transfer stays in its slot from submission until its completion was taken from the ring; the ring is dropped
//! only when no slot is taken. If that cannot be reached, the slots are leaked: the kernel may still write to them.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::block::{BlockQueue, Completion, Request};
use io_uring::register::Restriction;
use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, squeue, types};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::disk::Disk;
use crate::transfer::{Direction, Transfer};

/// The disk is the only registered file.
const DISK: types::Fixed = types::Fixed(0);

/// How often, and how far apart, the kernel is asked again when it lacks memory for a submission.
const SUBMIT_ATTEMPTS: u32 = 1000;
const SUBMIT_PAUSE: Duration = Duration::from_millis(1);

/// Whether the host allows a ring such as disks use. Kernels say no in many ways (sysctl, filter, age, memory limit):
/// only trying tells.
pub fn try_ring() -> io::Result<()> {
    let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
    let file = File::open("/dev/null")?;
    restricted_ring(1, event.as_raw_fd(), file.as_raw_fd()).map(drop)
}

/// A ring that tells `event` of completions and does nothing but reads, writes and syncs of `disk`.
fn restricted_ring(depth: u16, event: RawFd, disk: RawFd) -> io::Result<IoUring> {
    let ring = IoUring::builder()
        .dontfork()
        .setup_r_disabled()
        .build(u32::from(depth.checked_next_power_of_two().unwrap_or(1 << 15)))?;
    let submitter = ring.submitter();
    submitter.register_eventfd(event)?;
    submitter.register_files(&[disk])?;
    submitter.register_restrictions(&mut [
        Restriction::sqe_op(opcode::Readv::CODE),
        Restriction::sqe_op(opcode::Writev::CODE),
        Restriction::sqe_op(opcode::Fsync::CODE),
        Restriction::sqe_flags_required(Flags::FIXED_FILE.bits()),
    ])?;
    submitter.register_enable_rings()?;
    Ok(ring)
}

/// Requests in a ring of their own.
pub(crate) struct UringQueue {
    ring: IoUring,
    event: OwnedFd,
    slots: ManuallyDrop<Vec<Option<Transfer>>>,
    free: Vec<usize>,
    finished: Vec<Completion>,
    disk: Arc<Disk>,
}

impl UringQueue {
    /// Sets up a ring for `depth` requests. Fails where the host refuses `io_uring` or lacks what we need of it.
    pub(crate) fn new(disk: Arc<Disk>, depth: u16) -> io::Result<Self> {
        let depth = depth.max(1);
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?;
        let ring = restricted_ring(depth, event.as_raw_fd(), disk.as_raw_fd())?;
        // SAFETY: `into_raw_fd` gives up the descriptor, which has no other owner now.
        let event = unsafe { OwnedFd::from_raw_fd(event.into_raw_fd()) };
        let slots = std::iter::repeat_with(|| None).take(usize::from(depth)).collect();
        Ok(Self {
            ring,
            event,
            slots: ManuallyDrop::new(slots),
            free: (0..usize::from(depth)).rev().collect(),
            finished: Vec::new(),
            disk,
        })
    }

    /// Transfers that the kernel has or will get.
    fn taken(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn push(&mut self, slot: usize) -> io::Result<()> {
        let Some(Some(transfer)) = self.slots.get(slot) else { return Ok(()) };
        let entry = entry(transfer).user_data(slot as u64);
        // SAFETY: the buffer list and the guest memory it names belong to the transfer, which stays in its slot,
        // unchanged, until the completion with this slot number was taken from the ring.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    /// Takes completions from the ring. Returns whether some transfers need another round.
    fn collect(&mut self) -> io::Result<bool> {
        let entries: Vec<(usize, i32)> = self
            .ring
            .completion()
            .map(|entry| (usize::try_from(entry.user_data()).unwrap_or(usize::MAX), entry.result()))
            .collect();
        let mut again = false;
        for (slot, result) in entries {
            let result =
                usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(result.wrapping_neg()));
            let Some(place) = self.slots.get_mut(slot) else { continue };
            let Some(transfer) = place else { continue };
            if let Some(end) = transfer.settle(result) {
                self.finished.extend(place.take().map(|transfer| transfer.finish(end)));
                self.free.push(slot);
            } else {
                self.push(slot)?;
                again = true;
            }
        }
        Ok(again)
    }

    /// Hands all pushed entries to the kernel and waits for `want` completions.
    fn enter(&mut self, want: usize) -> io::Result<()> {
        let mut attempts = 0;
        loop {
            match self.ring.submit_and_wait(want) {
                Ok(_) if self.ring.submission().is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY)) => {
                    return Err(error);
                }
                Err(error) => {
                    attempts += 1;
                    if attempts > SUBMIT_ATTEMPTS {
                        return Err(error);
                    }
                    std::thread::sleep(SUBMIT_PAUSE);
                }
            }
        }
    }

    fn clear_event(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: writes at most 8 bytes to a buffer of 8. That it may be empty (EAGAIN) is fine.
        unsafe { libc::read(self.event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// Reports completions that did not come through the ring.
    fn raise_event(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: reads 8 bytes from a buffer of 8. A full counter means that the event is raised already.
        unsafe { libc::write(self.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

fn entry(transfer: &Transfer) -> squeue::Entry {
    let buffers = transfer.buffers();
    let count = u32::try_from(buffers.len()).unwrap_or(u32::MAX);
    match transfer.direction() {
        Direction::Read => {
            opcode::Readv::new(DISK, buffers.as_ptr(), count).offset(transfer.offset()).build()
        }
        Direction::Write => {
            opcode::Writev::new(DISK, buffers.as_ptr(), count).offset(transfer.offset()).build()
        }
        Direction::Flush => opcode::Fsync::new(DISK).flags(types::FsyncFlags::DATASYNC).build(),
    }
}

impl BlockQueue for UringQueue {
    fn submit(&mut self, request: Request) -> io::Result<()> {
        if self.finished.len() >= self.free.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match Transfer::new(request, &self.disk, &mut Vec::new()) {
            Err(completion) => {
                self.finished.push(completion);
                self.raise_event();
                Ok(())
            }
            Ok(transfer) => {
                let slot = self.free.pop().ok_or(io::ErrorKind::WouldBlock)?;
                if let Some(place) = self.slots.get_mut(slot) {
                    *place = Some(transfer);
                }
                self.push(slot)
            }
        }
    }

    fn kick(&mut self) -> io::Result<()> {
        if self.ring.submission().is_empty() { Ok(()) } else { self.enter(0) }
    }

    fn completion_event(&self) -> Option<BorrowedFd<'_>> {
        Some(self.event.as_fd())
    }

    fn reap(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        // Before the look into the ring: what completes afterwards raises the event again.
        self.clear_event();
        if self.collect()? {
            self.enter(0)?;
        }
        done.append(&mut self.finished);
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.taken() + self.finished.len()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        self.kick()?;
        loop {
            self.reap(done)?;
            if self.taken() == 0 {
                return Ok(());
            }
            self.enter(1)?;
        }
    }
}

impl Drop for UringQueue {
    fn drop(&mut self) {
        match self.drain(&mut Vec::new()) {
            // SAFETY: nothing uses the slots after this, and the kernel holds none of them.
            Ok(()) => unsafe { ManuallyDrop::drop(&mut self.slots) },
            Err(error) => tracing::error!(%error, "disk requests did not end: their memory is leaked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_does_nothing_but_what_it_was_made_for() {
        let disk = crate::tests::disk(4096);
        let Ok(mut queue) = UringQueue::new(disk, 4) else { return crate::tests::skip("io_uring refused") };
        let path = c"/etc/passwd".as_ptr();
        let forbidden = [
            opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path).build(),
            opcode::Nop::new().build(),
            opcode::Fsync::new(types::Fd(queue.disk.as_raw_fd())).build(),
        ];
        for entry in forbidden {
            // SAFETY: the entry names only a static string and an open descriptor.
            unsafe { queue.ring.submission().push(&entry) }.unwrap();
            queue.ring.submit_and_wait(1).unwrap();
            let result = queue.ring.completion().next().unwrap().result();
            assert_eq!(result, -libc::EACCES);
        }
        let late = queue.ring.submitter().register_files(&[0]);
        assert!(late.is_err(), "a restricted ring must take no new files");
    }
}
