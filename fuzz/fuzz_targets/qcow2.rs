// SPDX-License-Identifier: Apache-2.0
//! A hostile qcow2 image, used as a guest would. Magic, version and cluster size are put in place, so that the fuzzer gets past
//! them at once; clusters of 512 bytes make most of a small image tables.
#![no_main]

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flotilla_block::{EngineChoice, Qcow2, Qcow2Options};
use flotilla_device_model::block::{BlockBackend, Operation, Request, Segment};
use flotilla_memory::GuestAddress;
use libfuzzer_sys::fuzz_target;

/// What the file may grow to.
const MAX_FILE: u64 = 64 << 20;

fuzz_target!(|data: &[u8]| {
    let mut image = data.to_vec();
    image.resize(image.len().max(4096), 0);
    image[..4].copy_from_slice(b"QFI\xfb");
    let version = 2 + u32::from(image[7] & 1);
    image[4..8].copy_from_slice(&version.to_be_bytes());
    image[20..24].copy_from_slice(&9_u32.to_be_bytes());
    let file = tempfile::tempfile().expect("a temporary file");
    file.write_all_at(&image, 0).expect("an image of a few kilobytes");
    let options = Qcow2Options { read_only: data.len().is_multiple_of(2), engine: EngineChoice::Direct };
    let copy = file.try_clone().expect("a descriptor");
    let disk = Qcow2::open(copy, &[], options);
    assert!(disk.is_ok() || !flotilla_fuzz::expects_valid(), "refused: {:?}", disk.err());
    if let Ok(disk) = disk {
        use_it(&disk);
    }
    let len = file.metadata().expect("its length").len();
    assert!(len < MAX_FILE, "an image of {} bytes grew to {len}", image.len());
});

fn use_it(disk: &Qcow2) {
    let size = disk.size();
    let mut queue = disk.open_queue(4).expect("a queue needs no rings");
    flotilla_fuzz::with_memory(|memory| {
        for at in [0, 512, 1 << 14, 1 << 20, size.saturating_sub(512)] {
            let segment = Segment { address: GuestAddress(0), len: 512 };
            let write = Operation::Write { offset: at, segments: [segment].into_iter().collect() };
            let read = Operation::Read { offset: at, segments: [segment].into_iter().collect() };
            for operation in [write, read, Operation::Flush] {
                let request = Request { token: at, memory: Arc::clone(memory), operation };
                queue.submit(request).expect("it has room");
                queue.drain(&mut Vec::new()).ok();
            }
            disk.write_zeroes(at, 512, true).ok();
            disk.discard(at, 512).ok();
        }
    });
    disk.grow(size.saturating_add(1 << 20)).ok();
    disk.flush().ok();
}
