// SPDX-License-Identifier: Apache-2.0
//! Threads that hang. A debugger's stop stands for it: the thread neither goes on nor takes notice of anything.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The worker's thread of that name.
pub fn thread(process: u32, name: &str) -> Option<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let found = threads.flatten().find(|thread| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    })?;
    Some(Pid::from_raw(found.file_name().to_str()?.parse().ok()?))
}

/// Stops one thread for good. `false` when threads cannot be traced here.
pub fn hang(thread: Pid) -> bool {
    if ptrace::seize(thread, ptrace::Options::empty()).is_err() {
        return false;
    }
    ptrace::interrupt(thread).unwrap();
    let stopped = waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
    assert!(matches!(stopped, WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)), "{stopped:?}");
    true
}
