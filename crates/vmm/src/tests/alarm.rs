// SPDX-License-Identifier: Apache-2.0
//! The real-time clock interrupts the guest of a whole machine.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::hangs::boot;
use super::{Fixture, LIMIT, kvm_is_there};

/// Requests that wait at the second interrupt controller, whose first input is line 8.
fn waiting(fixture: &Fixture) -> u8 {
    fixture.machine.pause().unwrap();
    let saved = serde_json::to_value(&fixture.machine.save().unwrap().vm).unwrap();
    fixture.machine.resume().unwrap();
    // `struct kvm_irqchip` begins with eight bytes of its own, `struct kvm_pic_state` with `last_irr` and `irr`.
    let bytes: Vec<u8> = serde_json::from_value(saved["pic_slave"].clone()).unwrap();
    bytes[9]
}

#[test]
fn the_alarm_of_the_clock_reaches_the_interrupt_controller() {
    if !kvm_is_there() {
        return;
    }
    let mut ports = None;
    let fixture = boot("spin", 1, |parts| ports = Some(Arc::clone(&parts.routes.ports)));
    let ports = ports.unwrap();
    let set = |register, value| {
        assert!(ports.write(0x70, &[register]) && ports.write(0x71, &[value]));
    };
    assert_eq!(waiting(&fixture) & 1, 0);
    // An alarm every second: all fields agree with any time.
    for field in [0x01, 0x03, 0x05] {
        set(field, 0xff);
    }
    set(0x0b, 0x22);
    let deadline = Instant::now() + LIMIT;
    while waiting(&fixture) & 1 == 0 {
        assert!(Instant::now() < deadline, "no interrupt: {:?}", fixture.machine.metrics());
        sleep(Duration::from_millis(20));
    }
}
