// SPDX-License-Identifier: Apache-2.0
//! One suite over both engines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use flotilla_device_model::block::{
    BlockBackend, BlockQueue, Completion, Operation, Range, Request, Segment, Segments,
};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};
use proptest::prelude::*;
use vm_memory::bitmap::Bitmap;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use crate::disk::Disk;
use crate::engine::direct::DirectQueue;
use crate::engine::uring::UringQueue;
use crate::transfer::Limits;
use crate::{BlockError, EngineChoice, EngineKind, LockKind, RawFile, RawOptions, lock};

const DISK_LEN: u64 = 256 << 10;
const RAM_LEN: u64 = 4 << 20;
const DEPTH: u16 = 32;

/// Says on the test's output that something could not be tested here. With `REQUIRE_KVM=1` that is a failure.
pub(crate) fn skip(why: &str) {
    use std::io::Write;
    assert!(!std::env::var("REQUIRE_KVM").is_ok_and(|value| value == "1"), "REQUIRE_KVM=1: {why}");
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

pub(crate) fn disk(len: u64) -> Arc<Disk> {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    Arc::new(Disk::new(file.into(), Limits { size: len, read_only: false }))
}

pub(crate) fn ram() -> Arc<GuestMemory> {
    allocate(&[(GuestAddress(0), RAM_LEN)], Backing::Anonymous).unwrap()
}

type Open = fn(Arc<Disk>) -> io::Result<Box<dyn BlockQueue>>;

/// Runs a check with each engine that the host has.
fn with_engines(check: impl Fn(&str, Open)) {
    check("direct", |disk| Ok(Box::new(DirectQueue::new(disk, DEPTH))));
    let uring: Open = |disk| Ok(Box::new(UringQueue::new(disk, DEPTH)?));
    match uring(disk(4096)) {
        Ok(_) => check("io_uring", uring),
        Err(error) => skip(&format!("io_uring: {error}")),
    }
}

pub(crate) fn segments(list: &[(u64, u32)]) -> Segments {
    list.iter().map(|&(address, len)| Segment { address: GuestAddress(address), len }).collect()
}

/// Waits as a device does: for the event if there is one.
pub(crate) fn wait_for(queue: &mut dyn BlockQueue, count: usize) -> Vec<Completion> {
    let mut done = Vec::new();
    while done.len() < count {
        if let Some(event) = queue.completion_event() {
            let mut poll = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd is given and lives through the call.
            let ready = unsafe { libc::poll(&raw mut poll, 1, 5000) };
            assert_eq!(ready, 1, "no completion in time");
        }
        queue.reap(&mut done).unwrap();
    }
    done
}

pub(crate) fn run(
    queue: &mut dyn BlockQueue,
    memory: &Arc<GuestMemory>,
    operation: Operation,
) -> io::Result<u64> {
    queue.submit(Request { token: 99, memory: Arc::clone(memory), operation }).unwrap();
    queue.kick().unwrap();
    let done = wait_for(queue, 1).remove(0);
    assert_eq!(done.token, 99);
    assert_eq!(queue.in_flight(), 0);
    done.result
}

#[test]
fn gathers_and_scatters_over_segments_of_any_length() {
    with_engines(|name, open| {
        let (memory, mut queue) = (ram(), open(disk(DISK_LEN)).unwrap());
        let data: Vec<u8> = (0..1536).map(|i| u8::try_from(i % 251).unwrap()).collect();
        memory.write_slice(&data[..1], GuestAddress(4097)).unwrap();
        memory.write_slice(&data[1..700], GuestAddress(70_001)).unwrap();
        memory.write_slice(&data[700..], GuestAddress(100_003)).unwrap();
        let from = segments(&[(4097, 1), (70_001, 699), (100_003, 836)]);
        let write = Operation::Write { offset: 1024, segments: from };
        assert_eq!(run(&mut *queue, &memory, write).unwrap(), 1536, "{name}");
        assert_eq!(run(&mut *queue, &memory, Operation::Flush).unwrap(), 0, "{name}");
        let read = Operation::Read { offset: 1024, segments: segments(&[(200_000, 1000), (300_000, 536)]) };
        assert_eq!(run(&mut *queue, &memory, read).unwrap(), 1536, "{name}");
        let mut back = vec![0; 1536];
        memory.read_slice(&mut back[..1000], GuestAddress(200_000)).unwrap();
        memory.read_slice(&mut back[1000..], GuestAddress(300_000)).unwrap();
        assert!(back == data, "{name}");
    });
}

#[test]
fn completes_a_whole_batch_and_takes_no_more_than_its_depth() {
    with_engines(|name, open| {
        let (memory, mut queue) = (ram(), open(disk(DISK_LEN)).unwrap());
        let request = |token: u64| Request {
            token,
            memory: Arc::clone(&memory),
            operation: Operation::Read { offset: token * 512, segments: segments(&[(token * 4096, 512)]) },
        };
        for token in 0..u64::from(DEPTH) {
            queue.submit(request(token)).unwrap();
        }
        let refused = queue.submit(request(0)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock, "{name}");
        queue.kick().unwrap();
        let mut tokens: Vec<u64> =
            wait_for(&mut *queue, usize::from(DEPTH)).iter().map(|done| done.token).collect();
        tokens.sort_unstable();
        assert!(tokens.into_iter().eq(0..u64::from(DEPTH)), "{name}");
        queue.submit(request(0)).unwrap();
    });
}

#[test]
fn drain_finishes_what_was_only_submitted() {
    with_engines(|name, open| {
        let (memory, mut queue) = (ram(), open(disk(DISK_LEN)).unwrap());
        for token in 0..5 {
            let operation = Operation::Write { offset: token * 4096, segments: segments(&[(0, 4096)]) };
            queue.submit(Request { token, memory: Arc::clone(&memory), operation }).unwrap();
        }
        let mut done = Vec::new();
        queue.drain(&mut done).unwrap();
        assert_eq!((done.len(), queue.in_flight()), (5, 0), "{name}");
        assert!(done.iter().all(|completion| completion.result.is_ok()), "{name}");
    });
}

#[test]
fn guest_memory_outlives_its_last_other_owner_while_requests_run() {
    with_engines(|_, open| {
        for _ in 0..50 {
            let (memory, mut queue) = (ram(), open(disk(DISK_LEN)).unwrap());
            for token in 0..16 {
                let operation =
                    Operation::Read { offset: 0, segments: segments(&[(token * 65_536, 65_536)]) };
                queue.submit(Request { token, memory: Arc::clone(&memory), operation }).unwrap();
            }
            queue.kick().unwrap();
            drop(memory);
            drop(queue);
        }
    });
}

#[test]
fn never_writes_to_a_read_only_disk_nor_past_the_end() {
    with_engines(|name, open| {
        let memory = ram();
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let reopen = |read_only| {
            let copy: OwnedFd = file.try_clone().unwrap().into();
            open(Arc::new(Disk::new(copy, Limits { size: 4096, read_only }))).unwrap()
        };
        let write = |offset| Operation::Write { offset, segments: segments(&[(0, 512)]) };
        let refused = run(&mut *reopen(true), &memory, write(0)).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EROFS), "{name}");
        for offset in [4096, 3585, u64::MAX - 511, u64::MAX] {
            let refused = run(&mut *reopen(false), &memory, write(offset)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name} {offset}");
        }
        assert_eq!(file.metadata().unwrap().len(), 4096, "{name}");
    });
}

#[test]
fn reports_what_the_host_said() {
    with_engines(|name, open| {
        let memory = ram();
        let special = |path: &str| {
            let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
            open(Arc::new(Disk::new(file.into(), Limits { size: 1 << 20, read_only: false }))).unwrap()
        };
        let write = Operation::Write { offset: 0, segments: segments(&[(0, 512)]) };
        let full = run(&mut *special("/dev/full"), &memory, write).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC), "{name}");
        // Nothing is mapped at address 0 of this process.
        let read = Operation::Read { offset: 0, segments: segments(&[(0, 512)]) };
        let failed = run(&mut *special("/proc/self/mem"), &memory, read).unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(libc::EIO), "{name}");
    });
}

#[test]
fn a_disk_that_was_cut_short_fails_reads_beyond() {
    with_engines(|name, open| {
        let (memory, file) = (ram(), tempfile::tempfile().unwrap());
        file.set_len(1024).unwrap();
        let copy = file.try_clone().unwrap();
        let mut queue =
            open(Arc::new(Disk::new(copy.into(), Limits { size: 8192, read_only: false }))).unwrap();
        let read = Operation::Read { offset: 0, segments: segments(&[(0, 4096)]) };
        let error = run(&mut *queue, &memory, read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{name}");
    });
}

#[test]
fn memory_is_dirty_after_a_read_and_clean_after_a_write() {
    with_engines(|name, open| {
        let (memory, mut queue) = (ram(), open(disk(DISK_LEN)).unwrap());
        let dirty = |page: usize| memory.iter().next().unwrap().bitmap().dirty_at(page * 4096);
        let (read, write) = (segments(&[(4096, 4096)]), segments(&[(16_384, 512)]));
        run(&mut *queue, &memory, Operation::Read { offset: 0, segments: read }).unwrap();
        run(&mut *queue, &memory, Operation::Write { offset: 0, segments: write }).unwrap();
        assert_eq!([0, 1, 2, 4].map(dirty), [false, true, false, false], "{name}");
    });
}

#[test]
fn opens_only_what_can_be_a_disk() {
    let path = tempfile::NamedTempFile::new().unwrap();
    path.as_file().set_len(4096).unwrap();
    let with = |options: &mut OpenOptions| options.open(path.path()).unwrap();
    let open = |file: File, read_only| {
        RawFile::open_descriptor(file, RawOptions { read_only, ..RawOptions::default() })
    };
    let reader = || File::open(path.path()).unwrap();
    assert!(open(reader(), true).is_ok());
    assert!(matches!(open(reader(), false), Err(BlockError::Access { .. })));
    let writer = with(OpenOptions::new().write(true));
    assert!(matches!(open(writer, false), Err(BlockError::Access { .. })));
    let appender = with(OpenOptions::new().read(true).append(true));
    assert!(matches!(open(appender, false), Err(BlockError::Flag { flag: "O_APPEND" })));
    let directory = File::open("/tmp").unwrap();
    assert!(matches!(open(directory, true), Err(BlockError::NotRegular)));
}

#[test]
fn gives_the_lock_back_at_once_when_the_last_user_is_gone() {
    let path = tempfile::NamedTempFile::new().unwrap();
    path.as_file().set_len(4096).unwrap();
    let open = || OpenOptions::new().read(true).write(true).open(path.path()).unwrap();
    for _ in 0..100 {
        let file = open();
        lock(&file, LockKind::Exclusive).unwrap();
        let disk = RawFile::open_descriptor(file, RawOptions::default()).unwrap();
        let queue = disk.open_queue(8).unwrap();
        drop(disk);
        drop(queue);
        let next = open();
        assert!(crate::lock::try_lock(&next, LockKind::Exclusive).is_ok());
    }
}

#[test]
fn uses_system_calls_when_told_to() {
    let options = RawOptions { engine: EngineChoice::Direct, ..RawOptions::default() };
    let file = tempfile::tempfile().unwrap();
    file.set_len(512).unwrap();
    let disk = RawFile::open_descriptor(file, options).unwrap();
    assert_eq!(disk.engine(), EngineKind::Direct);
    assert!(disk.open_queue(4).unwrap().completion_event().is_none());
}

#[test]
fn a_file_in_memory_is_read_by_system_calls() {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    file.set_len(8192).unwrap();
    let open = |engine| {
        let options = RawOptions { engine, ..RawOptions::default() };
        RawFile::open_descriptor(file.try_clone().unwrap(), options)
    };
    let disk = open(EngineChoice::Automatic).unwrap();
    assert_eq!((disk.engine(), disk.in_memory()), (EngineKind::Direct, true));
    match open(EngineChoice::IoUring) {
        Ok(disk) => assert_eq!((disk.engine(), disk.in_memory()), (EngineKind::IoUring, false)),
        Err(error) => assert_eq!(error.code(), "disk.engine_unavailable"),
    }
}

fn range(offset: u64, len: u64, unmap: bool) -> Range {
    Range { offset, len, unmap }
}

/// Blocks of 512 bytes that the host keeps for a file.
fn kept(file: &File) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap())
}

#[test]
fn gives_space_back_and_writes_zeroes() {
    // ext4 or the like, and tmpfs, which cannot zero a range without giving it back.
    for directory in [std::env::temp_dir(), "/dev/shm".into()] {
        with_engines(|name, open| {
            let file = tempfile::tempfile_in(&directory).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &vec![0x5a; 1 << 20], 0).unwrap();
            let limits = Limits { size: 1 << 20, read_only: false };
            let shared = Arc::new(Disk::new(file.try_clone().unwrap().into(), limits));
            let (memory, mut queue) = (ram(), open(shared).unwrap());
            let before = kept(&file);
            let discard = Operation::Discard(vec![range(0, 256 << 10, false), range(512 << 10, 4096, false)]);
            assert_eq!(run(&mut *queue, &memory, discard).unwrap(), 0, "{name}");
            assert!(kept(&file) + 512 <= before, "{name}: {} of {before}", kept(&file));
            let freed = kept(&file);
            let zero =
                Operation::WriteZeroes(vec![range(600 << 10, 1024, false), range(700 << 10, 512, false)]);
            assert_eq!(run(&mut *queue, &memory, zero).unwrap(), 0, "{name}");
            assert_eq!(kept(&file), freed, "{name}: without unmap the space is kept");
            let unmap = Operation::WriteZeroes(vec![range(800 << 10, 128 << 10, true)]);
            assert_eq!(run(&mut *queue, &memory, unmap).unwrap(), 0, "{name}");
            assert!(kept(&file) < freed, "{name}");
            let mut content = vec![0; 1 << 20];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut content, 0).unwrap();
            let zeroes: [(usize, usize); 5] = [
                (0, 256 << 10),
                (512 << 10, 4096),
                (600 << 10, 1024),
                (700 << 10, 512),
                (800 << 10, 128 << 10),
            ];
            let mut expected = vec![0x5a; 1 << 20];
            for (at, len) in zeroes {
                expected[at..at + len].fill(0);
            }
            assert!(content == expected, "{name}");
            let past = Operation::WriteZeroes(vec![range((1 << 20) - 512, 1024, true)]);
            assert!(run(&mut *queue, &memory, past).is_err(), "{name}");
            assert_eq!(file.metadata().unwrap().len(), 1 << 20, "{name}");
        });
    }
}

#[test]
fn direct_transfers_take_any_buffer() {
    let path = tempfile::NamedTempFile::new().unwrap();
    path.as_file().set_len(4 << 20).unwrap();
    for engine in [EngineChoice::Direct, EngineChoice::Automatic] {
        let file = OpenOptions::new().read(true).write(true).open(path.path()).unwrap();
        let options = RawOptions { engine, direct: true, ..RawOptions::default() };
        let disk = match RawFile::open_descriptor(file, options) {
            Err(error @ BlockError::Direct(_)) => return skip(&error.to_string()),
            disk => disk.unwrap(),
        };
        let block = u64::from(disk.block_size());
        let (memory, mut queue) = (ram(), disk.open_queue(8).unwrap());
        let len = 2 << 20;
        let data: Vec<u8> = (0..len).map(|i| u8::try_from(i * 7 % 253).unwrap()).collect();
        // Unaligned and in pieces, and larger than one bounce.
        memory.write_slice(&data[..1001], GuestAddress(4097)).unwrap();
        memory.write_slice(&data[1001..], GuestAddress(8195)).unwrap();
        let whole = u32::try_from(len).unwrap();
        let write =
            Operation::Write { offset: block, segments: segments(&[(4097, 1001), (8195, whole - 1001)]) };
        assert_eq!(run(&mut *queue, &memory, write).unwrap(), u64::from(whole));
        assert_eq!(run(&mut *queue, &memory, Operation::Flush).unwrap(), 0);
        // Aligned, as a guest mostly is.
        let read = Operation::Read { offset: block, segments: segments(&[(1 << 21, whole)]) };
        assert_eq!(run(&mut *queue, &memory, read).unwrap(), u64::from(whole));
        let mut back = vec![0; len];
        memory.read_slice(&mut back, GuestAddress(1 << 21)).unwrap();
        assert!(back == data);
        let odd =
            Operation::Read { offset: block, segments: segments(&[(4099, 512), (70_001, whole - 512)]) };
        assert_eq!(run(&mut *queue, &memory, odd).unwrap(), u64::from(whole));
        memory.read_slice(&mut back[..512], GuestAddress(4099)).unwrap();
        memory.read_slice(&mut back[512..], GuestAddress(70_001)).unwrap();
        assert!(back == data);
    }
}

#[test]
fn follows_a_file_that_grows() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    let disk = RawFile::open_descriptor(file.try_clone().unwrap(), RawOptions::default()).unwrap();
    let (memory, mut queue) = (ram(), disk.open_queue(8).unwrap());
    let read = || Operation::Read { offset: 4096, segments: segments(&[(0, 512)]) };
    file.set_len(8192).unwrap();
    assert!(run(&mut *queue, &memory, read()).is_err());
    assert_eq!((disk.size(), disk.refresh_size().unwrap(), disk.size()), (4096, 8192, 8192));
    assert_eq!(run(&mut *queue, &memory, read()).unwrap(), 512);
}

#[derive(Debug, Clone)]
enum Step {
    Read { sector: u64, pieces: Vec<u32> },
    Write { sector: u64, pieces: Vec<u32>, value: u8 },
    Flush,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span = (0..DISK_LEN / 512, prop::collection::vec(1_u32..5000, 1..6));
    let step = prop_oneof![
        3 => span.clone().prop_map(|(sector, pieces)| Step::Read { sector, pieces }),
        3 => (span, any::<u8>()).prop_map(|((sector, pieces), value)| Step::Write { sector, pieces, value }),
        1 => Just(Step::Flush),
        1 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

/// A disk, what it should hold, and reads whose data is still to be compared.
struct Bench {
    queue: Box<dyn BlockQueue>,
    memory: Arc<GuestMemory>,
    model: Vec<u8>,
    busy: Vec<(u64, u64)>,
    expected: Vec<(Vec<Segment>, Vec<u8>)>,
    token: u64,
}

impl Bench {
    /// Requests in flight are unordered, so whoever needs an order waits.
    fn settle(&mut self) {
        self.queue.kick().unwrap();
        let count = self.queue.in_flight();
        for done in wait_for(&mut *self.queue, count) {
            done.result.unwrap();
        }
        for (segments, data) in self.expected.drain(..) {
            let mut found = Vec::new();
            for segment in segments {
                let mut piece = vec![0; segment.len as usize];
                self.memory.read_slice(&mut piece, segment.address).unwrap();
                found.extend(piece);
            }
            assert!(found == data, "data read differs from the model");
        }
        self.busy.clear();
    }

    /// Cuts a span to the disk and lays its pieces out in a part of memory that no other request in flight uses.
    fn place(&mut self, sector: u64, pieces: &[u32]) -> (u64, Vec<Segment>, usize) {
        let start = sector * 512;
        let end = (start + pieces.iter().map(|&len| u64::from(len)).sum::<u64>()).min(DISK_LEN);
        let conflict = self.busy.iter().any(|&(from, to)| from < end && start < to);
        if conflict || self.busy.len() + 1 >= usize::from(DEPTH) / 2 {
            self.settle();
        }
        let mut address = 3 + self.busy.len() as u64 * 40_000;
        self.busy.push((start, end));
        let (mut rest, mut segments) = (end - start, Vec::new());
        for &len in pieces {
            let len = u64::from(len).min(rest);
            if len > 0 {
                segments.push(Segment { address: GuestAddress(address), len: u32::try_from(len).unwrap() });
            }
            address += len + 1;
            rest -= len;
        }
        (start, segments, usize::try_from(end - start).unwrap())
    }

    fn submit(&mut self, operation: Operation) {
        self.token += 1;
        let memory = Arc::clone(&self.memory);
        self.queue.submit(Request { token: self.token, memory, operation }).unwrap();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read { sector, pieces } => {
                let (offset, segments, len) = self.place(sector, &pieces);
                let start = usize::try_from(offset).unwrap();
                self.expected.push((segments.clone(), self.model[start..start + len].to_vec()));
                self.submit(Operation::Read { offset, segments: segments.into() });
            }
            Step::Write { sector, pieces, value } => {
                let (offset, segments, len) = self.place(sector, &pieces);
                let start = usize::try_from(offset).unwrap();
                self.model[start..start + len].fill(value);
                for segment in &segments {
                    self.memory.write_slice(&vec![value; segment.len as usize], segment.address).unwrap();
                }
                self.submit(Operation::Write { offset, segments: segments.into() });
            }
            Step::Flush => {
                self.settle();
                self.submit(Operation::Flush);
            }
            Step::Wait => self.settle(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn behaves_as_an_array_of_bytes(steps in steps()) {
        with_engines(|name, open| {
            let mut file = tempfile::tempfile().unwrap();
            file.set_len(DISK_LEN).unwrap();
            let copy: OwnedFd = file.try_clone().unwrap().into();
            let disk = Arc::new(Disk::new(copy, Limits { size: DISK_LEN, read_only: false }));
            let len = usize::try_from(DISK_LEN).unwrap();
            let mut bench = Bench {
                queue: open(disk).unwrap(),
                memory: ram(),
                model: vec![0; len],
                busy: Vec::new(),
                expected: Vec::new(),
                token: 0,
            };
            for step in steps.clone() {
                bench.step(step);
            }
            bench.settle();
            let mut found = Vec::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut found).unwrap();
            assert!(found == bench.model, "{name}: image differs from the model");
        });
    }
}
