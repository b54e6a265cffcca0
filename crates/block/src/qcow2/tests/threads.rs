// SPDX-License-Identifier: Apache-2.0
//! Several queues on one image.

use super::bench::{Bench, create, open};
use super::oracle::{self, Verdict};
use crate::{BackingFormat, EngineChoice, Qcow2Create};

use std::sync::Arc;

use flotilla_device_model::block::{BlockBackend, Operation};
use flotilla_memory::{Backing, Bytes, GuestAddress, allocate};

const THREADS: usize = 4;
const SIZE: usize = 8 << 20;

/// Each thread owns every fourth sector, so that they share clusters and tables, and never bytes.
#[test]
fn threads_that_share_clusters_lose_nothing() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, base) = (folder.path().join("top.qcow2"), folder.path().join("base.raw"));
    std::fs::write(&base, vec![9; SIZE]).unwrap();
    let options = Qcow2Create {
        cluster_size: 4096,
        backing: Some((base.to_str().unwrap().to_owned(), "raw".to_owned())),
        ..Qcow2Create::new(SIZE as u64)
    };
    create(&path, &options);
    let chain = vec![(base, BackingFormat::Raw)];
    let disk = Arc::new(open(&path, &chain, EngineChoice::Automatic).unwrap());
    let workers = (0..THREADS).map(|thread| {
        let disk = Arc::clone(&disk);
        std::thread::spawn(move || work(thread, &disk))
    });
    let workers: Vec<_> = workers.collect();
    let models: Vec<Vec<u8>> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    drop(Arc::into_inner(disk).unwrap());
    let model: Vec<u8> = (0..SIZE).map(|at| models[at / 512 % THREADS][at]).collect();
    assert_eq!(oracle::check(&path), Verdict::Clean);
    oracle::compare(&path, &model);
    let mut bench = Bench::new(open(&path, &chain, EngineChoice::Direct).unwrap());
    assert!(bench.read(0, 4 << 20).unwrap() == model[..4 << 20]);
}

fn work(thread: usize, disk: &crate::Qcow2) -> Vec<u8> {
    let mut queue = disk.open_queue(16).unwrap();
    let memory = allocate(&[(GuestAddress(0), 1 << 20)], Backing::Anonymous).unwrap();
    let mut model = vec![9; SIZE];
    let mut seed = thread as u64 + 1;
    let mut run = |operation| crate::tests::run(&mut *queue, &memory, operation).unwrap();
    for round in 0..1500_u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let sector = usize::try_from(seed >> 33).unwrap() % (SIZE / 512 / THREADS) * THREADS + thread;
        let (at, value) = (sector * 512, u8::try_from(round % 250 + 1).unwrap());
        let segments = crate::tests::segments(&[(0, 512)]);
        let offset = at as u64;
        match round % 16 {
            3 => {
                disk.write_zeroes(offset, 512, true).unwrap();
                model[at..at + 512].fill(0);
            }
            // What the others do not own must survive this as well: it is no whole cluster.
            5 => disk.discard(offset, 512).unwrap(),
            7 => {
                run(Operation::Flush);
            }
            9 | 11 => {
                run(Operation::Read { offset, segments });
                let mut found = [0; 512];
                memory.read_slice(&mut found, GuestAddress(0)).unwrap();
                assert!(found[..] == model[at..at + 512]);
            }
            _ => {
                memory.write_slice(&[value; 512], GuestAddress(0)).unwrap();
                run(Operation::Write { offset, segments });
                model[at..at + 512].fill(value);
            }
        }
    }
    model
}

/// Whole clusters come and go while others write next to them: what is given up must not be handed out too early.
#[test]
fn clusters_that_are_given_up_are_used_again_and_never_twice() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("top.qcow2");
    create(&path, &Qcow2Create { cluster_size: 512, ..Qcow2Create::new(SIZE as u64) });
    let disk = Arc::new(open(&path, &[], EngineChoice::Automatic).unwrap());
    let workers = (0..THREADS).map(|thread| {
        let disk = Arc::clone(&disk);
        std::thread::spawn(move || churn(thread, &disk))
    });
    let workers: Vec<_> = workers.collect();
    for worker in workers {
        worker.join().unwrap();
    }
    // Four threads may let the file grow for as long as one of them is not scheduled. One alone finds what was given up,
    // but for the last rounds, and writes 60 rounds of 64 KiB.
    let before = std::fs::metadata(&path).unwrap().len();
    churn(0, &disk);
    let after = std::fs::metadata(&path).unwrap().len();
    assert!(
        after <= before + (256 << 10),
        "freed clusters are not used again: {before} bytes became {after}"
    );
    drop(Arc::into_inner(disk).unwrap());
    assert_eq!(oracle::check(&path), Verdict::Clean);
}

fn churn(thread: usize, disk: &crate::Qcow2) {
    let mut queue = disk.open_queue(16).unwrap();
    let memory = allocate(&[(GuestAddress(0), 1 << 20)], Backing::Anonymous).unwrap();
    let mut run = |operation| crate::tests::run(&mut *queue, &memory, operation).unwrap();
    let (base, len) = ((thread * SIZE / THREADS) as u64, 64 << 10);
    for round in 0..60_u64 {
        let value = u8::try_from(round + 1).unwrap();
        let offset = base + round % 7 * 4096;
        memory.write_slice(&vec![value; len], GuestAddress(0)).unwrap();
        let segments = crate::tests::segments(&[(0, u32::try_from(len).unwrap())]);
        run(Operation::Write { offset, segments: segments.clone() });
        run(Operation::Read { offset, segments });
        let mut found = vec![0; len];
        memory.read_slice(&mut found, GuestAddress(0)).unwrap();
        assert!(found.iter().all(|&byte| byte == value));
        disk.discard(base, len as u64 * 2).unwrap();
        run(Operation::Flush);
    }
}
