// SPDX-License-Identifier: Apache-2.0
//! Guests that attack the real worker with all its devices. It neither fails nor grows, and the guest gets to its end.
//!
//! `FLOTILLA_HOSTILE_ROUNDS` makes them longer, `FLOTILLA_HOSTILE_SEED` other ones.

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use flotilla_test_guests::hostile::{ATTACKS, Attack};
use nix::sys::signal::Signal;
use support::{Running, has_kvm, run_command, text, wait_until};
use tempfile::TempDir;

const GUEST_MIB: u64 = 32;
/// Beside guest memory: the program, its threads, 1 MiB of console, and what devices buffer.
const WORKER_MIB: u64 = 40;
const DISK_LEN: u64 = 4 << 20;
/// Interpreted guests are slow.
const LIMIT: Duration = Duration::from_mins(2);

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Most memory that a process ever had, in MiB.
fn peak_mib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? >> 10)
}

/// A worker at work.
struct Attacked {
    worker: Running,
    directory: TempDir,
}

impl Attacked {
    fn start(image: &[u8], tap: Option<&str>, flags: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let kernel = directory.path().join("guest.elf");
        fs::write(&kernel, image).unwrap();
        let kernel = kernel.to_str().unwrap();
        let mut command =
            run_command(&["--kernel", kernel, "--cpus", "2", "--memory", &format!("{GUEST_MIB}M")]);
        command.args(flags);
        for (name, access) in [("first", ""), ("second", ",readonly")] {
            let path = directory.path().join(name);
            File::create(&path).unwrap().set_len(DISK_LEN).unwrap();
            command.args(["--disk", &format!("path={},format=raw{access}", path.display())]);
        }
        if let Some(tap) = tap {
            command.args(["--net", &format!("tap={tap}")]);
        }
        command.stderr(File::create(directory.path().join("log")).unwrap());
        Self { worker: Running(command.spawn().unwrap()), directory }
    }

    /// Waits for the end, keeping an eye on its memory, and checks what it left.
    fn ends(mut self, what: &str, expected: i32) {
        let started = Instant::now();
        let mut peak = 0;
        let status = loop {
            peak = peak_mib(self.worker.0.id()).unwrap_or(peak);
            if let Some(status) = self.worker.0.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < LIMIT, "{what} does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let log = fs::read_to_string(self.directory.path().join("log")).unwrap();
        assert_eq!(status.code(), Some(expected), "{what}: {status}\n{log}");
        assert!(!log.contains("panicked"), "{what}: {log}");
        assert!(log.len() < 1 << 20, "{what} fills the log: {} bytes", log.len());
        assert!(peak < GUEST_MIB + WORKER_MIB, "{what}: the worker grew to {peak} MiB");
        let second = fs::read(self.directory.path().join("second")).unwrap();
        assert!(second.iter().all(|byte| *byte == 0), "{what} wrote to a disk that is read-only");
    }
}

fn last_of(mut output: impl Read) -> Vec<u8> {
    let (mut tail, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..count]);
        tail.drain(..tail.len().saturating_sub(64));
    }
    tail
}

/// Attacks a worker with that many virtio functions, and expects that the guest gets to its end.
fn attack(attack: &Attack, functions: u8, tap: Option<&str>, flags: &[&str]) {
    let (seed, rounds) = (number("FLOTILLA_HOSTILE_SEED", 1), number("FLOTILLA_HOSTILE_ROUNDS", 20));
    let what = format!("{} with seed {seed}", attack.name);
    let script = attack.script(seed, functions, u32::try_from(rounds).unwrap());
    let mut attacked = Attacked::start(&script.image(), tap, flags);
    let stdout = attacked.worker.0.stdout.take().unwrap();
    let reader = std::thread::spawn(move || last_of(stdout));
    attacked.ends(&what, 0);
    let tail = text(&reader.join().unwrap());
    assert!(tail.ends_with("done\n"), "{what}: {tail:?}");
}

#[test]
fn a_hostile_guest_gets_to_its_end_and_harms_nothing() {
    if !has_kvm() {
        return;
    }
    // Entropy and two disks.
    for one in ATTACKS {
        attack(one, 3, None, &[]);
    }
}

/// Without PCI. Guests end by ACPI, so they are given that.
#[test]
fn a_hostile_guest_of_a_micro_machine_harms_nothing_either() {
    if !has_kvm() {
        return;
    }
    for one in ATTACKS.iter().filter(|one| ["ports", "legacy", "holes", "pages"].contains(&one.name)) {
        attack(one, 3, None, &["--profile", "micro", "--acpi"]);
    }
}

/// A tap interface that goes when the test does.
struct Tap(&'static str);

impl Tap {
    fn create(name: &'static str) -> Option<Self> {
        let words = ["tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr"];
        Command::new("ip").args(words).output().is_ok_and(|done| done.status.success()).then_some(Self(name))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["tuntap", "del", "dev", self.0, "mode", "tap"]).status();
    }
}

#[test]
fn a_hostile_guest_with_a_network_harms_nothing_either() {
    if !has_kvm() {
        return;
    }
    let Some(tap) = Tap::create("flo-hostile") else {
        support::lacks("tap interfaces need root and ip");
        return;
    };
    for one in
        ATTACKS.iter().filter(|one| ["registers", "msix", "rings", "resets", "two-cpus"].contains(&one.name))
    {
        attack(one, 4, Some(tap.0), &[]);
    }
}

/// The console keeps the last of it; the worker does not grow, and can be ended although nobody takes its output.
#[test]
fn a_flood_that_nobody_reads_is_bounded() {
    if !has_kvm() {
        return;
    }
    let flood = ATTACKS.iter().find(|attack| attack.name == "flood").unwrap();
    // Far more than the ring and the pipe hold, and than the guest writes until it is ended.
    let attacked = Attacked::start(&flood.script(1, 0, 10_000).image(), None, &[]);
    std::thread::sleep(Duration::from_secs(5));
    attacked.worker.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(200));
    attacked.worker.signal(Signal::SIGTERM);
    attacked.ends("the flood", 13);
}

/// A guest that has ended waits for its reader, but not for ever.
#[test]
fn a_worker_with_output_that_nobody_reads_obeys_a_signal() {
    if !has_kvm() {
        return;
    }
    let flood = ATTACKS.iter().find(|attack| attack.name == "flood").unwrap();
    // A little more than the pipe holds.
    let attacked = Attacked::start(&flood.script(1, 0, 18).image(), None, &[]);
    let has_vcpu = || {
        let threads = fs::read_dir(format!("/proc/{}/task", attacked.worker.0.id())).unwrap();
        let mut names =
            threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.any(|name| name.starts_with("vcpu"))
    };
    wait_until("the guest has started", has_vcpu);
    // One exit for each byte: slow where KVM itself is emulated.
    let started = Instant::now();
    while has_vcpu() {
        assert!(started.elapsed() < LIMIT, "the guest does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    attacked.worker.signal(Signal::SIGTERM);
    attacked.ends("output that nobody reads", 0);
}
