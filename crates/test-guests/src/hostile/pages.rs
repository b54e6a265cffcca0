// SPDX-License-Identifier: Apache-2.0
//! Attacks on virtio-mmio devices: their register pages, their rings, and resets at the wrong moment. A machine with
//! PCI has nothing at these addresses.

use super::driver::{RAM_END, RINGS, RINGS_LEN, available, garbage, sound};
use super::random::Random;
use crate::script::{Script, Width};

/// Where the pages are, one after the other.
const PAGES: u32 = 0xd000_0000;
const PAGE: u32 = 0x1000;
const USED: u32 = RINGS + 0x6000;

// Registers (virtio 1.2 §4.2.2).
const DRIVER_FEATURES: u32 = 0x20;
const DRIVER_FEATURES_SELECT: u32 = 0x24;
const QUEUE_SELECT: u32 = 0x30;
const QUEUE_SIZE: u32 = 0x38;
const QUEUE_READY: u32 = 0x44;
const NOTIFY: u32 = 0x50;
const STATUS: u32 = 0x70;
const QUEUE_DESC: u32 = 0x80;
const QUEUE_DRIVER: u32 = 0x90;
const QUEUE_DEVICE: u32 = 0xa0;

/// Any access to any place of a page, and devices that work on rings full of garbage.
pub(super) fn pages(random: &mut Random, functions: u8, rounds: u32) -> Script {
    let mut script = Script::default();
    for _ in 0..rounds {
        let page = PAGES + random.below(u32::from(functions) + 1) * PAGE;
        start(&mut script, random, page);
        for _ in 0..20 {
            let (width, value) = (random.width(), random.value());
            match random.below(8) {
                0 => script.store(page + random.below(PAGE), width, value),
                1 => script.load(page + random.below(0x120), width),
                2 => script.store(available(random.below(3)) + 2, Width::Word, value),
                3 => script.store(RINGS + random.below(RINGS_LEN), width, value),
                4 => garbage(&mut script, random),
                5 => sound(&mut script, random),
                _ => script.store(page + NOTIFY, Width::Dword, random.below(4)),
            }
        }
        script.store(page + STATUS, Width::Dword, random.of(&[0, 0, 0xf, 0xb, 0x8f, 0x4f, 7, u32::MAX]));
        script.load(page + STATUS, Width::Dword);
    }
    script
}

/// Brings a device up in the right order, now and then with rings that lie elsewhere or nowhere.
fn start(script: &mut Script, random: &mut Random, page: u32) {
    garbage(script, random);
    for status in [0, 1, 3] {
        script.store(page + STATUS, Width::Dword, status);
    }
    for (select, features) in [(0, random.of(&[0, 1 << 28, 1 << 29, 3 << 28, 1 << 9])), (1, 1)] {
        script.store(page + DRIVER_FEATURES_SELECT, Width::Dword, select);
        script.store(page + DRIVER_FEATURES, Width::Dword, features);
    }
    script.store(page + STATUS, Width::Dword, 0xb);
    for queue in 0..3 {
        script.store(page + QUEUE_SELECT, Width::Dword, queue);
        script.store(page + QUEUE_SIZE, Width::Dword, random.of(&[16, 16, 16, 64, 256, 8, 1, 0, 3]));
        let rings =
            [(QUEUE_DESC, RINGS), (QUEUE_DRIVER, available(queue)), (QUEUE_DEVICE, USED + queue * 0x1000)];
        for (register, usual) in rings {
            let bad = random.of(&[RAM_END - 16, RAM_END, PAGES, 0xffff_fff0, RINGS + 1, 0]);
            script.store(page + register, Width::Dword, if random.below(20) == 0 { bad } else { usual });
            script.store(page + register + 4, Width::Dword, u32::from(random.below(30) == 0));
        }
        script.store(page + QUEUE_READY, Width::Dword, 1);
    }
    script.store(page + STATUS, Width::Dword, 0xf);
}
