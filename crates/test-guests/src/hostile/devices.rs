// SPDX-License-Identifier: Apache-2.0
//! Attacks on virtio devices: their registers, their vectors, their rings, and resets at the wrong moment.

use super::driver::{
    BAR_LEN, BAR0, BARS, COMMAND, DEVICE_CONFIG, FIRST, MSIX_CONFIG, MSIX_CONTROL, NOTIFY, PENDING,
    QUEUE_VECTOR, RINGS, RINGS_LEN, STATUS, TABLE, available, bar, garbage, place, some_function, sound,
    start,
};
use super::random::Random;
use crate::script::{Script, Width};

// The window to the BAR in configuration space (virtio 1.2 §4.1.4.9).
const WINDOW_BAR: u8 = 0x94;
const WINDOW_OFFSET: u8 = 0x98;
const WINDOW_LENGTH: u8 = 0x9c;
const WINDOW_DATA: u8 = 0xa0;

/// Any access to any place of a BAR, aligned or not, and through the window in configuration space.
pub(super) fn registers(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for device in FIRST..=functions {
        place(&mut script, device);
    }
    for _ in 0..rounds * 20 {
        let device = some_function(random, functions);
        let region = random.of(&[0, 0, 0, 0x2000, DEVICE_CONFIG, NOTIFY, TABLE, PENDING, BAR_LEN - 0x20]);
        let offset = region + random.below(0x48);
        let address = bar(device) + offset;
        let (width, value) = (random.width(), random.value());
        script.store(address, width, value);
        script.load(address, width);
        if random.below(4) == 0 {
            script.config_write(device, WINDOW_BAR, Width::Byte, random.of(&[0, 0, 1, 255]));
            script.config_write(
                device,
                WINDOW_OFFSET,
                Width::Dword,
                random.of(&[offset, offset & !3, u32::MAX, BAR_LEN]),
            );
            script.config_write(
                device,
                WINDOW_LENGTH,
                Width::Dword,
                random.of(&[1, 2, 4, 4, 0, 3, 8, u32::MAX]),
            );
            script.config_write(device, WINDOW_DATA, width, value);
            script.config_read(device, WINDOW_DATA, width);
        }
    }
    script
}

/// Garbage in the vector table, while queues interrupt.
pub(super) fn msix(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds {
        let device = some_function(random, functions);
        let base = place(&mut script, device);
        start(&mut script, random, base, 0);
        for _ in 0..10 {
            let entry = base + TABLE + random.below(8) * 16;
            let address = random.of(&[0xfee0_0000, 0xfee0_1008, 0, u32::MAX, RINGS, 0xfec0_0000]);
            script.store(entry, Width::Dword, address);
            script.store(entry + 4, Width::Dword, random.of(&[0, 1, u32::MAX]));
            // Fixed delivery of any vector; neither INIT nor NMI, which end a processor by right.
            script.store(entry + 8, Width::Dword, random.value() & !0x0000_0700);
            script.store(entry + 12, random.width(), random.below(4));
            script.store(base + TABLE + random.below(PENDING), random.width(), random.value() & !0x0000_0700);
            script.store(base + PENDING + random.below(0x100), random.width(), random.value());
            script.config_write(device, MSIX_CONTROL, Width::Word, random.value());
            script.store(base + MSIX_CONFIG, Width::Word, random.value());
            script.store(base + QUEUE_VECTOR, Width::Word, random.value());
            script.store(base + NOTIFY + 4 * random.below(4), Width::Dword, random.below(4));
        }
    }
    script
}

/// Rings at any address with any contents, doorbells, a second start without a reset.
pub(super) fn rings(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds {
        let device = some_function(random, functions);
        let base = place(&mut script, device);
        let mistakes = random.of(&[0, 0, 0, 3, 30]);
        start(&mut script, random, base, mistakes);
        for _ in 0..20 {
            let queue = random.below(3);
            script.store(base + NOTIFY + 4 * queue, Width::Word, queue);
            match random.below(6) {
                0 => script.store(base + NOTIFY + random.below(0x2000), random.width(), random.value()),
                1 => script.store(available(queue) + 2, Width::Word, random.value()),
                // Under the device's hands.
                2 => script.store(RINGS + random.below(RINGS_LEN), random.width(), random.value()),
                3 => garbage(&mut script, random),
                _ => sound(&mut script, random),
            }
        }
        script.store(base + STATUS, Width::Byte, random.of(&[0xf, 0xb, 0x80, 0x8f, 0x4f, 7, 0]));
        script.load(base + STATUS, Width::Byte);
    }
    script
}

/// Resets of devices that are at work, without any wait, and BARs that move meanwhile.
pub(super) fn resets(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds {
        let device = some_function(random, functions);
        let base = place(&mut script, device);
        start(&mut script, random, base, 0);
        for _ in 0..random.below(4) {
            script.store(base + NOTIFY + 4 * random.below(3), Width::Word, 0);
        }
        match random.below(3) {
            0 => script.store(base + STATUS, Width::Byte, 0),
            1 => script.config_write(device, COMMAND, Width::Word, 0),
            _ => script.config_write(device, BAR0, Width::Dword, BARS + 0x10_0000 * random.below(64)),
        }
        script.load(base + STATUS, Width::Byte);
    }
    script
}

/// One CPU drives the devices, the other moves and hides their BARs and switches their vectors: whoever takes two locks
/// in two orders hangs here.
pub(super) fn two_cpus(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = rings(random, functions, rounds);
    script.append(&resets(random, functions, rounds));
    let mut writes = Vec::new();
    for device in FIRST..=functions {
        let base = bar(device);
        for (register, value) in
            [(COMMAND, 0), (BAR0, base), (COMMAND, 6), (BAR0, base + 0x100_0000), (BAR0, base)]
        {
            writes.push((device, register, value));
        }
        // Message control is the upper half of its dword: mask all vectors, then none.
        writes.extend([
            (device, MSIX_CONTROL - 2, 0xc000_0000),
            (device, MSIX_CONTROL - 2, 0x8000_0000),
            (device, WINDOW_DATA, random.next()),
        ]);
    }
    script.others_write_config(&writes);
    script
}
