// SPDX-License-Identifier: Apache-2.0
//! The data path of a disk without a guest: a made-up driver on real memory, our device, our back-end, a real file. For
//! counting what a request costs: `perf stat -e instructions:u,instructions:k`, `strace -c -f`, `valgrind --tool=callgrind`.
//!
//! `disk_path FILE read|write BYTES DEPTH REQUESTS [thread|vcpu]`: `vcpu` (the default) rings as a transport does, whose device may
//! do the work itself; `thread` leaves it to the device's thread. The file is written to, and must hold 16 MiB.
#![expect(clippy::print_stdout, reason = "an example talks on the terminal")]

use std::fs::OpenOptions;
use std::sync::Arc;
use std::time::Instant;

use flotilla_block::{LockKind, RawFile, RawOptions, lock};
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_devices::virtio::block::device::{Block, BlockOptions};
use flotilla_memory::{Backing, Bytes, GuestAddress, allocate};
use flotilla_testing::driver::{Buffer, FakeQueue};
use flotilla_testing::interrupts::FakeVirtioInterrupt;

const RAM: u64 = 64 << 20;
const RINGS: u64 = 0x1_0000;
const HEADERS: u64 = 0x4_0000;
const TABLES: u64 = 0x8_0000;
const DATA: u64 = 0x10_0000;
/// `INDIRECT_DESC`, `EVENT_IDX` and `FLUSH`.
const FEATURES: u64 = 1 << 28 | 1 << 29 | 1 << 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, kind, bytes, depth, requests, rest @ ..] = arguments.as_slice() else {
        return Err("FILE read|write BYTES DEPTH REQUESTS [thread|vcpu]".into());
    };
    let (write, on_vcpu) = (kind == "write", rest != ["thread"]);
    let (bytes, depth, requests): (u32, u16, u64) = (bytes.parse()?, depth.parse()?, requests.parse()?);
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    lock(&file, LockKind::Exclusive)?;
    let backend = RawFile::open_descriptor(file, RawOptions::default())?;
    println!("engine {:?}", backend.engine());
    let disk = Block::new("disk:d", Arc::new(backend), BlockOptions::default())?;
    let memory = allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous)?;
    let mut queue = FakeQueue::new(&memory, RINGS, 256);
    let queues = vec![Some(queue.activate())];
    let interrupt = Arc::new(FakeVirtioInterrupt::default());
    disk.activate(Activation {
        memory: Arc::clone(&memory),
        features: FEATURES,
        queues,
        interrupt: interrupt.clone(),
    })?;
    let (begin, mut doorbells, mut done) = (Instant::now(), 0_u64, 0_u64);
    while done < requests {
        for slot in 0..u64::from(depth) {
            let header = HEADERS + 32 * slot;
            let sector = (done + slot) * 7919 % ((16 << 20) / u64::from(bytes)) * u64::from(bytes) / 512;
            memory.write_obj(u64::from(write), GuestAddress(header))?;
            memory.write_obj(sector, GuestAddress(header + 8))?;
            let data = DATA + u64::from(bytes) * slot;
            let data = if write { Buffer::Readable(data, bytes) } else { Buffer::Writable(data, bytes) };
            let chain = [Buffer::Readable(header, 16), data, Buffer::Writable(header + 16, 1)];
            let wanted = queue.avail_event() == queue.available_index();
            queue.add_indirect(TABLES + 64 * slot, &chain);
            if wanted && !(on_vcpu && disk.doorbell(0)) {
                queue.ring();
            }
            doorbells += u64::from(wanted);
        }
        let mut left = depth;
        while left > 0 {
            match queue.take_used() {
                Some(_) => left -= 1,
                None => std::hint::spin_loop(),
            }
        }
        // As a driver that takes part in EVENT_IDX does.
        queue.set_used_event(queue.used_index());
        done += u64::from(depth);
    }
    let spent = begin.elapsed();
    println!(
        "{done} requests, {} ns each, {:.3} doorbells each",
        spent.as_nanos() / u128::from(done),
        ratio(doorbells, done)
    );
    println!("{:.3} interrupts each", ratio(interrupt.queue(0), done));
    for (name, value) in disk.metrics().into_iter().filter(|(_, value)| *value > 0) {
        println!("{name} {value}");
    }
    disk.deactivate();
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
