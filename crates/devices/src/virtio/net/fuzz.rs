// SPDX-License-Identifier: Apache-2.0
//! Entry point for a fuzzer.

use std::sync::Arc;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::net::Offloads;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::FakeQueue;
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use flotilla_testing::packets::FakePackets;

use super::device::{Net, NetOptions};

const RAM: usize = 1 << 20;
const COMMANDS: u64 = 0x2_0000;
/// Most commands of one run.
const MAX_COMMANDS: usize = 30;

/// Takes `data` for what a driver writes to the control queue: two bytes of length before each command. Saves the interface
/// in between and restores it on another one.
///
/// # Panics
/// If an interface does not accept what another one like it saved, or says that more pairs are in use than there are.
pub fn fuzz_control(data: &[u8]) {
    let Some((&[features, pinned], mut rest)) = data.split_first_chunk::<2>() else { return };
    let memory = guest_memory(RAM);
    let all = Offloads { checksum: true, tso4: true, tso6: true, ecn: true, ufo: true, uso: true };
    let backend = Arc::new(FakePackets::with_pairs(all, 2));
    let net = || {
        let mut options = NetOptions::new([2, 0, 0, 0, 0, 1]);
        options.allow_spoofed_mac = pinned & 1 == 0;
        Net::new("net", Arc::<FakePackets>::clone(&backend), options)
    };
    let (Ok(device), Ok(other)) = (net(), net()) else { return };
    let mut queues: Vec<FakeQueue> =
        (0..5_u64).map(|index| FakeQueue::new(&memory, 0x1000 * (index + 1), 64)).collect();
    // Every feature, or some of them.
    let agreed = device.device_features() & if features == 0 { u64::MAX } else { !u64::from(features) << 15 };
    let agreed = agreed | 1 << 17 | 1 << 22;
    let activation = Activation {
        memory: Arc::clone(&memory),
        features: agreed & device.device_features(),
        queues: queues.iter().map(|queue| Some(queue.activate())).collect(),
        interrupt: Arc::new(FakeVirtioInterrupt::default()),
    };
    if device.activate(activation).is_err() {
        return;
    }
    let Some(control) = queues.last_mut() else { return };
    for number in 0..MAX_COMMANDS {
        let Some((&[low, high], after)) = rest.split_first_chunk::<2>() else { break };
        let (command, later) =
            after.split_at(usize::from(u16::from_le_bytes([low, high & 3])).min(after.len()));
        rest = later;
        let at = COMMANDS + 0x1000 * u64::try_from(number).unwrap_or(0);
        if command.is_empty() || memory.write_slice(command, GuestAddress(at)).is_err() {
            continue;
        }
        let len = u32::try_from(command.len()).unwrap_or(0);
        control.add(&[Readable(at, len), Writable(at + 0xfff, 1)]);
        control.ring();
    }
    device.pause();
    if let Ok(state) = device.save() {
        assert!(other.restore(&state).is_ok(), "an interface does not accept what one like it saved");
    }
    assert!((1..=2).contains(&backend.used_pairs()), "more pairs in use than there are");
    device.resume();
    device.deactivate();
}
