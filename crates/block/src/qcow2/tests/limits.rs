// SPDX-License-Identifier: Apache-2.0
//! What a guest, or an image from somewhere, cannot make an image do.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use flotilla_device_model::block::BlockBackend;

use super::bench::{Bench, create, open, writable};
use super::oracle::{self, Verdict};
use crate::{EngineChoice, Qcow2Create};

const CLUSTER: u64 = 2 << 20;

fn image(folder: &Path, cluster_size: u64, size: u64) -> std::path::PathBuf {
    let path = folder.join("image.qcow2");
    create(&path, &Qcow2Create { cluster_size, ..Qcow2Create::new(size) });
    path
}

/// A guest that never flushes writes and discards the same clusters again and again.
#[test]
fn a_guest_that_never_flushes_does_not_make_the_file_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), CLUSTER, 16 * CLUSTER);
    let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
    for _ in 0..64 {
        for cluster in 0..16 {
            bench.write(cluster * CLUSTER, &[7; 512]).unwrap();
        }
        bench.disk().discard(0, 16 * CLUSTER).unwrap();
    }
    let len = std::fs::metadata(&path).unwrap().len();
    assert!(len < 512 << 20, "a disk of 32 MiB takes {} MiB", len >> 20);
    bench.close();
    if oracle::is_there() {
        assert_eq!(oracle::check(&path), Verdict::Clean);
    }
}

/// A file that was cut short: the tables name clusters past its end, to be written in place.
#[test]
fn clusters_that_were_cut_off_are_written() {
    for kept in [0, 4096] {
        let folder = tempfile::tempdir().unwrap();
        let path = image(folder.path(), 64 << 10, 1 << 20);
        let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
        bench.write(0, &vec![1; 64 << 10]).unwrap();
        bench.close();
        let len = std::fs::metadata(&path).unwrap().len();
        let mut last = vec![0; 64 << 10];
        File::open(&path).unwrap().read_exact_at(&mut last, len - (64 << 10)).unwrap();
        assert!(last == vec![1; 64 << 10], "the data is the last thing in the file");
        writable(&path).set_len(len - (64 << 10) + kept).unwrap();
        let (done, ended) = mpsc::channel();
        let thread = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
                bench.write(8192, &[2; 4096]).unwrap();
                bench.disk().write_zeroes(16384, 4096, false).unwrap();
                bench.flush();
                done.send(bench.read(0, 64 << 10).unwrap()).unwrap();
                bench.close();
            }
        });
        let found = ended.recv_timeout(Duration::from_secs(20)).expect("it goes on for ever");
        thread.join().unwrap();
        let mut model = vec![0; 64 << 10];
        model[..usize::try_from(kept).unwrap()].fill(1);
        model[8192..12288].fill(2);
        assert!(found == model, "{kept}");
    }
}

/// An image from somewhere names a place far past its end that nothing counts.
#[test]
fn a_cluster_that_nothing_counts_does_not_make_the_file_grow() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 64 << 10, 1 << 20);
    let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
    bench.write(0, &vec![1; 64 << 10]).unwrap();
    bench.close();
    let bytes = std::fs::read(&path).unwrap();
    let l1 = u64::from_be_bytes(bytes[40..48].try_into().unwrap());
    let at = usize::try_from(l1).unwrap();
    let l2 = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) & 0x00ff_ffff_ffff_fe00;
    let far = 1_u64 << 40 | 1 << 63;
    writable(&path).write_all_at(&far.to_be_bytes(), l2).unwrap();
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
            done.send(bench.write(8192, &[2; 4096])).unwrap();
        }
    });
    ended.recv_timeout(Duration::from_secs(20)).expect("it goes on for ever").unwrap_err();
    thread.join().unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 16 << 20);
}

/// A machine that is paused because the host has no space for it must find its disk in use when there is some.
#[test]
fn tables_that_find_no_space_stay_in_memory_until_there_is_some() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 64 << 10, 1 << 20);
    let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
    let mut queue = bench.disk().open_queue(8).unwrap();
    bench.write(0, &[1; 4096]).unwrap();
    bench.disk().refuse_growth(true);
    let mut done = Vec::new();
    assert_eq!(queue.drain(&mut done).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!((queue.in_flight(), done.len()), (0, 0));
    bench.disk().refuse_growth(false);
    queue.drain(&mut done).unwrap();
    let copy = folder.path().join("copy.qcow2");
    std::fs::copy(&path, &copy).unwrap();
    let mut other = Bench::new(open(&copy, &[], EngineChoice::Direct).unwrap());
    assert!(other.read(0, 4096).unwrap() == [1; 4096], "all of it is in the file");
}
