// SPDX-License-Identifier: Apache-2.0
//! Gets a vCPU out of its guest from another thread.
//!
//! ```text
//!   requester                              vCPU thread
//!   store the request                      loop {
//!   immediate_exit = 1                         KVM_RUN ──▶ EINTR
//!   send the signal                            immediate_exit = 0
//!                                              look at the requests   ◀── must come after the clearing
//!                                          }
//! ```
//!
//! Why no kick is lost: a kick that comes before `KVM_RUN` is seen in `immediate_exit`; one that comes while the
//! guest runs is a signal, which ends `KVM_RUN`; one that comes after `KVM_RUN` returned is either still seen next
//! time or was cleared before the requests were looked at, and the request was stored before the kick.

use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::HypervisorError;
use crate::run_page::RunPage;

/// Gets a vCPU out of its guest. Cheap to clone, usable from any thread.
///
/// The first vCPU thread of the process installs an empty handler for the signal `SIGRTMIN`; a process that uses
/// this crate must leave that signal alone. Nothing else in this crate is global to the process.
#[derive(Debug, Clone)]
pub struct VcpuKicker {
    page: Arc<RunPage>,
    thread: Arc<Mutex<Option<libc::pid_t>>>,
}

/// Kicks reach the current thread until this is dropped.
#[derive(Debug)]
pub struct Binding {
    thread: Arc<Mutex<Option<libc::pid_t>>>,
    /// Must be dropped on the thread it was made on.
    _not_send: PhantomData<*const ()>,
}

impl VcpuKicker {
    pub(crate) fn new(page: Arc<RunPage>) -> Self {
        Self { page, thread: Arc::default() }
    }

    /// Makes the current thread the one that is signalled. Called by the vCPU's thread before its first run.
    /// A kick that came before is not lost: the first run returns at once.
    pub fn bind_current_thread(&self) -> Result<Binding, HypervisorError> {
        install_handler()?;
        unblock().map_err(|source| HypervisorError::Signal { signal: signal(), source })?;
        // SAFETY: takes no argument and cannot fail.
        let thread = unsafe { libc::gettid() };
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Binding { thread: Arc::clone(&self.thread), _not_send: PhantomData })
    }

    /// Makes the current run, or else the next one, return `Exit::Interrupted`. Store the request first.
    pub fn kick(&self) {
        self.page.set_immediate_exit(true);
        // Held while signalling, so that the thread cannot unbind and end in between.
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = *thread {
            // SAFETY: takes no argument and cannot fail.
            let process = unsafe { libc::getpid() };
            // SAFETY: sends a signal with an installed handler to a thread of this very process.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal()) };
        }
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// Ends a system call, nothing else.
extern "C" fn on_kick(_signal: libc::c_int) {}

fn install_handler() -> Result<(), HypervisorError> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let outcome = *INSTALLED.get_or_init(|| {
        let present = current_handler().map_err(|error| error.raw_os_error().unwrap_or(0))?;
        if present != libc::SIG_DFL && present != libc::SIG_IGN {
            return Err(libc::EBUSY);
        }
        set_handler().map_err(|error| error.raw_os_error().unwrap_or(0))
    });
    outcome.map_err(|errno| HypervisorError::Signal {
        signal: signal(),
        source: io::Error::from_raw_os_error(errno),
    })
}

fn empty_action() -> libc::sigaction {
    // SAFETY: all zeroes is a valid sigaction: default handler, no flags, empty mask.
    unsafe { std::mem::zeroed() }
}

fn current_handler() -> io::Result<libc::sighandler_t> {
    let mut action = empty_action();
    // SAFETY: a null new action only queries; the old one is written to our own variable.
    let result = unsafe { libc::sigaction(signal(), std::ptr::null(), &raw mut action) };
    if result == 0 { Ok(action.sa_sigaction) } else { Err(io::Error::last_os_error()) }
}

/// `SA_RESTART`: a system call of a device handler on the vCPU's thread goes on; `KVM_RUN` ends all the same.
fn set_handler() -> io::Result<()> {
    let mut action = empty_action();
    action.sa_sigaction = on_kick as extern "C" fn(libc::c_int) as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler is an extern "C" function that does nothing, hence is async-signal-safe.
    let result = unsafe { libc::sigaction(signal(), &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the current thread receive the signal, whatever mask it inherited.
fn unblock() -> io::Result<()> {
    let mut set = empty_action().sa_mask;
    // SAFETY: the set is our own variable and the signal number is valid.
    unsafe { libc::sigaddset(&raw mut set, signal()) };
    // SAFETY: the set is initialised; a null old set is allowed.
    let errno = unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}
