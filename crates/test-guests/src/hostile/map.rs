// SPDX-License-Identifier: Apache-2.0
//! Attacks on the map of the machine: configuration space, places where nothing is, devices where none belongs.

use super::driver::{BAR_LEN, BAR0, BARS, COMMAND, ECAM, FIRST, RAM_END, RINGS, some_function};
use super::random::Random;
use crate::script::{Script, Width};

const ECAM_LEN: u32 = 0x1000_0000;

/// Every register of every function through the ports.
pub(super) fn config_space(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for device in (0..=FIRST + functions).chain([0x1f]) {
        for register in 0..=255 {
            let width = random.width();
            script.config_read(device, register, width);
            script.config_write(device, register, width, random.value());
            script.config_read(device, register, width);
        }
    }
    for _ in 0..rounds * 10 {
        script.out(0xcf8, Width::Dword, random.next() | random.of(&[0, 1 << 31]));
        script.out(0xcfc | u16::from(random.byte() & 3), random.width(), random.value());
        script.input(0xcfc | u16::from(random.byte() & 3), random.width());
    }
    script
}

/// Configuration space as memory: absent buses, extended registers, accesses over every edge.
pub(super) fn ecam(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds * 10 {
        let near = u32::from(FIRST + functions) << 15;
        let offset = random.of(&[0, near, 0xf8 << 12, ECAM_LEN, 0x10_0000]);
        let address =
            (ECAM + offset).wrapping_add(random.below(0x2000)).wrapping_sub(random.of(&[0, 4, 0x1000]));
        let (width, value) = (random.width(), random.value());
        script.load(address, width);
        script.store(address, width, value);
        script.load(ECAM + random.below(ECAM_LEN), random.width());
    }
    script
}

/// Addresses at which there is nothing, up to the I/O APIC and around it.
pub(super) fn holes(random: &mut Random, _functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds * 10 {
        let start = random.of(&[RAM_END, 0x8000_0000, 0xc000_0000, 0xe000_0000, 0xfec0_0000, 0xfeb0_0000]);
        let address = start + random.below(0x1_0000);
        let (width, value) = (random.width(), random.value());
        script.store(address, width, value);
        script.load(address, width);
    }
    script
}

/// BARs onto each other, onto RAM, the I/O APIC, the ECAM, over the ends of the windows, half-written.
pub(super) fn bars(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds * 5 {
        let device = some_function(random, functions);
        let any = random.next();
        let low = random.of(&[
            0,
            RINGS,
            BARS,
            BARS + BAR_LEN,
            BARS + 0x1000,
            ECAM,
            0xfec0_0000 - BAR_LEN,
            0xfec0_0000,
            0xfff8_0000,
            u32::MAX,
            any,
        ]);
        let high = random.of(&[0, 0, 0, 1, 0x40, 0xff_ffff, u32::MAX, any]);
        script.config_write(device, BAR0, Width::Dword, low);
        script.config_write(device, BAR0 + 4, Width::Dword, high);
        script.config_write(device, COMMAND, Width::Word, random.below(8));
        script.load(low & !(BAR_LEN - 1) | random.below(BAR_LEN), Width::Dword);
        script.load(BARS + random.below(BAR_LEN), random.width());
    }
    script
}
