// SPDX-License-Identifier: Apache-2.0
//! A worker one of whose threads hangs ends nevertheless, in time.

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use support::trace::{hang, thread};
use support::{Running, guest, has_kvm, run_command, skip};

/// The limits of a machine's waiting, and as much again for a busy host.
const LIMIT: Duration = Duration::from_secs(40);

/// Ends a worker whose thread of that name hangs, by two signals, and gives what it says.
fn ends_without(name: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let kernel = guest(directory.path(), "spin");
    let mut worker = Running(run_command(&["--kernel", kernel.to_str().unwrap()]).spawn().unwrap());
    worker.read_until("ready\n");
    let thread = thread(worker.0.id(), name).unwrap();
    if !hang(thread) {
        skip("threads cannot be traced here");
        return None;
    }
    worker.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(200));
    worker.signal(Signal::SIGTERM);
    let started = Instant::now();
    let mut status = None;
    while status.is_none() && started.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(20));
        // What is traced is gone only when its tracer has heard of it.
        let _ = waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
        status = worker.0.try_wait().unwrap();
    }
    if status.is_none() {
        worker.signal(Signal::SIGKILL);
        let _ = waitpid(thread, Some(WaitPidFlag::__WALL));
    }
    assert_eq!(status.and_then(|status| status.code()), Some(13), "{name}");
    let mut said = String::new();
    std::io::Read::read_to_string(&mut worker.0.stderr.take().unwrap(), &mut said).unwrap();
    Some(said)
}

#[test]
fn a_worker_whose_vcpu_hangs_ends() {
    if !has_kvm() {
        return;
    }
    let Some(said) = ends_without("vcpu0") else { return };
    assert!(said.contains("vCPU 0 did not end"), "{said}");
}

#[test]
fn a_worker_whose_driver_hangs_ends() {
    if !has_kvm() {
        return;
    }
    let Some(said) = ends_without("machine") else { return };
    assert!(said.contains("machine is given up"), "{said}");
}
