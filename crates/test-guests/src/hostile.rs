// SPDX-License-Identifier: Apache-2.0
//! Guests that attack their machine, each in one way. What they do follows from a seed, so that a failure comes again.
//!
//! They keep away only from what ends them by right: reset, power-off, the panic device and the local APIC, with which
//! a processor can reset itself.

use crate::script::{Script, Width};

/// Where the BAR of a device is moved to: one slot for each below 4 GiB.
const BARS: u32 = 0xd000_0000;
const BAR_LEN: u32 = 0x8_0000;
/// Rings and buffers.
const RINGS: u32 = 0x40_0000;
const RINGS_LEN: u32 = 0x2_0000;
/// The first descriptor table is at the start of the rings; these are the first of the others, a page for each queue.
const AVAILABLE: u32 = RINGS + 0x4000;
const USED: u32 = RINGS + 0x6000;
const HEADERS: u32 = RINGS + 0x1_0000;
/// More than any machine here has.
const RAM_END: u32 = 0x200_0000;
const ECAM: u32 = 0xb000_0000;
const ECAM_LEN: u32 = 0x1000_0000;
/// Virtio functions have the device numbers from 1 on.
const FIRST: u8 = 1;

const COMMAND: u8 = 0x04;
const BAR0: u8 = 0x10;
const MSIX_CONTROL: u8 = 0x42;
const NOTIFY: u32 = 0x6000;
const DEVICE_CONFIG: u32 = 0x4000;
const TABLE: u32 = 0x8000;
const PENDING: u32 = 0x4_8000;

const DRIVER_FEATURE_SELECT: u32 = 0x08;
const DRIVER_FEATURE: u32 = 0x0c;
const MSIX_CONFIG: u32 = 0x10;
const STATUS: u32 = 0x14;
const QUEUE_SELECT: u32 = 0x16;
const QUEUE_SIZE: u32 = 0x18;
const QUEUE_VECTOR: u32 = 0x1a;
const QUEUE_ENABLE: u32 = 0x1c;
const QUEUE_DESC: u32 = 0x20;
const QUEUE_DRIVER: u32 = 0x28;
const QUEUE_DEVICE: u32 = 0x30;

/// Ports that end the guest by right: 0x64 and 0x60 (reset by the keyboard controller), pvpanic, PM1 control, 0xcf9.
const SPARED_PORTS: [(u16, u16); 4] = [(0x60, 0x64), (0x502, 0x505), (0x601, 0x606), (0xcf6, 0xcf9)];

/// Small, fast and the same everywhere (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        u32::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap_or(0)
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.next()).unwrap_or(0) % choices.len()]
    }

    fn width(&mut self) -> Width {
        self.of(&Width::ALL)
    }

    /// A value near the edges more often than not.
    fn value(&mut self) -> u32 {
        let any = self.next();
        self.of(&[
            0,
            1,
            2,
            0x7fff,
            0x8000,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX,
            any,
            any & 0xff,
            any & 0xffff,
        ])
    }
}

/// A way to attack.
pub struct Attack {
    /// What is attacked.
    pub name: &'static str,
    build: fn(&mut Random, u8, u32) -> Script,
}

impl Attack {
    /// The attack on a machine with that many virtio functions; `rounds` says how long.
    pub fn script(&self, seed: u64, functions: u8, rounds: u32) -> Script {
        (self.build)(&mut Random(seed | 1), functions, rounds)
    }
}

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    Attack { name: "ports", build: ports },
    Attack { name: "legacy", build: legacy },
    Attack { name: "config-space", build: config_space },
    Attack { name: "ecam", build: ecam },
    Attack { name: "holes", build: holes },
    Attack { name: "bars", build: bars },
    Attack { name: "registers", build: registers },
    Attack { name: "msix", build: msix },
    Attack { name: "rings", build: rings },
    Attack { name: "resets", build: resets },
    Attack { name: "two-cpus", build: two_cpus },
    Attack { name: "flood", build: flood },
];

/// Every port with every width and any value, and by string instructions.
fn ports(random: &mut Random, _functions: u8, rounds: u32) -> Script {
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
fn legacy(random: &mut Random, _functions: u8, rounds: u32) -> Script {
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
        script.out(0x620 + u16::from(random.next().to_le_bytes()[0] & 15), random.width(), random.value());
        script.input(0x608, random.width());
        script.out(0xb2, Width::Byte, random.value());
        // Serial port: any setting, loops, breaks, both FIFOs.
        script.out(0x3f8 + u16::from(random.next().to_le_bytes()[0] & 7), Width::Byte, random.value());
        script.input(0x3f8 + u16::from(random.next().to_le_bytes()[0] & 7), random.width());
        // Interval timer and interrupt controllers.
        script.out(0x40 + u16::from(random.next().to_le_bytes()[0] & 3), Width::Byte, random.value());
    }
    script
}

/// Every register of every function through the ports.
fn config_space(random: &mut Random, functions: u8, rounds: u32) -> Script {
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
        script.out(0xcfc | u16::from(random.next().to_le_bytes()[0] & 3), random.width(), random.value());
        script.input(0xcfc | u16::from(random.next().to_le_bytes()[0] & 3), random.width());
    }
    script
}

/// Configuration space as memory: absent buses, extended registers, accesses over every edge.
fn ecam(random: &mut Random, functions: u8, rounds: u32) -> Script {
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
fn holes(random: &mut Random, _functions: u8, rounds: u32) -> Script {
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
fn bars(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds * 5 {
        let device = FIRST + u8::try_from(random.below(u32::from(functions.max(1)))).unwrap_or(0);
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

/// Moves the BAR of each function to a known place and lets it decode.
fn place(script: &mut Script, device: u8) -> u32 {
    let base = BARS + u32::from(device) * BAR_LEN;
    script.config_write(device, COMMAND, Width::Word, 0);
    script.config_write(device, BAR0, Width::Dword, base);
    script.config_write(device, BAR0 + 4, Width::Dword, 0);
    script.config_write(device, COMMAND, Width::Word, 6);
    script.config_write(device, MSIX_CONTROL, Width::Word, 0x8000);
    base
}

fn some_function(random: &mut Random, functions: u8) -> u8 {
    FIRST + u8::try_from(random.below(u32::from(functions.max(1)))).unwrap_or(0)
}

/// Any access to any place of a BAR, aligned or not, and through the window in configuration space.
fn registers(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for device in FIRST..=functions {
        place(&mut script, device);
    }
    for _ in 0..rounds * 20 {
        let device = some_function(random, functions);
        let region = random.of(&[0, 0, 0, 0x2000, DEVICE_CONFIG, NOTIFY, TABLE, PENDING, BAR_LEN - 0x20]);
        let offset = region + random.below(0x48);
        let address = BARS + u32::from(device) * BAR_LEN + offset;
        let (width, value) = (random.width(), random.value());
        script.store(address, width, value);
        script.load(address, width);
        if random.below(4) == 0 {
            script.config_write(device, 0x94, Width::Byte, random.of(&[0, 0, 1, 255]));
            script.config_write(
                device,
                0x98,
                Width::Dword,
                random.of(&[offset, offset & !3, u32::MAX, BAR_LEN]),
            );
            script.config_write(device, 0x9c, Width::Dword, random.of(&[1, 2, 4, 4, 0, 3, 8, u32::MAX]));
            script.config_write(device, 0xa0, width, value);
            script.config_read(device, 0xa0, width);
        }
    }
    script
}

/// Garbage in the vector table, while queues interrupt.
fn msix(random: &mut Random, functions: u8, rounds: u32) -> Script {
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

/// Brings a device up as a driver does, with rings full of garbage.
fn start(script: &mut Script, random: &mut Random, base: u32, mistakes: u32) {
    garbage(script, random);
    script.store(base + STATUS, Width::Byte, 0);
    script.store(base + STATUS, Width::Byte, 1);
    script.store(base + STATUS, Width::Byte, 3);
    script.store(base + DRIVER_FEATURE_SELECT, Width::Dword, 0);
    script.store(base + DRIVER_FEATURE, Width::Dword, random.of(&[0, 1 << 28, 1 << 29, 3 << 28, 1 << 9]));
    script.store(base + DRIVER_FEATURE_SELECT, Width::Dword, 1);
    script.store(base + DRIVER_FEATURE, Width::Dword, 1);
    script.store(base + STATUS, Width::Byte, 0xb);
    for queue in 0..3 {
        script.store(base + QUEUE_SELECT, Width::Word, queue);
        script.store(base + QUEUE_SIZE, Width::Word, random.of(&[16, 16, 16, 64, 256, 8, 1, 0, 3]));
        script.store(base + QUEUE_VECTOR, Width::Word, random.of(&[0, 1, 2, 0xffff]));
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

/// Descriptors that loop, point outside, are too long, and nest; available indices that jump.
fn garbage(script: &mut Script, random: &mut Random) {
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
fn sound(script: &mut Script, random: &mut Random) {
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

fn available(queue: u32) -> u32 {
    AVAILABLE + queue * 0x400
}

/// Rings at any address with any contents, doorbells, a second start without a reset.
fn rings(random: &mut Random, functions: u8, rounds: u32) -> Script {
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
fn resets(random: &mut Random, functions: u8, rounds: u32) -> Script {
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
fn two_cpus(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = rings(random, functions, rounds);
    script.append(&resets(random, functions, rounds));
    let mut writes = Vec::new();
    for device in FIRST..=functions {
        let base = BARS + u32::from(device) * BAR_LEN;
        for (register, value) in
            [(COMMAND, 0), (BAR0, base), (COMMAND, 6), (BAR0, base + 0x100_0000), (BAR0, base)]
        {
            writes.push((device, register, value));
        }
        // Message control is the upper half of its dword: mask all vectors, then none.
        writes.extend([
            (device, 0x40, 0xc000_0000),
            (device, 0x40, 0x8000_0000),
            (device, 0xa0, random.next()),
        ]);
    }
    script.others_write_config(&writes);
    script
}

/// As much output as fits through the serial port.
fn flood(_random: &mut Random, _functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds {
        script.out_string(0x3f8, 0x1000);
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_is_the_same_each_time_and_fits_below_the_rings() {
        for attack in ATTACKS {
            let image = attack.script(7, 2, 20).image();
            assert_eq!(image, attack.script(7, 2, 20).image(), "{}", attack.name);
            assert!(image.len() < usize::try_from(RINGS - elf_start()).unwrap(), "{}", attack.name);
        }
    }

    fn elf_start() -> u32 {
        crate::elf::LOAD_ADDRESS
    }
}
