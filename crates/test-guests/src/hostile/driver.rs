// SPDX-License-Identifier: Apache-2.0
//! A virtio driver that brings devices up in the right order (virtio 1.2 §3.1.1), with rings as an attacker has them.

use super::random::Random;
use crate::script::{Script, Width};

/// Where the BAR of a device is moved to: one slot for each below 4 GiB.
pub(super) const BARS: u32 = 0xd000_0000;
pub(super) const BAR_LEN: u32 = 0x8_0000;
/// Rings and buffers.
pub(super) const RINGS: u32 = 0x40_0000;
pub(super) const RINGS_LEN: u32 = 0x2_0000;
/// Every queue has its descriptor table at the start of the rings. Behind it are the available rings (see
/// [`available`]), and the used rings and headers of requests, a page each.
const AVAILABLE: u32 = RINGS + 0x4000;
const USED: u32 = RINGS + 0x6000;
const HEADERS: u32 = RINGS + 0x1_0000;
/// More than any machine here has.
pub(super) const RAM_END: u32 = 0x200_0000;
pub(super) const ECAM: u32 = 0xb000_0000;
/// Virtio functions have the device numbers from 1 on.
pub(crate) const FIRST: u8 = 1;

// Configuration space of a function, and the places in its BAR.
pub(super) const COMMAND: u8 = 0x04;
pub(super) const BAR0: u8 = 0x10;
pub(super) const MSIX_CONTROL: u8 = 0x42;
pub(crate) const NOTIFY: u32 = 0x6000;
pub(crate) const DEVICE_CONFIG: u32 = 0x4000;
pub(super) const TABLE: u32 = 0x8000;
pub(super) const PENDING: u32 = 0x4_8000;

// The common configuration (virtio 1.2 §4.1.4.3).
const DRIVER_FEATURE_SELECT: u32 = 0x08;
const DRIVER_FEATURE: u32 = 0x0c;
pub(super) const MSIX_CONFIG: u32 = 0x10;
pub(crate) const STATUS: u32 = 0x14;
pub(crate) const QUEUE_SELECT: u32 = 0x16;
pub(crate) const QUEUE_SIZE: u32 = 0x18;
pub(crate) const QUEUE_VECTOR: u32 = 0x1a;
pub(crate) const QUEUE_ENABLE: u32 = 0x1c;
pub(crate) const QUEUE_DESC: u32 = 0x20;
pub(crate) const QUEUE_DRIVER: u32 = 0x28;
pub(crate) const QUEUE_DEVICE: u32 = 0x30;

/// The device number of any function.
pub(super) fn some_function(random: &mut Random, functions: u8) -> u8 {
    FIRST + u8::try_from(random.below(u32::from(functions.max(1)))).unwrap_or(0)
}

/// Where the BAR of this function is once it has been placed.
pub(super) fn bar(device: u8) -> u32 {
    BARS + u32::from(device) * BAR_LEN
}

/// Moves the BAR of a function to its known place, which it returns, and lets it decode.
pub(crate) fn place(script: &mut Script, device: u8) -> u32 {
    let base = bar(device);
    script.config_write(device, COMMAND, Width::Word, 0);
    script.config_write(device, BAR0, Width::Dword, base);
    script.config_write(device, BAR0 + 4, Width::Dword, 0);
    script.config_write(device, COMMAND, Width::Word, 6);
    script.config_write(device, MSIX_CONTROL, Width::Word, 0x8000);
    base
}

/// Brings a device up as a driver does, with rings full of garbage. `mistakes`: see [`place_rings`].
pub(super) fn start(script: &mut Script, random: &mut Random, base: u32, mistakes: u32) {
    garbage(script, random);
    negotiate(script, base, random.of(&[0, 1 << 28, 1 << 29, 3 << 28, 1 << 9]));
    for queue in 0..3 {
        script.store(base + QUEUE_SELECT, Width::Word, queue);
        script.store(base + QUEUE_SIZE, Width::Word, random.of(&[16, 16, 16, 64, 256, 8, 1, 0, 3]));
        script.store(base + QUEUE_VECTOR, Width::Word, random.of(&[0, 1, 2, 0xffff]));
        place_rings(script, random, base, queue, mistakes);
        script.store(base + QUEUE_ENABLE, Width::Word, 1);
        if random.below(8) == 0 {
            script.store(base + QUEUE_ENABLE, Width::Word, random.value());
            script.store(base + QUEUE_ENABLE, Width::Word, 1);
            script.store(base + QUEUE_SIZE, Width::Word, random.value());
            script.store(base + QUEUE_DESC, Width::Dword, random.value());
        }
    }
    script.store(base + STATUS, Width::Byte, 0xf);
}

/// Brings a device up to `FEATURES_OK`, with these features and `VIRTIO_F_VERSION_1`.
pub(crate) fn negotiate(script: &mut Script, base: u32, features: u32) {
    for status in [0, 1, 3] {
        script.store(base + STATUS, Width::Byte, status);
    }
    for (select, features) in [(0, features), (1, 1)] {
        script.store(base + DRIVER_FEATURE_SELECT, Width::Dword, select);
        script.store(base + DRIVER_FEATURE, Width::Dword, features);
    }
    script.store(base + STATUS, Width::Byte, 0xb);
}

/// Tells the device where the rings of the selected queue are. Of a hundred addresses about `mistakes` are bad, and as
/// many lie elsewhere among the rings.
fn place_rings(script: &mut Script, random: &mut Random, base: u32, queue: u32, mistakes: u32) {
    let places = [
        (QUEUE_DESC, RINGS, 16),
        (QUEUE_DRIVER, available(queue), 2),
        (QUEUE_DEVICE, USED + queue * 0x1000, 4),
    ];
    for (register, usual, align) in places {
        let other = RINGS + random.below(RINGS_LEN) / align * align;
        let bad = random.of(&[RAM_END - 16, RAM_END, BARS, 0xffff_fff0, RINGS + 1, 0, u32::MAX]);
        let high = random.of(&[0, 1, u32::MAX, 0x8000_0000]);
        let (low, high) = match random.below(100) {
            chance if chance < mistakes => (bad, high),
            chance if chance < 2 * mistakes => (other, 0),
            _ => (usual, 0),
        };
        script.store(base + register, Width::Dword, low);
        script.store(base + register + 4, Width::Dword, high);
    }
}

/// Descriptors that loop, point outside, are too long, and nest; available indices that jump.
pub(super) fn garbage(script: &mut Script, random: &mut Random) {
    for _ in 0..48 {
        let descriptor = RINGS + random.below(RINGS_LEN / 16) * 16;
        let address = random.of(&[RINGS, RINGS + 0x1000, RAM_END - 8, RAM_END, BARS, 0, u32::MAX, ECAM]);
        script.store(descriptor, Width::Dword, address);
        script.store(descriptor + 4, Width::Dword, random.of(&[0, 0, 0, 0, 1, u32::MAX]));
        script.store(
            descriptor + 8,
            Width::Dword,
            random.of(&[0, 1, 16, 512, 0x1000, 0x7fff_ffff, u32::MAX]),
        );
        // Next, write, indirect, and any index, often its own.
        let next = random.of(&[0, 1, 2, (descriptor - RINGS) >> 4, 0xffff, random.0.to_le_bytes()[0].into()]);
        script.store(descriptor + 12, Width::Dword, random.below(8) | next << 16);
    }
    sound(script, random);
    for _ in 0..random.of(&[0, 0, 0, 1, 4]) {
        let descriptor = RINGS + random.below(16) * 16;
        script.store(descriptor + random.of(&[0, 4, 8, 12]), Width::Dword, random.value());
    }
}

/// The first table holds chains of three that a disk takes for requests, and the first available ring offers them: a
/// device must work to be attacked at work.
pub(super) fn sound(script: &mut Script, random: &mut Random) {
    for chain in 0..5 {
        let (head, header) = (RINGS + chain * 48, HEADERS + chain * 0x1000);
        let kind = random.of(&[0, 0, 0, 1, 1, 4, 8, 11, 13, 99]);
        let device_writes = if kind == 1 { 0 } else { 2 };
        let len = random.of(&[512, 512, 0x1000, 20, 0x8000]);
        let next = |place: u32| (chain * 3 + place) << 16 | 1;
        for (place, words) in [
            [header, 0, 16, next(1)],
            [header + 0x100, 0, len, next(2) | device_writes],
            [header + 0x80, 0, 1, 2],
        ]
        .iter()
        .enumerate()
        {
            for (word, value) in (0..).step_by(4).zip(words) {
                script.store(head + u32::try_from(place).unwrap_or(0) * 16 + word, Width::Dword, *value);
            }
        }
        script.store(header, Width::Dword, kind);
        script.store(header + 8, Width::Dword, random.of(&[0, 1, 7, 8191, 8192]));
        script.store(header + 12, Width::Dword, random.of(&[0, 0, 0, 0, 0, 0, u32::MAX, 0x7fff_ffff]));
    }
    for queue in 0..3 {
        let ring = available(queue);
        for slot in 0..16 {
            script.store(
                ring + 4 + slot * 2,
                Width::Word,
                random.of(&[slot % 5 * 3, slot % 5 * 3, 3, random.0.to_le_bytes()[0].into()]),
            );
        }
        script.store(ring, Width::Dword, random.of(&[1, 1, 2, 3, 4, 15]) << 16);
        script.store(USED + queue * 0x1000, Width::Dword, 0);
    }
}

/// Where the available ring of a queue is.
pub(super) fn available(queue: u32) -> u32 {
    AVAILABLE + queue * 0x400
}
