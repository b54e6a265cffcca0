// SPDX-License-Identifier: Apache-2.0
//! A guest that works on a disk as a driver should (virtio 1.2 §3.1.1, §5.2.6): one request after the other, each announced
//! by the doorbell and awaited in the used ring.

use crate::hostile::driver::{
    DEVICE_CONFIG, FIRST, NOTIFY, QUEUE_DESC, QUEUE_DEVICE, QUEUE_DRIVER, QUEUE_ENABLE, QUEUE_SELECT,
    QUEUE_SIZE, QUEUE_VECTOR, STATUS, negotiate, place,
};
use crate::script::{Script, Width};

/// Sectors have 512 bytes.
const SECTOR: u32 = 512;
const QUEUE_ENTRIES: u32 = 4;
const NO_VECTOR: u32 = 0xffff;
/// `VIRTIO_BLK_F_FLUSH`: the disk need not flush after each write.
const FLUSH: u32 = 1 << 9;
const NEXT: u32 = 1;
const DEVICE_WRITES: u32 = 2;
const IN: u32 = 0;
const OUT: u32 = 1;

// Memory of the driver, a page each.
const DESCRIPTORS: u32 = 0x40_0000;
const AVAILABLE: u32 = 0x40_1000;
const USED: u32 = 0x40_2000;
const HEADER: u32 = 0x40_3000;
const DATA: u32 = 0x40_4000;
const RESULT: u32 = 0x40_5000;

/// What the guest has written at the start of a sector when it is done: anything but zero.
pub fn mark_of(sector: u32) -> u32 {
    0x0bad_cafe ^ sector << 8
}

/// A script that writes each of the first `sectors` sectors of the disk at the first virtio slot, then reads it back and
/// compares the mark; it stands still at the first that is wrong. It prints a dot after every eighth.
pub fn write_and_read(sectors: u32) -> Script {
    let mut script = Script::default();
    let base = place(&mut script, FIRST);
    negotiate(&mut script, base, FLUSH);
    set_up_queue(&mut script, base);
    script.store(base + STATUS, Width::Byte, 0xf);
    for sector in 0..sectors {
        script.store(DATA, Width::Dword, mark_of(sector));
        request(&mut script, base, 2 * sector, OUT, sector);
        script.store(DATA, Width::Dword, 0);
        request(&mut script, base, 2 * sector + 1, IN, sector);
        script.wait(DATA, mark_of(sector));
        script.wait(DATA + 2, mark_of(sector) >> 16);
        if sector % 8 == 7 {
            script.mark();
        }
    }
    script
}

/// A script that waits until the disk at the first virtio slot has `sectors` sectors, then writes the last one, and prints a dot.
pub fn write_what_has_grown(sectors: u16) -> Script {
    let mut script = Script::default();
    let base = place(&mut script, FIRST);
    negotiate(&mut script, base, FLUSH);
    set_up_queue(&mut script, base);
    script.store(base + STATUS, Width::Byte, 0xf);
    script.wait(base + DEVICE_CONFIG, sectors.into());
    let last = u32::from(sectors) - 1;
    script.store(DATA, Width::Dword, mark_of(last));
    request(&mut script, base, 0, OUT, last);
    script.mark();
    script
}

fn set_up_queue(script: &mut Script, base: u32) {
    script.store(base + QUEUE_SELECT, Width::Word, 0);
    script.store(base + QUEUE_SIZE, Width::Word, QUEUE_ENTRIES);
    script.store(base + QUEUE_VECTOR, Width::Word, NO_VECTOR);
    for (register, address) in [(QUEUE_DESC, DESCRIPTORS), (QUEUE_DRIVER, AVAILABLE), (QUEUE_DEVICE, USED)] {
        script.store(base + register, Width::Dword, address);
        script.store(base + register + 4, Width::Dword, 0);
    }
    // No interrupts: the guest looks for itself.
    script.store(AVAILABLE, Width::Dword, 1);
    script.store(USED, Width::Dword, 0);
    script.store(base + QUEUE_ENABLE, Width::Word, 1);
}

/// The request with this number, from 0: a chain of header, data and result.
fn request(script: &mut Script, base: u32, number: u32, kind: u32, sector: u32) {
    let data_flags = if kind == IN { NEXT | DEVICE_WRITES } else { NEXT };
    let chain =
        [(HEADER, 16, NEXT | 1 << 16), (DATA, SECTOR, data_flags | 2 << 16), (RESULT, 1, DEVICE_WRITES)];
    for (at, (address, len, flags_and_next)) in (DESCRIPTORS..).step_by(16).zip(chain) {
        for (word, value) in (at..).step_by(4).zip([address, 0, len, flags_and_next]) {
            script.store(word, Width::Dword, value);
        }
    }
    for (word, value) in (HEADER..).step_by(4).zip([kind, 0, sector, 0]) {
        script.store(word, Width::Dword, value);
    }
    script.store(RESULT, Width::Word, 0xff);
    script.store(AVAILABLE + 4 + number % QUEUE_ENTRIES * 2, Width::Word, 0);
    script.store(AVAILABLE + 2, Width::Word, number + 1);
    script.store(base + NOTIFY, Width::Word, 0);
    script.wait(USED + 2, number + 1);
    // The disk says that all is well.
    script.wait(RESULT, 0);
}
