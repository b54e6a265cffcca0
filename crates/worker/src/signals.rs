// SPDX-License-Identifier: Apache-2.0
//! Signals as messages: they are blocked in every thread and read by one, so nothing runs in a handler.

use std::io;
use std::sync::mpsc::Sender;

use flotilla_vmm::named;

use nix::sys::signal::{SigSet, Signal};

/// What a signal asks of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// End in an orderly way (SIGINT, SIGTERM).
    PowerOff,
    /// End now: the terminal is gone (SIGHUP, SIGQUIT).
    Stop,
    /// Look how large the terminal is now (SIGWINCH).
    Resized,
}

/// Blocks the signals and sends what they ask for. Call it before any other thread exists.
///
/// With `survive` the loss of the terminal and the parent is no request, nor is another size: SIGHUP, SIGQUIT and SIGWINCH are dropped.
pub fn listen<M: Send + 'static>(to: Sender<M>, survive: bool, message: fn(Request) -> M) -> io::Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH] {
        set.add(signal);
    }
    set.thread_block()?;
    let wait = move || {
        loop {
            let request = match set.wait() {
                Ok(Signal::SIGINT | Signal::SIGTERM) => Request::PowerOff,
                Ok(_) if survive => continue,
                Ok(Signal::SIGWINCH) => Request::Resized,
                Ok(_) => Request::Stop,
                Err(_) => return,
            };
            if to.send(message(request)).is_err() {
                return;
            }
        }
    };
    named("signals").spawn(wait).map(drop)
}
