// SPDX-License-Identifier: Apache-2.0
//! What goes wrong in a machine stays in it.

use std::fs;
use std::sync::Arc;

use flotilla_device_model::bus::BusDevice;
use flotilla_spec::code::ErrorCode;

use super::{Fixture, kvm_is_there, spec_of, valid};
use crate::builder;
use crate::driver::{Driver, Policies};
use crate::inbox::Inbox;
use crate::shared::Shared;
use crate::{Console, ExitReason, IgnoreEvents, MachineOptions, Resources};

struct Panics;

impl BusDevice for Panics {
    fn read(&self, _offset: u64, _data: &mut [u8]) {
        panic!("made to fail");
    }

    fn write(&self, _offset: u64, _data: &[u8]) {
        panic!("made to fail");
    }
}

#[test]
fn a_panic_of_ours_ends_the_machine_with_our_name_on_it() {
    if !kvm_is_there() {
        return;
    }
    let (spec, _directory) = spec_of("hostile");
    let spec = valid(spec);
    let (inbox, shared) = (Arc::new(Inbox::default()), Arc::new(Shared::default()));
    let options = MachineOptions::new(Arc::new(IgnoreEvents), Console::new());
    let mut parts = builder::build(&spec, Resources::open(&spec).unwrap(), &options, &inbox).unwrap();
    parts.routes.ports.insert(0x510, 1, Arc::new(Panics)).unwrap();
    parts.load_guest().unwrap();
    parts.start();
    let policies =
        Policies { reboot: spec.on_reboot, panic: spec.on_panic, triple_fault: spec.on_triple_fault };
    Driver::new(parts, policies, inbox, Arc::clone(&shared), Arc::new(IgnoreEvents)).run();
    let exit = shared.exit().unwrap();
    assert_eq!((exit.reason, exit.code), (ExitReason::Error, Some(ErrorCode::CorePanic)));
    let message = exit.message.unwrap();
    assert!(message.contains("Flotilla") && message.contains("made to fail"), "{message}");
}

#[test]
fn a_guest_that_pokes_every_port_harms_nothing() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("hostile", |_| ());
    let exit = fixture.wait();
    assert_eq!(exit.reason, ExitReason::PoweredOff, "{exit:?} {:?}", fixture.output());
    assert!(fixture.output().contains("done\n"));
}

/// Open files and threads of this process, by what they are called.
fn left_over() -> (Vec<String>, Vec<String>) {
    let list = |directory: &str, name: fn(&std::path::Path) -> std::io::Result<String>| {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.filter_map(|entry| name(&entry.ok()?.path()).ok()).collect();
        names.sort();
        names
    };
    let file = |path: &std::path::Path| fs::read_link(path).map(|target| format!("{}", target.display()));
    let thread = |path: &std::path::Path| fs::read_to_string(path.join("comm"));
    (list("/proc/self/fd", file), list("/proc/self/task", thread))
}

#[test]
fn the_drop_of_the_last_handle_ends_everything() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("spin", |spec| spec.cpus = 4);
    fixture.expect("ready\n");
    let clone = fixture.machine.clone();
    let console = Arc::downgrade(&fixture.console);
    drop(fixture);
    assert!(console.upgrade().is_some());
    clone.pause().unwrap();
    drop(clone);
    assert!(console.upgrade().is_none(), "something of the machine is left");
}

/// Runs alone in a process of its own, so that other tests do not change the counts.
#[test]
fn twenty_machines_leave_nothing_behind() {
    const ALONE: &str = "FLOTILLA_TEST_ALONE";
    if !kvm_is_there() {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        let name = "tests::faults::twenty_machines_leave_nothing_behind";
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let round = || {
        let fixture = Fixture::boot("echo", |spec| spec.cpus = 2);
        fixture.expect("ready\n");
    };
    round();
    let before = left_over();
    for _ in 0..20 {
        round();
    }
    assert_eq!(left_over(), before);
}
