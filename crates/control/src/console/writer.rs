// SPDX-License-Identifier: Apache-2.0
//! Who may write to a console.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

type Holder = Mutex<Option<Arc<UnixStream>>>;

/// The one writer. A client that has closed its connection holds it no more from that moment on, whether or not a
/// thread here has noticed.
#[derive(Default)]
pub(super) struct Writer(Arc<Holder>);

/// The right to write; given back when it is dropped.
pub(super) struct Turn {
    holder: Arc<Holder>,
    stream: Arc<UnixStream>,
}

impl Writer {
    /// Makes a connection the writer unless another one is.
    pub fn claim(&self, stream: &Arc<UnixStream>) -> Option<Turn> {
        let mut holder = lock(&self.0);
        if holder.as_deref().is_some_and(|other| !is_closed(other)) {
            return None;
        }
        *holder = Some(Arc::clone(stream));
        Some(Turn { holder: Arc::clone(&self.0), stream: Arc::clone(stream) })
    }
}

impl Turn {
    /// Whether nobody else has become the writer meanwhile.
    pub fn lasts(&self) -> bool {
        self.is_held(lock(&self.holder).as_ref())
    }

    /// Does something that only the writer may, while nobody else can become it.
    pub fn during(&self, act: impl FnOnce()) {
        let holder = lock(&self.holder);
        if self.is_held(holder.as_ref()) {
            act();
        }
    }

    fn is_held(&self, holder: Option<&Arc<UnixStream>>) -> bool {
        holder.is_some_and(|stream| Arc::ptr_eq(stream, &self.stream))
    }
}

impl Turn {
    /// Gives the right back, unless somebody else has it; `leave` comes before anybody else can have it.
    pub fn end(&self, leave: impl FnOnce()) {
        let mut holder = lock(&self.holder);
        if self.is_held(holder.as_ref()) {
            leave();
            *holder = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end(|| {});
    }
}

/// Whether the peer has closed its end, or the half it writes to.
fn is_closed(stream: &UnixStream) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::RDHUP)];
    let _ = poll(&mut polled, Some(&Timespec::default()));
    let [polled] = polled;
    polled.revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}

fn lock(holder: &Holder) -> MutexGuard<'_, Option<Arc<UnixStream>>> {
    holder.lock().unwrap_or_else(PoisonError::into_inner)
}
