// SPDX-License-Identifier: Apache-2.0
//! Entry points for fuzzers.

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
/// Where the driver has its frames, and where it wants those of others.
const FRAMES: u64 = 0x4_0000;
/// Most frames of one run, each with its place in memory.
const MAX_FRAMES: usize = 64;
const FRAME_PLACE: u64 = 0x800;
const ALL: Offloads = Offloads { checksum: true, tso4: true, tso6: true, ecn: true, ufo: true, uso: true };

/// Takes `data` for what a driver writes to the control queue: two bytes of length before each command. Saves the interface
/// in between and restores it on another one.
///
/// # Panics
/// If an interface does not accept what another one like it saved, or says that more pairs are in use than there are.
pub fn fuzz_control(data: &[u8]) {
    let Some((&[features, pinned], mut rest)) = data.split_first_chunk::<2>() else { return };
    let memory = guest_memory(RAM);
    let backend = Arc::new(FakePackets::with_pairs(ALL, 2));
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

/// Takes each 192 bytes of `data` for a frame with its header: of the guest, in two pieces as the second byte has it, or of another host,
/// for which the guest has a buffer of any length.
pub fn fuzz_frames(data: &[u8]) {
    let memory = guest_memory(RAM);
    let backend = Arc::new(FakePackets::new(ALL));
    let mut options = NetOptions::new([2, 0, 0, 0, 0, 1]);
    options.allow_spoofed_mac = data.first().is_some_and(|byte| byte & 1 == 0);
    let Ok(device) = Net::new("net", Arc::<FakePackets>::clone(&backend), options) else { return };
    let mut queues: Vec<FakeQueue> =
        (0..3_u64).map(|index| FakeQueue::new(&memory, 0x1000 * (index + 1), 64)).collect();
    let activation = Activation {
        memory: Arc::clone(&memory),
        features: device.device_features(),
        queues: queues.iter().map(|queue| Some(queue.activate())).collect(),
        interrupt: Arc::new(FakeVirtioInterrupt::default()),
    };
    if backend.wire.set_nonblocking(true).is_err() || device.activate(activation).is_err() {
        return;
    }
    let [receive, transmit, _] = queues.as_mut_slice() else { return };
    for (number, chunk) in data.chunks(192).take(MAX_FRAMES).enumerate() {
        let Some((&[what, cut], frame)) = chunk.split_first_chunk::<2>() else { continue };
        let at = FRAMES + FRAME_PLACE * u64::try_from(number).unwrap_or(0);
        if what & 1 == 0 {
            let whole = u32::try_from(frame.len()).unwrap_or(0);
            let first = u32::from(cut).min(whole);
            let _ = memory.write_slice(frame, GuestAddress(at));
            transmit.add(&[Readable(at, first), Readable(at + u64::from(first), whole - first)]);
            transmit.ring();
        } else {
            receive.add(&[Writable(at + 0x400, u32::from(cut) * 4)]);
            receive.ring();
            // What a full wire does not take is of no interest.
            let _ = backend.wire.send(frame);
        }
        let _ = backend.wire.recv(&mut [0; 256]);
        if what & 0xf0 == 0 {
            device.pause();
            device.resume();
        }
    }
    device.pause();
    device.deactivate();
}
