// SPDX-License-Identifier: Apache-2.0
//! One descriptor that says when any of several queues has something to reap, or this one itself.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use flotilla_device_model::block::BlockQueue;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// The events of several queues in one.
pub(super) struct Events {
    all: OwnedFd,
    own: EventFd,
}

impl Events {
    /// `None`: all of the queues end their requests at once, and there is nothing to wait for.
    pub(super) fn new(queues: &[Box<dyn BlockQueue>]) -> io::Result<Option<Self>> {
        if queues.iter().all(|queue| queue.completion_event().is_none()) {
            return Ok(None);
        }
        // SAFETY: takes no memory.
        let all = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if all < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call just made this descriptor, and nobody else has it.
        let all = unsafe { OwnedFd::from_raw_fd(all) };
        let events = Self { all, own: EventFd::new(EFD_NONBLOCK)? };
        events.watch(events.own.as_raw_fd())?;
        for queue in queues {
            if let Some(event) = queue.completion_event() {
                events.watch(event.as_raw_fd())?;
            }
        }
        Ok(Some(events))
    }

    fn watch(&self, descriptor: libc::c_int) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: 0 };
        // SAFETY: reads one epoll_event, which lives through the call.
        let answer =
            unsafe { libc::epoll_ctl(self.all.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.all.as_fd()
    }

    /// Reports completions that come from no other queue. A full counter is raised already.
    pub(super) fn raise(&self) {
        let _ = self.own.write(1);
    }

    /// That nothing was raised is fine.
    pub(super) fn clear(&self) {
        let _ = self.own.read();
    }
}
