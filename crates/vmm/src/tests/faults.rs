// SPDX-License-Identifier: Apache-2.0
//! What goes wrong in a machine stays in it.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::threads::WatchedThread;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineExit};
use flotilla_test_guests::hostile::ATTACKS;

use super::{Fixture, LIMIT, kvm_is_there, spec_of, valid};
use crate::builder;
use crate::driver::{Driver, Policies};
use crate::inbox::Inbox;
use crate::shared::Shared;
use crate::threads::IoThreads;
use crate::{Console, IgnoreEvents, Machine, MachineOptions, Resources, ThreadHook, ThreadRole};

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
    parts.start().unwrap();
    let policies = Policies::of(&spec);
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
    // The kernel lists a thread for a moment after it was joined.
    let deadline = Instant::now() + LIMIT;
    while left_over() != before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(left_over(), before);
}

/// Drives a machine whose guest spins, with what `meanwhile` does to its parts, to its end.
fn end_of(options: &MachineOptions, meanwhile: impl FnOnce(&Arc<Inbox>)) -> MachineExit {
    let (spec, _directory) = spec_of("spin");
    let spec = valid(spec);
    let (inbox, shared) = (Arc::new(Inbox::default()), Arc::new(Shared::default()));
    let mut parts = builder::build(&spec, Resources::open(&spec).unwrap(), options, &inbox).unwrap();
    // A thread that refused to begin has reported it before it is gone; then there is nothing to load it into.
    if parts.load_guest().is_ok() {
        parts.start().unwrap();
    }
    meanwhile(&inbox);
    let policies = Policies::of(&spec);
    Driver::new(parts, policies, inbox, Arc::clone(&shared), Arc::new(IgnoreEvents)).run();
    shared.exit().unwrap()
}

#[test]
fn a_panic_in_the_thread_of_a_device_ends_the_machine_and_names_the_device() {
    if !kvm_is_there() {
        return;
    }
    let options = MachineOptions::new(Arc::new(IgnoreEvents), Console::new());
    let exit = end_of(&options, |inbox| {
        let threads = Arc::new(IoThreads { hook: None, cpus: None, inbox: Arc::clone(inbox) });
        let watched = WatchedThread { device: "disk:root".to_owned(), threads };
        let thread = std::thread::spawn(move || watched.run(|| panic!("made to fail")));
        assert!(thread.join().is_err());
    });
    assert_eq!((exit.reason, exit.code), (ExitReason::Error, Some(ErrorCode::CorePanic)));
    let message = exit.message.unwrap();
    assert!(message.contains("device disk:root") && message.contains("made to fail"), "{message}");
}

#[test]
fn a_thread_that_cannot_be_confined_ends_the_machine() {
    if !kvm_is_there() {
        return;
    }
    for role in [ThreadRole::Vcpu, ThreadRole::Io] {
        let mut options = MachineOptions::new(Arc::new(IgnoreEvents), Console::new());
        let hook: ThreadHook =
            Arc::new(
                move |begun| {
                    if begun == role { Err(io::Error::other("made to refuse")) } else { Ok(()) }
                },
            );
        options.on_thread_start = Some(Arc::clone(&hook));
        let exit = end_of(&options, |inbox| {
            let threads = Arc::new(IoThreads { hook: Some(hook), cpus: None, inbox: Arc::clone(inbox) });
            WatchedThread { device: "rng0".to_owned(), threads }.run(|| Ok(()));
        });
        assert_eq!((exit.reason, exit.code), (ExitReason::Error, Some(ErrorCode::Io)), "{role:?}");
        let message = exit.message.unwrap();
        let place = if role == ThreadRole::Vcpu { "vCPU 0: " } else { "device rng0: " };
        assert!(message.starts_with(place) && message.contains("made to refuse"), "{message}");
    }
}

/// The hook also reaches the threads of a machine that is built as its owner builds it.
#[test]
fn a_machine_whose_vcpu_cannot_be_confined_does_not_boot() {
    if !kvm_is_there() {
        return;
    }
    let (spec, _directory) = spec_of("spin");
    let spec = valid(spec);
    let mut options = MachineOptions::new(Arc::new(IgnoreEvents), Console::new());
    options.on_thread_start = Some(Arc::new(|_| Err(io::Error::other("made to refuse"))));
    let machine = Machine::build(spec.clone(), Resources::open(&spec).unwrap(), options).unwrap();
    assert!(machine.boot().is_err());
    let exit = machine.wait(Some(LIMIT)).unwrap();
    assert_eq!(exit.code, Some(ErrorCode::Io));
    assert!(exit.message.unwrap().contains("made to refuse"));
}

/// The attacks of hostile guests reach what they are meant for: a test of these guests more than of the machine, which
/// the worker's tests try with them.
#[test]
fn hostile_guests_get_through_to_the_devices() {
    if !kvm_is_there() {
        return;
    }
    let reached = [
        (
            "rings",
            &["rng0.requests", "rng0.broken_queues", "disk:d.read_requests", "disk:d.broken_queues"][..],
        ),
        // Whether a request is served before the reset that follows it is a race, which is the point of the attack.
        ("resets", &["disk:d.pci_doorbell_exits", "disk:d.pci_resets"]),
        ("bars", &["rng0.pci_bar_moves", "rng0.pci_bar_move_failures"]),
        ("registers", &["disk:d.pci_refused_writes", "rng0.pci_doorbell_exits"]),
        ("msix", &["rng0.pci_queue_interrupts", "disk:d.pci_queue_interrupts"]),
        // So is here which CPU comes first; that both worked is asked below.
        ("two-cpus", &["disk:d.pci_bar_moves"]),
    ];
    for (name, counters) in reached {
        let attack = ATTACKS.iter().find(|attack| attack.name == name).unwrap();
        let (mut spec, directory) = spec_of("idle");
        let script = attack.script(1, 2, 20);
        fs::write(directory.path().join("guest.elf"), script.image()).unwrap();
        let disk = directory.path().join("disk");
        fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
        let disk = serde_json::json!([{ "id": "d", "source": { "path": disk }, "format": "raw" }]);
        spec.disks = serde_json::from_value(disk).unwrap();
        spec.cpus = 2;
        let spec = valid(spec);
        let options = MachineOptions::new(Arc::new(IgnoreEvents), Console::new());
        let machine = Machine::build(spec.clone(), Resources::open(&spec).unwrap(), options).unwrap();
        machine.boot().unwrap();
        assert_eq!(machine.wait(Some(LIMIT)).unwrap().reason, ExitReason::PoweredOff, "{name}");
        let metrics = machine.metrics();
        for counter in counters {
            assert!(metrics.get(*counter).is_some_and(|value| *value > 0), "{name}: {counter}: {metrics:#?}");
        }
        let both = name != "two-cpus" || metrics["vcpu:1.exits_port_out"] > 0;
        assert!(both, "{name}: the second CPU did nothing: {metrics:#?}");
    }
}
