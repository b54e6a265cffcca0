// SPDX-License-Identifier: Apache-2.0
//! One process, told from every other one for ever.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

/// How a worker ended. Both are absent for a worker that is no child of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerExit {
    /// Its exit status.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// What tells a process from every other one since the host booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// Its pid.
    pub pid: u32,
    /// When it began, in clock ticks since the host booted.
    pub start_time: u64,
}

/// A process that was seen alive.
#[derive(Debug)]
pub struct Process {
    descriptor: OwnedFd,
    identity: ProcessIdentity,
}

impl Process {
    /// The process with this pid, if it lives.
    pub fn open(pid: u32) -> Option<Self> {
        let raw = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
        let descriptor = pidfd_open(Pid::from_raw(raw)?, PidfdFlags::empty()).ok()?;
        // Read after the descriptor was opened: this is the start time of the same process.
        let start_time = start_time(pid)?;
        Some(Self { descriptor, identity: ProcessIdentity { pid, start_time } })
    }

    /// The very process, if it lives.
    pub fn find(identity: ProcessIdentity) -> Option<Self> {
        Self::open(identity.pid).filter(|process| process.identity == identity)
    }

    /// What tells it from every other process.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Ends it now. One that has ended already is no error.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
    }

    /// Waits for its end; whether it has ended.
    pub fn wait(&self, limit: Duration) -> bool {
        let Ok(limit) = Timespec::try_from(limit) else { return false };
        let mut polled = [PollFd::new(&self.descriptor, PollFlags::IN)];
        matches!(poll(&mut polled, Some(&limit)), Ok(1..))
    }

    /// Another descriptor of the same process.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { descriptor: self.descriptor.try_clone()?, identity: self.identity })
    }

    /// Takes the exit of an ended child, so that no zombie stays. Empty for what is no child or does not end.
    pub fn reap(&self) -> WorkerExit {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match waitid(WaitId::PidFd(self.descriptor.as_fd()), options) {
            Ok(Some(status)) => {
                WorkerExit { status: status.exit_status(), signal: status.terminating_signal() }
            }
            Ok(None) | Err(_) => WorkerExit::default(),
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The boot of the host that pids and start times belong to.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn start_time(pid: u32) -> Option<u64> {
    Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?.start_time()
}

/// /proc/<pid>/stat (proc(5)) of a process that lives.
pub(super) struct Stat<'a>(Vec<&'a str>);

impl<'a> Stat<'a> {
    /// `None` for a process that has ended, zombies among them. The second field is the name in parentheses and may hold
    /// anything, parentheses and spaces among it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let fields: Vec<_> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let lives = !matches!(*fields.first()?, "Z" | "X" | "x");
        lives.then_some(Self(fields))
    }

    /// A field by its number in the manual, from 4 on.
    pub(super) fn field(&self, number: usize) -> Option<u64> {
        self.0.get(number.checked_sub(3)?)?.parse().ok()
    }

    /// When the process began, in clock ticks since the host booted.
    pub(super) fn start_time(&self) -> Option<u64> {
        self.field(22)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn reads_the_start_time_behind_any_name() {
        let rest = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 999";
        let read = |text: &str| Stat::parse(text)?.start_time();
        assert_eq!(read(&format!("42 (a) R ) b) S {rest}")), Some(123_456));
        assert_eq!(read(&format!("42 (x) Z {rest}")), None);
        assert_eq!(read("42 (x"), None);
        assert_eq!(read("42 (x) S 1 2"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn sees_the_end_of_a_child_and_how_it_ended() {
        #[expect(clippy::zombie_processes, reason = "the process under test reaps it")]
        let child = Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        let identity = process.identity();
        assert!(Process::find(identity).is_some());
        assert!(Process::find(ProcessIdentity { start_time: identity.start_time + 1, ..identity }).is_none());
        assert!(!process.wait(Duration::ZERO));
        process.kill();
        assert!(process.wait(Duration::from_secs(10)));
        assert!(Process::open(child.id()).is_none(), "a zombie does not live");
        assert_eq!(process.reap(), WorkerExit { status: None, signal: Some(9) });
        assert_eq!(process.reap(), WorkerExit::default());
    }

    #[test]
    fn finds_no_process_under_an_impossible_pid() {
        assert!(Process::open(0).is_none());
        assert!(Process::open(u32::MAX).is_none());
    }
}
