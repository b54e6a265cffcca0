// SPDX-License-Identifier: Apache-2.0
//! Whole machines with bare-metal guests, on whatever KVM the host has.
//!
//! Without /dev/kvm they say so and do nothing; with `REQUIRE_KVM=1` in the environment they fail.

mod alarm;
mod balloon;
mod clock;
mod console;
mod disks;
mod faults;
mod hangs;
mod lifecycle;
mod micro;
mod net;
mod pmem;
mod resources;
mod shares;
mod smp;
mod snapshots;
mod vm_generation;
mod watchdog;

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use flotilla_spec::report::{MachineEvent, MachineExit};
use flotilla_spec::{HostLimits, MachineSpec, ValidSpec};
use flotilla_test_guests::guest;
use tempfile::TempDir;

use crate::{Console, Machine, MachineEvents, MachineOptions, Resources};

/// How long anything here may take; an interpreted guest on a busy host is slow.
const LIMIT: Duration = Duration::from_mins(1);

struct Sender(Mutex<mpsc::Sender<MachineEvent>>);

impl MachineEvents for Sender {
    fn event(&self, event: MachineEvent) {
        let _ = self.0.lock().unwrap().send(event);
    }
}

/// A machine with what a test looks at.
struct Fixture {
    machine: Machine,
    console: Arc<Console>,
    events: mpsc::Receiver<MachineEvent>,
    _directory: TempDir,
}

/// A specification of a machine with the named guest, in a directory of its own.
pub(crate) fn spec_of(name: &str) -> (MachineSpec, TempDir) {
    spec_with(&guest(name).unwrap().image())
}

/// The same with a guest of the test's own.
pub(crate) fn spec_with(image: &[u8]) -> (MachineSpec, TempDir) {
    let directory = TempDir::new().unwrap();
    let kernel = directory.path().join("guest.elf");
    File::create(&kernel).unwrap().write_all(image).unwrap();
    let json = serde_json::json!({
        "cpus": 1,
        "memory": 32 << 20,
        "boot": { "kernel": { "path": kernel } },
    });
    (serde_json::from_value(json).unwrap(), directory)
}

pub(crate) fn valid(spec: MachineSpec) -> ValidSpec {
    spec.validate(&HostLimits::ANY).unwrap()
}

/// Whether machines can run here; says so if not.
pub(crate) fn kvm_is_there() -> bool {
    if File::options().read(true).write(true).open("/dev/kvm").is_ok() {
        return true;
    }
    assert!(std::env::var_os("REQUIRE_KVM").is_none(), "REQUIRE_KVM is set and /dev/kvm cannot be used");
    let _ = writeln!(std::io::stderr(), "SKIPPED: no usable /dev/kvm");
    false
}

impl Fixture {
    /// A built machine with the named guest.
    fn build(name: &str, change: impl FnOnce(&mut MachineSpec)) -> Self {
        let (mut spec, directory) = spec_of(name);
        change(&mut spec);
        Self::of(spec, directory)
    }

    /// A built machine.
    fn of(spec: MachineSpec, directory: TempDir) -> Self {
        let resources = Resources::open(&valid(spec.clone())).unwrap();
        Self::with(spec, resources, directory)
    }

    /// A machine built from files that are open.
    fn with(spec: MachineSpec, resources: Resources, directory: TempDir) -> Self {
        let spec = valid(spec);
        let (sender, events) = mpsc::channel();
        let console = Console::new();
        let options = MachineOptions::new(Arc::new(Sender(Mutex::new(sender))), Arc::clone(&console));
        let machine = Machine::build(spec, resources, options).unwrap();
        Self { machine, console, events, _directory: directory }
    }

    /// A running machine with the named guest.
    fn boot(name: &str, change: impl FnOnce(&mut MachineSpec)) -> Self {
        let fixture = Self::build(name, change);
        fixture.machine.boot().unwrap();
        fixture
    }

    fn output(&self) -> String {
        let mut buffer = vec![0; 1 << 16];
        let chunk = self.console.read_from(0, &mut buffer, Duration::ZERO);
        String::from_utf8_lossy(&buffer[..chunk.len]).into_owned()
    }

    /// Waits until the output contains `text`.
    fn expect(&self, text: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.output().contains(text) {
            assert!(
                Instant::now() < deadline,
                "{text:?} did not come, only {:?}; {:?}",
                self.output(),
                self.machine
            );
            assert!(
                self.machine.info().exit.is_none() || self.output().contains(text),
                "ended without {text:?}: {:?}, {:?}",
                self.output(),
                self.machine.info()
            );
            self.console.read_from(self.console.end(), &mut [0], Duration::from_millis(100));
        }
    }

    fn wait(&self) -> MachineExit {
        let exit = self.machine.wait(Some(LIMIT));
        exit.unwrap_or_else(|| panic!("still runs: {:?}, {:?}", self.output(), self.machine.metrics()))
    }

    /// Waits for an event that `wanted` accepts.
    fn event(&self, wanted: impl Fn(&MachineEvent) -> bool) -> MachineEvent {
        loop {
            let event = self.events.recv_timeout(LIMIT).expect("the event comes");
            if wanted(&event) {
                return event;
            }
        }
    }
}
