// SPDX-License-Identifier: Apache-2.0
//! Signals while a machine is made.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use support::{Guest, kvm, user_mode};

/// `jmp $`
const LOOP: &[u8] = &[0xeb, 0xfe];

#[test]
fn a_machine_is_made_whatever_signals_come_meanwhile() {
    let Some(kvm) = kvm() else { return };
    let guest = Guest::new(&kvm, &user_mode(), LOOP);
    let kicker = guest.vcpu.kicker();
    let _binding = kicker.bind_current_thread().unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                kicker.kick();
                thread::sleep(Duration::from_micros(100));
            }
        });
        let made = (0..300).map(|_| kvm.create_vm().map(drop)).find(Result::is_err);
        over.store(true, Ordering::Relaxed);
        assert!(made.is_none(), "{made:?}");
    });
}
