// SPDX-License-Identifier: Apache-2.0
//! How fast images are beside raw files. Not a test: it says what it measured, as requests per second of CPU time, which
//! other work on the host falsifies less.
//!
//!     cargo test --release -p flotilla-block speed -- --ignored --nocapture

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::block::{BlockBackend, Operation, Request};
use flotilla_memory::{Backing, GuestAddress, GuestMemory, allocate};

use super::bench::{Bench, create, open, writable};
use crate::{BackingFormat, EngineChoice, Qcow2Create, RawFile, RawOptions};

const SIZE: u64 = 512 << 20;
const REPEATS: usize = 15;
/// The overlay of which every second cluster is its own, and how often it is written to while it is new: as npm run bench has it.
const OWN_HALF: u64 = 256 << 20;
const WRITES: u64 = 1984;
const SPAN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
struct Job {
    name: &'static str,
    write: bool,
    block: u32,
    depth: u64,
    random: bool,
}

const JOBS: [Job; 5] = [
    Job { name: "4 KiB random read, depth 1", write: false, block: 4096, depth: 1, random: true },
    Job { name: "4 KiB random read, depth 32", write: false, block: 4096, depth: 32, random: true },
    Job { name: "4 KiB random write, depth 32", write: true, block: 4096, depth: 32, random: true },
    Job { name: "128 KiB sequential read, depth 8", write: false, block: 128 << 10, depth: 8, random: false },
    Job { name: "128 KiB sequential write, depth 8", write: true, block: 128 << 10, depth: 8, random: false },
];

/// What this process has had of the CPUs, the kernel's threads for its rings included.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec, which lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Requests per second.
fn measure(disk: &dyn BlockBackend, memory: &Arc<GuestMemory>, job: Job) -> f64 {
    let mut queue = disk.open_queue(64).unwrap();
    let (mut count, mut state, mut position) = (0_u64, 1_u64, 0);
    let mut done = Vec::new();
    let blocks = SIZE / u64::from(job.block);
    let started = cpu_time();
    while cpu_time().saturating_sub(started) < SPAN {
        while (queue.in_flight() as u64) < job.depth {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            position = if job.random { (state >> 33) % blocks } else { (position + 1) % blocks };
            let address = count % job.depth * u64::from(job.block);
            let segments = crate::tests::segments(&[(address, job.block)]);
            let offset = position * u64::from(job.block);
            let operation = if job.write {
                Operation::Write { offset, segments }
            } else {
                Operation::Read { offset, segments }
            };
            queue.submit(Request { token: count, memory: Arc::clone(memory), operation }).unwrap();
            count += 1;
        }
        queue.kick().unwrap();
        done.extend(crate::tests::wait_for(&mut *queue, 1));
        done.clear();
    }
    let end = u32::try_from(count - queue.in_flight() as u64).unwrap();
    let rate = f64::from(end) / cpu_time().saturating_sub(started).as_secs_f64();
    queue.drain(&mut done).unwrap();
    rate
}

/// Random writes of 4 KiB, 32 at a time, and the flush after them: requests per second without that and with it.
fn measure_writes(disk: &dyn BlockBackend, memory: &Arc<GuestMemory>) -> [f64; 2] {
    let mut queue = disk.open_queue(64).unwrap();
    let (mut state, mut done) = (1_u64, Vec::new());
    let started = cpu_time();
    for batch in 0..WRITES / 32 {
        for token in 0..32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let segments = crate::tests::segments(&[(token * 4096, 4096)]);
            let operation = Operation::Write { offset: (state >> 33) % (OWN_HALF / 4096) * 4096, segments };
            queue
                .submit(Request { token: batch * 32 + token, memory: Arc::clone(memory), operation })
                .unwrap();
        }
        queue.kick().unwrap();
        done.extend(crate::tests::wait_for(&mut *queue, 32));
    }
    let written = cpu_time().saturating_sub(started);
    queue.submit(Request { token: 0, memory: Arc::clone(memory), operation: Operation::Flush }).unwrap();
    queue.kick().unwrap();
    done.extend(crate::tests::wait_for(&mut *queue, 1));
    let flushed = cpu_time().saturating_sub(started);
    assert!(done.iter().all(|completion| completion.result.is_ok()));
    [written, flushed].map(|time| f64::from(u32::try_from(WRITES).unwrap()) / time.as_secs_f64())
}

#[test]
#[ignore = "a measurement: for release builds"]
fn first_writes_to_an_overlay_beside_a_raw_file() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = |name: &str| folder.path().join(name);
    let memory = allocate(&[(GuestAddress(0), 8 << 20)], Backing::Anonymous).unwrap();
    fill(&path("raw"));
    fill(&path("base"));
    let backing = Some((path("base").to_str().unwrap().to_owned(), "raw".to_owned()));
    create(&path("template"), &Qcow2Create { backing, ..Qcow2Create::new(OWN_HALF) });
    let chain = vec![(path("base"), BackingFormat::Raw)];
    let mut bench = Bench::new(open(&path("template"), &chain, EngineChoice::Direct).unwrap());
    for cluster in (0..OWN_HALF >> 16).step_by(2) {
        bench.write(cluster << 16, &vec![2; 64 << 10]).unwrap();
    }
    bench.close();
    let engine = EngineChoice::Automatic;
    let mut rates = [const { Vec::new() }; 4];
    for _ in 0..REPEATS {
        let options = RawOptions { engine, ..RawOptions::default() };
        let raw = RawFile::open_descriptor(writable(&path("raw")), options).unwrap();
        std::fs::copy(path("template"), path("overlay")).unwrap();
        let overlay = open(&path("overlay"), &chain, engine).unwrap();
        let [written, flushed] = measure_writes(&raw, &memory);
        let [written_over, flushed_over] = measure_writes(&overlay, &memory);
        for (rates, rate) in rates.iter_mut().zip([written, written_over, flushed, flushed_over]) {
            rates.push(rate);
        }
    }
    let [raw, over, raw_flushed, over_flushed] = rates.map(median);
    let mut out = io::stderr();
    writeln!(out, "4 KiB random write, depth 32: raw {raw:.0}/s, overlay {:.3} x", over / raw).unwrap();
    writeln!(out, "and a flush: raw {raw_flushed:.0}/s, overlay {:.3} x", over_flushed / raw_flushed)
        .unwrap();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for _ in 0..SIZE >> 20 {
        file.write_all(&vec![1; 1 << 20]).unwrap();
    }
}

#[test]
#[ignore = "a measurement: for release builds"]
fn images_beside_raw_files() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = |name: &str| folder.path().join(name);
    let memory = allocate(&[(GuestAddress(0), 8 << 20)], Backing::Anonymous).unwrap();
    fill(&path("raw"));
    create(&path("full"), &Qcow2Create::new(SIZE));
    let backing = Some((path("raw").to_str().unwrap().to_owned(), "raw".to_owned()));
    create(&path("over"), &Qcow2Create { backing, ..Qcow2Create::new(SIZE) });
    let mut out = io::stderr();
    for engine in [EngineChoice::Direct, EngineChoice::Automatic] {
        let raw =
            RawFile::open_descriptor(writable(&path("raw")), RawOptions { engine, ..RawOptions::default() });
        let raw: Box<dyn BlockBackend> = Box::new(raw.unwrap());
        let full = Box::new(open(&path("full"), &[], engine).unwrap());
        let chain = vec![(path("raw"), BackingFormat::Raw)];
        let over = Box::new(open(&path("over"), &chain, engine).unwrap());
        let preparation = Job { name: "", write: true, block: 128 << 10, depth: 8, random: false };
        measure(&*full, &memory, preparation);
        measure(&*full, &memory, preparation);
        for job in JOBS {
            let mut rates = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..REPEATS {
                rates[0].push(measure(&*raw, &memory, job));
                rates[1].push(measure(&*full, &memory, job));
                rates[2].push(measure(&*over, &memory, job));
            }
            let [raw, full, over] = rates.map(median);
            writeln!(
                out,
                "{engine:?}, {}: raw {raw:.0}/s, image {:.3} x, overlay {:.3} x",
                job.name,
                full / raw,
                over / raw
            )
            .unwrap();
        }
    }
}
