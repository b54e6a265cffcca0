// SPDX-License-Identifier: Apache-2.0
//! From boot to end.

use std::time::Duration;

use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{CpuReport, ExitReason, MachineEvent, MachineState};
use flotilla_spec::{CrashPolicy, RebootPolicy};

use super::{Fixture, LIMIT, kvm_is_there};

#[test]
fn a_guest_prints_and_powers_off() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("hello", |_| ());
    let exit = fixture.wait();
    assert_eq!((exit.reason, fixture.output()), (ExitReason::PoweredOff, "hello\n".to_owned()));
    let states: Vec<_> = fixture.events.try_iter().collect();
    assert_eq!(states.first(), Some(&MachineEvent::State { state: MachineState::Running }));
    assert_eq!(states.last(), Some(&MachineEvent::Stopped(exit)));
    let metrics = fixture.machine.metrics();
    assert!(metrics["vcpu:0.exits_port_out"] >= 7);
    assert_eq!(metrics["vcpu:0.thread_id"], 0, "its thread has ended");
    assert_eq!(metrics["interrupts.errors"], 0);
    assert!(fixture.console.read_from(6, &mut [0; 64], LIMIT).ended);
}

#[test]
fn a_guest_reboots_in_the_same_process() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("reboot-once", |_| ());
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "first\nsecond\n");
    fixture.event(|event| *event == MachineEvent::GuestReset);
}

#[test]
fn a_reset_stops_the_machine_if_asked_to() {
    if !kvm_is_there() {
        return;
    }
    for guest in ["reset-cf9", "reset-i8042"] {
        let fixture = Fixture::boot(guest, |spec| spec.on_reboot = RebootPolicy::Stop);
        assert_eq!(fixture.wait().reason, ExitReason::Reset);
        assert_eq!(fixture.output(), "reset\n");
    }
}

#[test]
fn a_guest_may_reset_for_ever_and_is_still_obedient() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("reset-cf9", |_| ());
    for _ in 0..20 {
        fixture.event(|event| *event == MachineEvent::GuestReset);
    }
    fixture.machine.pause().unwrap();
    fixture.machine.resume().unwrap();
    fixture.event(|event| *event == MachineEvent::GuestReset);
    fixture.machine.stop().unwrap();
    assert_eq!(fixture.wait().reason, ExitReason::Killed);
}

#[test]
fn a_triple_fault_is_reported_with_registers() {
    if !kvm_is_there() {
        return;
    }
    let exit = Fixture::boot("triple-fault", |_| ()).wait();
    assert_eq!(exit.reason, ExitReason::TripleFault);
    let report = exit.registers.unwrap();
    assert_eq!(report.cpu, 0);
    assert!(report.registers["rip"].starts_with("0x"), "{report:?}");
    // The guest runs in protected mode and far from the reset vector: registers like those are not its own.
    let of_reset = report.registers["rip"] == "0xfff0" && report.registers["efer"] == "0x0";
    assert_eq!(report.after_reset, of_reset, "{report:?}");
}

#[test]
fn a_triple_fault_restarts_the_guest_if_asked_to() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("triple-fault", |spec| spec.on_triple_fault = CrashPolicy::Restart);
    for _ in 0..2 {
        let event = fixture.event(|event| matches!(event, MachineEvent::TripleFault { .. }));
        assert!(matches!(event, MachineEvent::TripleFault { registers: Some(report) } if report.cpu == 0));
        fixture.event(|event| *event == MachineEvent::GuestReset);
    }
    fixture.expect("fault\nfault\n");
    assert_eq!(fixture.machine.info().state, MachineState::Running);
    // The owner is heard between two of them.
    fixture.machine.stop().unwrap();
    assert_eq!(fixture.wait().reason, ExitReason::Killed);
}

#[test]
fn a_triple_fault_pauses_the_machine_if_asked_to() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("triple-fault", |spec| {
        spec.cpus = 2;
        spec.on_triple_fault = CrashPolicy::Pause;
    });
    fixture.event(|event| matches!(event, MachineEvent::TripleFault { registers: Some(_) }));
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    assert_eq!(
        (fixture.machine.info().state, fixture.output()),
        (MachineState::Paused, "fault\n".to_owned())
    );
    // It can be looked at, and a reset brings the guest back.
    fixture.machine.save().unwrap();
    fixture.machine.reset().unwrap();
    assert_eq!(fixture.machine.info().state, MachineState::Paused);
    fixture.machine.resume().unwrap();
    fixture.event(|event| matches!(event, MachineEvent::TripleFault { .. }));
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    assert_eq!(fixture.output(), "fault\nfault\n");
    fixture.machine.stop().unwrap();
    assert_eq!(fixture.wait().reason, ExitReason::Killed);
}

/// What a resume without a reset does is up to the processor; the machine must only stay obedient.
#[test]
fn a_machine_paused_by_a_triple_fault_may_be_resumed() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("triple-fault", |spec| spec.on_triple_fault = CrashPolicy::Pause);
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    fixture.machine.resume().unwrap();
    fixture.machine.stop().unwrap();
    assert!(fixture.wait().reason == ExitReason::Killed || fixture.wait().reason == ExitReason::Error);
}

#[test]
fn a_panic_is_reported_and_follows_the_policy() {
    if !kvm_is_there() {
        return;
    }
    let exit = Fixture::boot("panic", |_| ()).wait();
    assert_eq!(exit.reason, ExitReason::Panic);
    assert!(exit.registers.is_some());

    let fixture = Fixture::boot("panic", |spec| spec.on_panic = CrashPolicy::Pause);
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    assert_eq!(fixture.machine.info().state, MachineState::Paused);

    let fixture = Fixture::boot("panic", |spec| spec.on_panic = CrashPolicy::Restart);
    fixture.event(|event| matches!(event, MachineEvent::Panic { .. }));
    fixture.event(|event| *event == MachineEvent::GuestReset);
    fixture.expect("panic\npanic\n");
}

#[test]
fn a_panic_names_the_cpu_that_reported_it() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("panic-on-second", |spec| {
        spec.cpus = 2;
        spec.on_panic = CrashPolicy::Pause;
    });
    let is_of_second = |registers: &Option<CpuReport>| {
        let report = registers.as_ref().expect("a report");
        assert_eq!(report.cpu, 1, "{report:?}");
        // It runs in real mode at page 8, the first CPU in protected mode above 1 MiB.
        let low = matches!(report.registers["rip"].as_str(), rip if rip.len() <= "0x8fff".len());
        assert!(low && report.registers["cs"] == "0x800", "{report:?}");
    };
    let MachineEvent::Panic { registers } =
        fixture.event(|event| matches!(event, MachineEvent::Panic { .. }))
    else {
        unreachable!()
    };
    is_of_second(&registers);
    // After a reset the same guest panics again, in the same way; what is known of the first time is forgotten.
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    fixture.machine.reset().unwrap();
    fixture.machine.resume().unwrap();
    let MachineEvent::Panic { registers } =
        fixture.event(|event| matches!(event, MachineEvent::Panic { .. }))
    else {
        unreachable!()
    };
    is_of_second(&registers);
}

#[test]
fn a_pause_stops_the_guest_and_a_resume_lets_it_go_on() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("ticker", |_| ());
    fixture.expect("ready\n...");
    fixture.machine.pause().unwrap();
    assert_eq!(fixture.machine.info().state, MachineState::Paused);
    let end = fixture.console.end();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(fixture.console.end(), end);
    fixture.machine.resume().unwrap();
    let chunk = fixture.console.read_from(end, &mut [0; 8], LIMIT);
    assert!(chunk.len > 0);
}

#[test]
fn a_storm_of_pauses_loses_nothing() {
    if !kvm_is_there() {
        return;
    }
    for guest in ["spin", "ticker", "idle"] {
        let fixture = Fixture::boot(guest, |spec| spec.cpus = 2);
        fixture.expect("ready");
        for _ in 0..200 {
            fixture.machine.pause().unwrap();
            fixture.machine.resume().unwrap();
        }
        assert_eq!(fixture.machine.info().state, MachineState::Running);
        fixture.machine.stop().unwrap();
    }
}

#[test]
fn a_reset_by_the_owner_starts_the_guest_again() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |_| ());
    fixture.expect("ready\n");
    fixture.machine.reset().unwrap();
    fixture.expect("ready\nready\n");
    fixture.machine.pause().unwrap();
    fixture.machine.reset().unwrap();
    assert_eq!(fixture.machine.info().state, MachineState::Paused);
    fixture.machine.resume().unwrap();
    fixture.expect("ready\nready\nready\n");
}

#[test]
fn input_reaches_the_guest_and_its_echo_comes_back() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("echo", |_| ());
    fixture.expect("ready\n");
    let text =
        "A LONG LINE THAT DOES NOT FIT INTO THE FIFO OF THE SERIAL PORT AT ONCE, TWICE AS LONG AS THAT IS.";
    assert_eq!(fixture.console.send_input(text.as_bytes()), text.len());
    fixture.expect(text);
    fixture.console.send_input(b"o");
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
}

#[test]
fn the_power_button_reaches_the_guest() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("button", |_| ());
    fixture.expect("ready\n");
    fixture.machine.power_button().unwrap();
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "ready\nbutton\n");
}

#[test]
fn a_second_cpu_starts() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("smp", |spec| spec.cpus = 2);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "one\ntwo\n");
}

#[test]
fn every_state_refuses_what_it_cannot_do() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::build("idle", |_| ());
    let machine = &fixture.machine;
    for refused in [machine.pause(), machine.resume(), machine.reset(), machine.power_button()] {
        assert_eq!(refused.unwrap_err().code(), ErrorCode::MachineState);
    }
    machine.boot().unwrap();
    assert_eq!(machine.boot().unwrap_err().to_string(), "Cannot boot a machine that is running");
    machine.stop().unwrap();
    machine.stop().unwrap();
    assert_eq!(machine.boot().unwrap_err().to_string(), "Cannot boot a machine that is stopped");
    assert_eq!(machine.info().exit.unwrap().reason, ExitReason::Killed);
}
