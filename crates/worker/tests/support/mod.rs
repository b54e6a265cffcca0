// SPDX-License-Identifier: Apache-2.0
//! The real binary, and small guests for it.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod trace;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub const BINARY: &str = env!("CARGO_BIN_EXE_flotilla-vmm");

/// Whether guests can run here; says so when they cannot. With `REQUIRE_KVM=1` that is a failure.
pub fn has_kvm() -> bool {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    if !opened {
        lacks("/dev/kvm cannot be opened");
    }
    opened
}

/// Says what a test lacks here. With `REQUIRE_KVM=1`, on a host that is to have everything, that is a failure.
pub fn lacks(what: &str) {
    assert!(!std::env::var("REQUIRE_KVM").is_ok_and(|value| value == "1"), "REQUIRE_KVM=1: {what}");
    skip(what);
}

/// Says that a test does not run here.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Writes the image of a bare-metal guest.
pub fn guest(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(format!("{name}.elf"));
    std::fs::write(&path, flotilla_test_guests::guest(name).unwrap().image()).unwrap();
    path
}

/// `flotilla-vmm run` with flags.
pub fn run_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("run").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end; one that hangs is killed and fails the test.
pub fn finish(mut command: Command) -> Output {
    let mut child = Running(command.spawn().unwrap());
    let status = child.wait(Duration::from_mins(1));
    let mut output = Output { status, stdout: Vec::new(), stderr: Vec::new() };
    child.0.stdout.take().unwrap().read_to_end(&mut output.stdout).unwrap();
    child.0.stderr.take().unwrap().read_to_end(&mut output.stderr).unwrap();
    output
}

pub fn assert_refused(arguments: &[&str], status: i32, parts: &[&str]) {
    let output = finish(run_command(arguments));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: {part:?} is not in {said:?}");
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A child that does not outlive its test.
pub struct Running(pub Child);

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < limit, "the process did not end within {limit:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads the standard output until it has `wanted`.
    pub fn read_until(&mut self, wanted: &str) -> String {
        let mut seen = Vec::new();
        let mut byte = [0];
        let stdout = self.0.stdout.as_mut().unwrap();
        while !text(&seen).contains(wanted) {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "output ended after {:?}", text(&seen));
            seen.push(byte[0]);
        }
        text(&seen)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
