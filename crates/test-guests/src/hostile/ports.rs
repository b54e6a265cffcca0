// SPDX-License-Identifier: Apache-2.0
//! Attacks through ports: whatever answers there, and the devices of a PC by their own commands.

use super::random::Random;
use crate::script::{Script, Width};

/// Ports that end the guest by right: 0x64 and 0x60 (reset by the keyboard controller), pvpanic, PM1 control, 0xcf9.
const SPARED_PORTS: [(u16, u16); 4] = [(0x60, 0x64), (0x502, 0x505), (0x601, 0x606), (0xcf6, 0xcf9)];

/// Every port with every width and any value, and by string instructions.
pub(super) fn ports(random: &mut Random, _functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds * 20 {
        let any = random.next().to_le_bytes();
        let any = u16::from_le_bytes([any[0], any[1]]);
        let port =
            random.of(&[any, any & 0xfff, any & 0xff, 0x600 | any & 0x3f, 0x3f8 | any & 7, 0xcf8 | any & 7]);
        let (width, value) = (random.width(), random.value());
        script.input(port, width);
        if SPARED_PORTS.iter().all(|(first, last)| !(*first..=*last).contains(&port)) {
            script.out(port, width, value);
        }
        if random.below(50) == 0 {
            script.in_string(port, random.below(4096));
        }
    }
    script
}

/// The serial port, keyboard controller, clock, timers and power management, by their own commands.
pub(super) fn legacy(random: &mut Random, _functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds * 10 {
        // CMOS: each register, also those with the interrupt rates.
        script.out(0x70, Width::Byte, random.below(256));
        script.out(0x71, random.width(), random.value());
        script.input(0x71, random.width());
        // Keyboard controller: not the output port and not the pulses, which reset.
        let command =
            random.of(&[0x20, 0x60, 0xa7, 0xa8, 0xaa, 0xab, 0xad, 0xae, 0xc0, 0xd0, 0xd2, 0xd3, 0xd4]);
        script.out(0x64, Width::Byte, command);
        script.out(0x60, Width::Byte, random.below(256) | 1);
        script.input(0x60, random.width());
        script.input(0x64, random.width());
        // Power management: everything but the bit that starts to sleep.
        script.out(0x600, random.width(), random.value());
        script.out(0x602, Width::Word, random.value());
        script.out(0x604, Width::Word, random.value() & !(1 << 13));
        script.out(0x620 + u16::from(random.byte() & 15), random.width(), random.value());
        script.input(0x608, random.width());
        script.out(0xb2, Width::Byte, random.value());
        // Serial port: any setting, loops, breaks, both FIFOs.
        script.out(0x3f8 + u16::from(random.byte() & 7), Width::Byte, random.value());
        script.input(0x3f8 + u16::from(random.byte() & 7), random.width());
        // Interval timer and interrupt controllers.
        script.out(0x40 + u16::from(random.byte() & 3), Width::Byte, random.value());
    }
    script
}

/// As much output as fits through the serial port.
pub(super) fn flood(_random: &mut Random, _functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds {
        script.out_string(0x3f8, 0x1000);
    }
    script
}
