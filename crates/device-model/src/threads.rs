// SPDX-License-Identifier: Apache-2.0
//! How a machine hears of the threads that its devices start.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

/// Bytes of stack of a thread: less than a huge page, which the kernel otherwise may give to a stack at its first touch.
/// Nothing here recurses.
const STACK: usize = 1 << 20;

/// A thread with its name, and the stack all threads of a machine have.
pub fn named(name: impl Into<String>) -> thread::Builder {
    thread::Builder::new().name(name.into()).stack_size(STACK)
}

/// Why a device's thread ended before its time. Never the fault of the guest.
#[derive(Debug)]
pub enum ThreadFault {
    /// Our own code panicked; the text is its message.
    Panicked(String),
    /// The host refused something that the thread cannot work without.
    Failed(io::Error),
}

/// Watches the threads of devices. Supplied by the machine; called on the thread itself, must not block.
pub trait DeviceThreads: Send + Sync {
    /// The first thing a thread does. After an error it serves nothing and ends with that fault.
    fn begin(&self) -> io::Result<()>;

    /// A thread of `device` ended before its time: the device serves no more.
    fn failed(&self, device: &str, fault: ThreadFault);
}

/// For devices without a machine around them.
pub struct Unwatched;

impl DeviceThreads for Unwatched {
    fn begin(&self) -> io::Result<()> {
        Ok(())
    }

    fn failed(&self, device: &str, fault: ThreadFault) {
        tracing::error!(device, ?fault, "a thread of a device ended before its time");
    }
}

/// The threads of one device.
#[derive(Clone)]
pub struct WatchedThread {
    /// Name of the device.
    pub device: String,
    /// Who watches.
    pub threads: Arc<dyn DeviceThreads>,
}

impl WatchedThread {
    /// The whole life of a thread: whoever watches hears how it failed before this returns. A panic goes on after
    /// that, so that `join` tells of it too.
    pub fn run(&self, serve: impl FnOnce() -> io::Result<()>) {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            self.threads.begin()?;
            serve()
        }));
        match caught {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.threads.failed(&self.device, ThreadFault::Failed(error)),
            Err(panic) => {
                self.threads.failed(&self.device, ThreadFault::Panicked(panic_text(panic.as_ref())));
                resume_unwind(panic);
            }
        }
    }
}

/// The message of a caught panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
