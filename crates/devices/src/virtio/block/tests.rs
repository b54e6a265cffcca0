// SPDX-License-Identifier: Apache-2.0
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use flotilla_device_model::block::{BlockBackend, BlockQueue, Completion, Request, SpaceAlarm};
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::StateError;
use flotilla_device_model::throttle::{Limits, Rate, Throttle};
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::disk::FakeDisk;
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::{Buffer, FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use proptest::prelude::*;

use super::device::{Block, BlockOptions};
use super::fuzz::fuzz_request;
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const SECTORS: u64 = 64;
const FLUSH: u64 = 1 << 9;

const IN: u32 = 0;
const OUT: u32 = 1;
const T_FLUSH: u32 = 4;
const GET_ID: u32 = 8;

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

/// Where tests put their header, data and status.
const HEADER: u64 = 0x8000;
const DATA: u64 = 0x9000;
const STATUS: u64 = 0xf000;

struct Bench {
    memory: Arc<GuestMemory>,
    queue: FakeQueue,
    interrupt: Arc<FakeVirtioInterrupt>,
    disk: Arc<FakeDisk>,
    device: Block,
}

fn pattern() -> Vec<u8> {
    (0..SECTORS * 512).map(|i| u8::try_from(i / 512 + i % 7).unwrap()).collect()
}

fn options() -> BlockOptions {
    BlockOptions { serial: "serial-1".to_owned(), ..BlockOptions::default() }
}

fn bench_with(features: u64, read_only: bool, size: u16) -> Bench {
    let memory = guest_memory(0x10_0000);
    let queue = FakeQueue::new(&memory, 0x1000, size);
    let disk = Arc::new(FakeDisk::new(pattern(), read_only));
    let device = Block::new("disk:root", disk.clone(), options()).unwrap();
    let bench = Bench { memory, queue, interrupt: Arc::default(), disk, device };
    bench.activate(features);
    bench
}

fn bench() -> Bench {
    bench_with(FLUSH, false, 16)
}

/// A read of one sector.
const READ: [Buffer; 3] = [Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)];

impl Bench {
    fn activate(&self, features: u64) {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features,
            queues: vec![Some(self.queue.activate())],
            interrupt: self.interrupt.clone(),
        };
        self.device.activate(activation).unwrap();
    }

    fn header(&self, request_type: u32, sector: u64) {
        self.header_at(HEADER, request_type, sector);
    }

    fn header_at(&self, address: u64, request_type: u32, sector: u64) {
        self.memory.write_obj(request_type.to_le(), GuestAddress(address)).unwrap();
        self.memory.write_obj(0xdead_beef_u32, GuestAddress(address + 4)).unwrap();
        self.memory.write_obj(sector.to_le(), GuestAddress(address + 8)).unwrap();
    }

    /// Sends one chain and gives (status, used length).
    fn run(&mut self, buffers: &[Buffer]) -> (u8, u32) {
        self.memory.write_obj(0xee_u8, GuestAddress(STATUS)).unwrap();
        let head = self.queue.add(buffers);
        self.queue.ring();
        let (used, len) = self.queue.wait_used();
        assert_eq!(used, head);
        (self.memory.read_obj(GuestAddress(STATUS)).unwrap(), len)
    }

    /// A request in three descriptors.
    fn simple(&mut self, request_type: u32, sector: u64, data: Buffer) -> (u8, u32) {
        self.header(request_type, sector);
        self.run(&[Readable(HEADER, 16), data, Writable(STATUS, 1)])
    }

    fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    fn metric(&self, name: &str) -> u64 {
        self.device.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Takes this disk, with a driver that waits for each of its requests.
    fn wait_for_each_of_300_reads(&mut self, disk: impl BlockBackend + 'static) {
        self.device = Block::new("disk:root", Arc::new(disk), options()).unwrap();
        self.queue = FakeQueue::new(&self.memory, 0x1000, 16);
        self.activate(FLUSH | F_EVENT_IDX);
        self.header(IN, 1);
        for _ in 0..300 {
            self.queue.add(&READ);
            // As a transport does on the thread of a vCPU.
            if !self.device.doorbell(0) {
                self.queue.ring();
            }
            assert_eq!(self.queue.wait_used().1, 513);
        }
    }
}

fn limits(per_second: u64, burst: u64) -> Limits {
    Limits { bytes: Some(Rate { per_second, burst }), operations: None }
}

fn throttled(limits: Limits) -> (Bench, Arc<Throttle>) {
    let memory = guest_memory(0x10_0000);
    let queue = FakeQueue::new(&memory, 0x1000, 16);
    let disk = Arc::new(FakeDisk::new(pattern(), false));
    let throttle = Arc::new(Throttle::new(limits, Instant::now()));
    let device = Block::new("disk:root", disk.clone(), options()).unwrap().throttled_by(throttle.clone());
    let bench = Bench { memory, queue, interrupt: Arc::default(), disk, device };
    bench.activate(FLUSH);
    (bench, throttle)
}

#[test]
fn what_exceeds_a_limit_waits_in_the_ring_until_the_limit_changes() {
    let (mut bench, throttle) = throttled(limits(1, 1));
    bench.header(IN, 0);
    let chain = [Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)];
    let heads = [bench.queue.add(&chain), bench.queue.add(&chain)];
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used(), (heads[0], 513));
    wait_until("a request to wait", || bench.metric("throttle_waits") > 0);
    bench.device.pause();
    let state = bench.device.queues()[0].unwrap();
    assert_eq!((state.next_avail, state.next_used), (1, 1), "nothing of it is the device's");
    assert!(bench.device.save().is_ok());
    bench.device.resume();
    wait_until("a request to wait", || bench.metric("throttle_waits") > 1);
    assert!(bench.queue.take_used().is_none());
    throttle.change(Limits::default(), Instant::now());
    bench.device.recheck();
    assert_eq!(bench.queue.wait_used(), (heads[1], 513));
    assert_eq!(bench.metric("read_bytes"), 1024);
}

#[test]
fn what_waited_for_a_limit_goes_on_by_itself_and_not_before() {
    let (mut bench, _throttle) = throttled(limits(10_240, 512));
    bench.header(IN, 0);
    let begin = Instant::now();
    for _ in 0..3 {
        bench.queue.add(&[Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)]);
    }
    bench.queue.ring();
    for _ in 0..3 {
        bench.queue.wait_used();
    }
    // The first empties the bucket, the second is on credit, which takes 50 ms to repay.
    assert!(begin.elapsed() >= Duration::from_millis(49), "{:?}", begin.elapsed());
}

#[test]
fn requests_that_move_nothing_count_as_operations() {
    let operations = Some(Rate { per_second: 1, burst: 2 });
    let (mut bench, throttle) = throttled(Limits { bytes: None, operations });
    for _ in 0..2 {
        assert_eq!(bench.simple(GET_ID, 0, Writable(DATA, 20)).0, OK);
    }
    bench.header(T_FLUSH, 0);
    bench.queue.add(&[Readable(HEADER, 16), Writable(STATUS, 1)]);
    bench.queue.ring();
    wait_until("a request to wait", || bench.metric("throttle_waits") > 0);
    assert_eq!(bench.metric("flush_requests"), 0);
    throttle.change(limits(1, 1), Instant::now());
    bench.device.recheck();
    bench.queue.wait_used();
}

#[test]
fn tells_the_driver_what_it_is() {
    let bench = bench();
    let field = |offset, len| {
        let mut data = vec![0xff; len];
        bench.device.read_config(offset, &mut data);
        data.resize(8, 0);
        u64::from_le_bytes(data.try_into().unwrap())
    };
    assert_eq!(bench.device.device_type(), 2);
    assert_eq!((field(0, 8), field(8, 4), field(12, 4), field(20, 4)), (SECTORS, 0, 254, 512));
    assert_eq!((field(24, 1), field(26, 2), field(32, 1), field(34, 2)), (3, 8, 1, 1));
    assert_eq!((field(36, 4), field(40, 4), field(44, 4)), (1 << 18, 16, 1));
    assert_eq!((field(48, 4), field(52, 4), field(56, 1)), (1 << 18, 16, 1));
    assert_eq!((field(1000, 4), field(u64::MAX, 4), field(58, 8)), (0, 0, 0));
    assert_eq!(bench.device.device_features() & (1 << 5 | 1 << 12), 0, "writable, one queue");
    assert_eq!(bench.device.device_features() >> 11 & 0b1101, 0b1101, "write cache, discard, zeroes");
    assert_ne!(bench_with(FLUSH, true, 16).device.device_features() & (1 << 5), 0);
}

#[test]
fn reads_and_writes_sectors() {
    let mut bench = bench();
    assert_eq!(bench.simple(IN, 3, Writable(DATA, 1024)), (OK, 1025));
    assert!(bench.bytes(DATA, 1024) == pattern()[1536..2560]);
    bench.memory.write_slice(&[0xab; 512], GuestAddress(DATA)).unwrap();
    assert_eq!(bench.simple(OUT, SECTORS - 1, Readable(DATA, 512)), (OK, 1));
    assert!(bench.disk.content().ends_with(&[0xab; 512]));
    assert_eq!((bench.metric("read_requests"), bench.metric("read_bytes")), (1, 1024));
    assert_eq!((bench.metric("write_requests"), bench.metric("write_bytes")), (1, 512));
}

#[test]
fn descriptors_may_begin_and_end_anywhere() {
    let mut bench = bench_with(FLUSH | F_INDIRECT_DESC, false, 16);
    bench.memory.write_slice(&[0x5c; 512], GuestAddress(HEADER + 16)).unwrap();
    bench.header(OUT, 2);
    // Header and data in one, and the header torn in two.
    assert_eq!(bench.run(&[Readable(HEADER, 16 + 512), Writable(STATUS, 1)]), (OK, 1));
    let torn =
        [Readable(HEADER, 7), Readable(HEADER + 7, 100), Readable(HEADER + 107, 421), Writable(STATUS, 1)];
    bench.header(OUT, 4);
    assert_eq!(bench.run(&torn), (OK, 1));
    let content = bench.disk.content();
    assert!(content[1024..1536] == [0x5c; 512] && content[2048..2560] == [0x5c; 512]);
    // Data and status in one, over an indirect table.
    bench.header(IN, 5);
    bench.queue.add_indirect(0x4000, &[Readable(HEADER, 16), Writable(DATA, 100), Writable(DATA + 100, 413)]);
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used().1, 513);
    assert!(bench.bytes(DATA, 512) == pattern()[2560..3072]);
    assert_eq!(bench.bytes(DATA + 512, 1), [OK]);
}

#[test]
fn refuses_what_is_not_whole_sectors_inside_the_disk() {
    let mut bench = bench();
    let refused = |bench: &mut Bench, sector, len| {
        assert_eq!(bench.simple(IN, sector, Writable(DATA, len)), (IOERR, 0), "read {sector} {len}");
        assert_eq!(bench.simple(OUT, sector, Readable(DATA, len)), (IOERR, 1), "write {sector} {len}");
    };
    for (sector, len) in [(0, 511), (0, 513), (0, 1), (SECTORS, 512), (SECTORS - 1, 1024)] {
        refused(&mut bench, sector, len);
    }
    // Products and sums that wrap around to valid numbers.
    for sector in [u64::MAX, u64::MAX / 512, u64::MAX / 512 + 1, 1 << 55, (1 << 55) - 1] {
        refused(&mut bench, sector, 512);
    }
    assert_eq!(bench.disk.content(), pattern());
    assert_eq!((bench.metric("read_errors"), bench.metric("write_errors")), (10, 10));
}

#[test]
fn never_writes_to_a_read_only_disk() {
    let mut bench = bench_with(FLUSH, true, 16);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (IOERR, 1));
    assert_eq!(bench.simple(IN, 0, Writable(DATA, 512)), (OK, 513));
    assert_eq!(bench.disk.content(), pattern());
}

#[test]
fn gives_its_serial_only_if_there_is_room() {
    let mut bench = bench();
    assert_eq!(bench.simple(GET_ID, 0, Writable(DATA, 20)), (OK, 21));
    assert_eq!(bench.bytes(DATA, 20), *b"serial-1\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(bench.simple(GET_ID, 0, Writable(DATA, 19)), (IOERR, 0));
    assert_eq!(bench.simple(GET_ID, 0, Writable(DATA, 30)), (OK, 20));
    assert_eq!((bench.metric("id_requests"), bench.metric("id_errors")), (3, 1));
}

#[test]
fn says_that_it_does_not_know_a_request() {
    let mut bench = bench();
    for request_type in [2, 12, 14, 0x8000_0000, u32::MAX] {
        assert_eq!(bench.simple(request_type, 0, Writable(DATA, 512)), (UNSUPP, 0));
    }
    assert_eq!(bench.metric("unsupported_requests"), 5);
}

#[test]
fn flushes_when_asked() {
    let mut bench = bench();
    bench.header(T_FLUSH, 0);
    assert_eq!(bench.run(&[Readable(HEADER, 16), Writable(STATUS, 1)]), (OK, 1));
    assert_eq!((bench.disk.flushes(), bench.metric("flush_requests")), (1, 1));
}

#[test]
fn makes_each_write_durable_for_a_driver_that_cannot_flush() {
    let mut bench = bench_with(0, false, 16);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (OK, 1));
    assert_eq!(bench.simple(OUT, 1, Readable(DATA, 512)), (OK, 1));
    assert_eq!(bench.disk.flushes(), 2);
    assert_eq!((bench.metric("write_requests"), bench.metric("flush_requests")), (2, 0));
    assert_eq!(bench.metric("write_bytes"), 1024);
}

#[test]
fn passes_failures_of_the_disk_on() {
    let mut bench = bench();
    bench.disk.fail(true);
    assert_eq!(bench.simple(IN, 0, Writable(DATA, 512)), (IOERR, 0));
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (IOERR, 1));
    bench.header(T_FLUSH, 0);
    assert_eq!(bench.run(&[Readable(HEADER, 16), Writable(STATUS, 1)]), (IOERR, 1));
    assert_eq!((bench.metric("read_errors"), bench.metric("write_errors")), (1, 1));
    assert_eq!(bench.metric("flush_errors"), 1);
    bench.disk.fail(false);
    assert_eq!(bench.simple(IN, 0, Writable(DATA, 512)), (OK, 513));
}

#[test]
fn asks_for_a_reset_when_a_chain_has_no_header_or_status() {
    let broken: [&[Buffer]; 4] = [
        &[Readable(HEADER, 15), Writable(STATUS, 1)],
        &[Readable(HEADER, 16)],
        &[Writable(STATUS, 1)],
        &[Readable(HEADER, 600)],
    ];
    for buffers in broken {
        let mut bench = bench();
        bench.header(IN, 0);
        bench.queue.add(buffers);
        bench.queue.ring();
        wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
        wait_until("counted", || bench.metric("broken_queues") == 1);
        assert_eq!(bench.queue.take_used(), None);

        bench.device.deactivate();
        bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
        bench.activate(FLUSH);
        assert_eq!(bench.simple(IN, 0, Writable(DATA, 512)), (OK, 513), "after the reset");
    }
}

#[test]
fn answers_a_batch_with_one_interrupt() {
    let mut bench = bench();
    bench.device.pause();
    bench.header(IN, 0);
    for slot in 0..5 {
        bench.queue.add(&[Readable(HEADER, 16), Writable(DATA + slot * 512, 512), Writable(STATUS, 1)]);
    }
    bench.queue.ring();
    bench.device.resume();
    for _ in 0..5 {
        assert_eq!(bench.queue.wait_used().1, 513);
    }
    // Five times three descriptors: the fifth chain needs the whole ring but one.
    wait_until("one interrupt", || bench.interrupt.queue(0) == 1);
}

#[test]
fn pause_waits_for_what_is_in_flight() {
    let mut bench = bench();
    bench.disk.hold(true);
    bench.header(IN, 1);
    bench.queue.add(&[Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)]);
    bench.queue.ring();
    wait_until("taken", || bench.device.queues()[0].is_some_and(|queue| queue.next_avail == 1));
    assert_eq!(bench.queue.take_used(), None);
    bench.device.pause();
    assert_eq!(bench.queue.take_used(), Some((0, 513)));
    let state = bench.device.queues()[0].unwrap();
    assert_eq!((state.next_avail, state.next_used), (1, 1));
}

#[test]
fn reset_waits_for_what_is_in_flight() {
    let mut bench = bench_with(0, false, 16);
    bench.disk.hold(true);
    bench.header(OUT, 1);
    bench.memory.write_slice(&[0x77; 512], GuestAddress(DATA)).unwrap();
    bench.queue.add(&[Readable(HEADER, 16), Readable(DATA, 512), Writable(STATUS, 1)]);
    bench.queue.ring();
    wait_until("taken", || bench.device.queues()[0].is_some_and(|queue| queue.next_avail == 1));
    bench.device.pause();
    bench.device.reset();
    assert!(bench.disk.content()[512..1024] == [0x77; 512]);
    assert_eq!(bench.disk.flushes(), 1, "the flush that a write-through disk owes is not lost");
    assert!(bench.device.queues().iter().all(Option::is_none));
}

#[test]
fn loses_no_request_across_a_thousand_pauses() {
    let mut bench = bench_with(FLUSH | F_EVENT_IDX, false, 16);
    bench.header(IN, 0);
    for _ in 0..1000 {
        bench.queue.add(&[Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)]);
        bench.queue.ring();
        bench.device.pause();
        bench.device.resume();
        bench.queue.wait_used();
    }
}

#[test]
fn refuses_to_start_without_its_queue() {
    let bench = bench();
    bench.device.deactivate();
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: 0,
        queues: vec![None],
        interrupt: bench.interrupt.clone(),
    };
    assert!(matches!(bench.device.activate(activation), Err(ActivateError::QueueMissing { index: 0 })));
}

#[test]
fn restores_only_what_fits_the_disk() {
    let bench = bench();
    let good = bench.device.save().unwrap();
    assert_eq!(good.fields["size"], SECTORS * 512);
    let other = bench_with(FLUSH, false, 16);
    other.device.restore(&good).unwrap();
    assert_eq!(other.device.save().unwrap(), good);
    assert!(bench_with(FLUSH, true, 16).device.restore(&good).is_err(), "read-only now");
    for (field, value) in [
        ("size", serde_json::json!(512)),
        ("size", serde_json::json!(-1)),
        ("features", serde_json::json!(u64::MAX)),
        ("extra", serde_json::json!(0)),
    ] {
        let mut bad = good.clone();
        bad.fields[field] = value;
        assert!(bench.device.restore(&bad).is_err(), "{field}");
    }
}

/// A back-end without an event, whose requests end inside `kick`.
struct Blocking(Arc<FakeDisk>, bool);

struct BlockingQueue(Box<dyn BlockQueue>, Vec<Completion>);

impl BlockBackend for Blocking {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_only(&self) -> bool {
        self.0.read_only()
    }

    fn in_memory(&self) -> bool {
        self.1
    }

    fn open_queue(&self, depth: u16) -> std::io::Result<Box<dyn BlockQueue>> {
        Ok(Box::new(BlockingQueue(self.0.open_queue(depth)?, Vec::new())))
    }
}

impl BlockQueue for BlockingQueue {
    fn submit(&mut self, request: Request) -> std::io::Result<()> {
        self.0.submit(request)
    }

    fn kick(&mut self) -> std::io::Result<()> {
        self.0.drain(&mut self.1)
    }

    fn completion_event(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    fn reap(&mut self, done: &mut Vec<Completion>) -> std::io::Result<()> {
        done.append(&mut self.1);
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight() + self.1.len()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> std::io::Result<()> {
        self.kick()?;
        self.reap(done)
    }
}

#[test]
fn works_with_a_back_end_that_has_no_event() {
    for features in [0, FLUSH] {
        let mut bench = bench();
        bench.device =
            Block::new("disk:root", Arc::new(Blocking(bench.disk.clone(), false)), options()).unwrap();
        bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
        bench.activate(features);
        assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (OK, 1));
        assert_eq!(bench.simple(IN, 0, Writable(DATA, 512)), (OK, 513));
    }
}

/// A back-end that puts something off with each request, up to so many times.
struct Lazy(Blocking, Arc<AtomicUsize>, mpsc::Sender<usize>);

struct LazyQueue(Box<dyn BlockQueue>, Arc<AtomicUsize>, mpsc::Sender<usize>);

const LEFTOVERS: usize = 3;

impl BlockBackend for Lazy {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_only(&self) -> bool {
        self.0.read_only()
    }

    fn in_memory(&self) -> bool {
        self.0.in_memory()
    }

    fn open_queue(&self, depth: u16) -> std::io::Result<Box<dyn BlockQueue>> {
        Ok(Box::new(LazyQueue(self.0.open_queue(depth)?, Arc::clone(&self.1), self.2.clone())))
    }
}

impl BlockQueue for LazyQueue {
    fn submit(&mut self, request: Request) -> std::io::Result<()> {
        self.1.store(LEFTOVERS, Ordering::SeqCst);
        self.0.submit(request)
    }

    fn kick(&mut self) -> std::io::Result<()> {
        self.0.kick()
    }

    fn completion_event(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    fn reap(&mut self, done: &mut Vec<Completion>) -> std::io::Result<()> {
        self.0.reap(done)
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> std::io::Result<()> {
        self.0.drain(done)
    }

    fn has_leftovers(&self) -> bool {
        self.1.load(Ordering::SeqCst) > 0
    }

    fn tidy(&mut self) -> std::io::Result<()> {
        let left = self.1.fetch_sub(1, Ordering::SeqCst) - 1;
        self.2.send(left).unwrap();
        Ok(())
    }
}

#[test]
fn what_a_back_end_has_put_off_is_done_while_no_requests_come() {
    for in_memory in [false, true] {
        let mut bench = bench();
        let (done, tidied) = mpsc::channel();
        let disk = Lazy(Blocking(bench.disk.clone(), in_memory), Arc::default(), done);
        bench.wait_for_each_of_300_reads(disk);
        // That something waits is no reason to leave the work to the thread.
        let on_vcpu = bench.metric("vcpu_rounds");
        assert!(!in_memory || on_vcpu > 200, "{on_vcpu} of 300");
        // All of it, without another request.
        while tidied.recv_timeout(Duration::from_mins(1)).expect("it waits for ever") > 0 {}
    }
}

#[test]
fn a_driver_that_waits_for_each_request_is_answered_by_its_own_vcpu() {
    let mut bench = bench();
    bench.wait_for_each_of_300_reads(Blocking(bench.disk.clone(), true));
    let on_vcpu = bench.metric("vcpu_rounds");
    assert!(on_vcpu > 250 && on_vcpu < 300, "{on_vcpu} of 300");
    // While paused it takes a doorbell for later.
    bench.device.pause();
    bench.queue.add(&READ);
    assert!(!bench.device.doorbell(0));
    assert_eq!(bench.queue.take_used(), None);
    bench.device.resume();
    assert_eq!(bench.queue.wait_used().1, 513);
    bench.device.deactivate();
    assert!(!bench.device.doorbell(0));
}

#[test]
fn a_disk_on_a_slow_medium_leaves_doorbells_to_the_kernel() {
    let mut bench = bench();
    assert!(!bench.device.takes_doorbells() && !bench.device.doorbell(0));
    assert_eq!(bench.simple(IN, 0, Writable(DATA, 512)), (OK, 513));
}

/// A bench whose disk has as many queues as given, each with rings of its own behind one another.
fn with_queues(count: u16, missing: &[u16]) -> (Bench, Vec<FakeQueue>) {
    let mut bench = bench();
    bench.device.deactivate();
    let options = BlockOptions { queues: count, ..options() };
    bench.device = Block::new("disk:root", bench.disk.clone(), options).unwrap();
    let queues: Vec<FakeQueue> = (0..count)
        .map(|index| FakeQueue::new(&bench.memory, 0x1000 + 0x400 * u64::from(index), 16))
        .collect();
    let activate = |(index, queue): (u16, &FakeQueue)| (!missing.contains(&index)).then(|| queue.activate());
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: FLUSH | F_EVENT_IDX | 1 << 12,
        queues: (0..).zip(&queues).map(activate).collect(),
        interrupt: bench.interrupt.clone(),
    };
    bench.device.activate(activation).unwrap();
    (bench, queues)
}

#[test]
fn each_queue_works_for_itself() {
    let (bench, mut queues) = with_queues(4, &[]);
    let mut config = [0; 2];
    bench.device.read_config(34, &mut config);
    assert_eq!((u16::from_le_bytes(config), bench.device.device_features() >> 12 & 1), (4, 1));
    let at = |index: usize| (HEADER + 16 * index as u64, DATA + 512 * index as u64, STATUS + index as u64);
    for round in 0..20 {
        for (index, queue) in queues.iter_mut().enumerate() {
            let (header, data, status) = at(index);
            bench.header_at(header, IN, (index + round) as u64);
            queue.add(&[Readable(header, 16), Writable(data, 512), Writable(status, 1)]);
            queue.ring();
        }
        for (index, queue) in queues.iter_mut().enumerate() {
            assert_eq!(queue.wait_used().1, 513);
            let sector = (index + round) * 512;
            assert!(bench.bytes(at(index).1, 512) == pattern()[sector..sector + 512]);
        }
    }
    for index in 0..4 {
        assert!(bench.interrupt.queue(index) >= 1, "each interrupts for itself");
    }
    bench.device.pause();
    let positions: Vec<u16> = bench.device.queues().iter().map(|queue| queue.unwrap().next_avail).collect();
    assert_eq!(positions, [20; 4]);
    bench.device.deactivate();
}

#[test]
fn a_driver_may_leave_queues_out_but_not_the_first() {
    let (bench, mut queues) = with_queues(3, &[1]);
    bench.header(IN, 1);
    for index in [0, 2] {
        queues[index].add(&[Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)]);
        queues[index].ring();
        assert_eq!(queues[index].wait_used().1, 513);
    }
    bench.device.pause();
    let served: Vec<bool> = bench.device.queues().iter().map(Option::is_some).collect();
    assert_eq!(served, [true, false, true]);
}

#[test]
fn a_broken_queue_leaves_the_others_alone() {
    let (bench, mut queues) = with_queues(2, &[]);
    queues[0].add(&[Readable(HEADER, 15), Writable(STATUS, 1)]);
    queues[0].ring();
    wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
    bench.header(IN, 1);
    queues[1].add(&[Readable(HEADER, 16), Writable(DATA, 512), Writable(STATUS, 1)]);
    queues[1].ring();
    assert_eq!(queues[1].wait_used().1, 513);
}

const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;

impl Bench {
    /// Sends a request with these ranges as (sector, number of sectors, flags); its status.
    fn ranges(&mut self, request_type: u32, ranges: &[(u64, u32, u32)]) -> u8 {
        for (index, (sector, sectors, flags)) in ranges.iter().enumerate() {
            let at = DATA + 16 * index as u64;
            self.memory.write_obj(sector.to_le(), GuestAddress(at)).unwrap();
            self.memory.write_obj(sectors.to_le(), GuestAddress(at + 8)).unwrap();
            self.memory.write_obj(flags.to_le(), GuestAddress(at + 12)).unwrap();
        }
        let len = u32::try_from(16 * ranges.len()).unwrap();
        self.simple(request_type, 0, Readable(DATA, len)).0
    }
}

#[test]
fn discards_and_zeroes_the_ranges_it_is_given() {
    let mut bench = bench();
    assert_eq!(bench.ranges(DISCARD, &[(1, 2, 0), (5, 1, 0)]), OK);
    assert_eq!(bench.ranges(WRITE_ZEROES, &[(8, 3, 0), (SECTORS - 1, 1, 1)]), OK);
    let mut expected = pattern();
    for sector in [1, 2, 5, 8, 9, 10, 63] {
        expected[sector * 512..(sector + 1) * 512].fill(0);
    }
    assert!(bench.disk.content() == expected);
    assert_eq!((bench.metric("discard_requests"), bench.metric("zero_requests")), (1, 1));
}

#[test]
fn refuses_ranges_as_a_whole_when_one_is_wrong() {
    let mut bench = bench();
    for request_type in [DISCARD, WRITE_ZEROES] {
        for wrong in [(SECTORS, 1, 0), (0, 0, 0), (SECTORS - 1, 2, 0), (u64::MAX, 1, 0), (1 << 55, 1, 0)] {
            assert_eq!(bench.ranges(request_type, &[(0, 1, 0), wrong]), IOERR, "{request_type} {wrong:?}");
        }
        assert_eq!(bench.ranges(request_type, &[(0, 1, 2)]), UNSUPP, "an unknown flag");
        assert_eq!(bench.ranges(request_type, &[(0, 1, 0); 17]), IOERR, "too many");
        bench.header(request_type, 0);
        assert_eq!(bench.run(&[Readable(HEADER, 16), Writable(STATUS, 1)]).0, IOERR, "none at all");
        let torn = bench.simple(request_type, 0, Readable(DATA, 24)).0;
        assert_eq!(torn, IOERR);
    }
    assert_eq!(bench.ranges(DISCARD, &[(0, 1, 1)]), UNSUPP, "unmap is no flag of a discard");
    assert_eq!(bench.disk.content(), pattern());
    assert_eq!((bench.metric("discard_errors"), bench.metric("zero_errors")), (10, 9));
    let mut sealed = bench_with(FLUSH, true, 16);
    assert_eq!(sealed.ranges(WRITE_ZEROES, &[(0, 1, 0)]), IOERR);
    assert_eq!(sealed.device.device_features() >> 13 & 3, 0, "not even offered");
}

#[test]
fn the_driver_chooses_whether_writes_are_cached() {
    let mut bench = bench();
    bench.device.deactivate();
    let through = BlockOptions { write_cache: false, ..options() };
    bench.device = Block::new("disk:root", bench.disk.clone(), through).unwrap();
    bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.activate(FLUSH | 1 << 11);
    let cache = |bench: &Bench| {
        let mut field = [0xff];
        bench.device.read_config(32, &mut field);
        field[0]
    };
    assert_eq!(cache(&bench), 0);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (OK, 1));
    assert_eq!(bench.disk.flushes(), 1);
    bench.device.write_config(32, &[1]);
    assert_eq!(cache(&bench), 1);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (OK, 1));
    assert_eq!(bench.disk.flushes(), 1);
    // Anything else is ignored.
    bench.device.write_config(32, &[2]);
    bench.device.write_config(32, &[0, 0]);
    bench.device.write_config(0, &[0]);
    assert_eq!(cache(&bench), 1);
    let saved = bench.device.save().unwrap();
    bench.device.reset();
    assert_eq!(cache(&bench), 0, "as after power-on");
    bench.device.restore(&saved).unwrap();
    assert_eq!(cache(&bench), 1);
}

#[test]
fn tells_the_driver_when_it_has_grown() {
    let mut bench = bench();
    let capacity = |bench: &Bench| {
        let mut field = [0; 8];
        bench.device.read_config(0, &mut field);
        u64::from_le_bytes(field)
    };
    assert_eq!((bench.device.refresh_size().unwrap(), bench.interrupt.config()), (SECTORS * 512, 0));
    bench.disk.grow(usize::try_from(SECTORS * 512 * 2).unwrap());
    assert_eq!(bench.simple(IN, SECTORS, Writable(DATA, 512)), (IOERR, 0), "not before it was told");
    assert_eq!(bench.device.refresh_size().unwrap(), SECTORS * 1024);
    assert_eq!((capacity(&bench), bench.interrupt.config()), (SECTORS * 2, 1));
    assert_eq!(bench.simple(IN, SECTORS, Writable(DATA, 512)), (OK, 513));
    bench.disk.grow(512);
    assert!(bench.device.refresh_size().is_err(), "it never shrinks under a driver");
    assert_eq!((capacity(&bench), bench.interrupt.config()), (SECTORS * 2, 1));
}

#[derive(Default)]
struct Alarms(Mutex<Vec<String>>);

impl SpaceAlarm for Alarms {
    fn out_of_space(&self, device: &str) {
        self.0.lock().unwrap().push(device.to_owned());
    }
}

/// A disk in use that tells these alarms when the host has no space for it.
fn bench_that_waits_for_space() -> (Bench, Arc<Alarms>) {
    let mut bench = bench();
    bench.device.deactivate();
    let alarms = Arc::new(Alarms::default());
    let disk = Block::new("disk:root", bench.disk.clone(), options()).unwrap();
    bench.device = disk.waiting_for_space(alarms.clone());
    bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.activate(FLUSH);
    (bench, alarms)
}

#[test]
fn writes_wait_for_space_until_the_machine_goes_on() {
    let (mut bench, alarms) = bench_that_waits_for_space();
    bench.disk.fill(true);
    let rung = |count: usize| wait_until("word of the want", || alarms.0.lock().unwrap().len() == count);
    bench.memory.write_slice(&[7; 512], GuestAddress(DATA)).unwrap();
    bench.header(OUT, 3);
    let written = bench.queue.add(&[Readable(HEADER, 16), Readable(DATA, 512), Writable(STATUS, 1)]);
    bench.queue.ring();
    rung(1);
    assert_eq!(*alarms.0.lock().unwrap(), ["disk:root"]);
    assert!(bench.queue.take_used().is_none(), "the driver hears nothing yet");
    // Reads, which take no space, go on beside it.
    bench.header_at(HEADER + 0x100, IN, 5);
    let read = [Readable(HEADER + 0x100, 16), Writable(DATA + 0x1000, 512), Writable(STATUS + 1, 1)];
    let read = bench.queue.add(&read);
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used(), (read, 513));
    bench.device.pause();
    assert!(matches!(bench.device.save(), Err(StateError::NotNow { .. })), "it would be lost");
    bench.device.resume();
    rung(2);
    assert!(bench.queue.take_used().is_none(), "still no space");
    bench.disk.fill(false);
    bench.device.pause();
    bench.device.resume();
    assert_eq!(bench.queue.wait_used(), (written, 1));
    assert_eq!(bench.bytes(STATUS, 1), [OK]);
    assert_eq!(bench.disk.content()[3 * 512..4 * 512], [7; 512]);
    bench.device.pause();
    bench.device.save().unwrap();
    bench.device.resume();
    assert_eq!((bench.metric("space_waits"), bench.metric("write_errors")), (2, 0));
    // A driver that resets the device takes its requests back.
    bench.disk.fill(true);
    bench.header(OUT, 3);
    bench.queue.add(&[Readable(HEADER, 16), Readable(DATA, 512), Writable(STATUS, 1)]);
    bench.queue.ring();
    rung(3);
    bench.disk.fill(false);
    bench.device.reset();
    bench.device.save().unwrap();
}

#[test]
fn a_pause_without_space_leaves_the_disk_in_use() {
    let (mut bench, alarms) = bench_that_waits_for_space();
    // The back-end finds no space for what it keeps in memory: neither when asked to, nor when it is drained.
    bench.disk.fill(true);
    let rung = |count: usize| wait_until("word of the want", || alarms.0.lock().unwrap().len() == count);
    bench.header(T_FLUSH, 0);
    let flush = bench.queue.add(&[Readable(HEADER, 16), Writable(STATUS, 1)]);
    bench.queue.ring();
    rung(1);
    bench.device.pause();
    bench.device.resume();
    rung(2);
    assert!(bench.queue.take_used().is_none(), "still no space");
    bench.disk.fill(false);
    bench.device.pause();
    bench.device.resume();
    assert_eq!(bench.queue.wait_used(), (flush, 1));
    assert_eq!(bench.bytes(STATUS, 1), [OK]);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (OK, 1));
    // Nothing waits, but the files are not what they should be: nobody else may have them.
    bench.disk.fill(true);
    bench.device.pause();
    assert!(matches!(bench.device.save(), Err(StateError::NotNow { .. })));
    bench.device.resume();
    bench.disk.fill(false);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (OK, 1));
    bench.device.pause();
    bench.device.save().unwrap();
    bench.device.resume();
    assert_eq!(bench.metric("broken_queues"), 0);
}

#[test]
fn writes_fail_for_want_of_space_unless_they_shall_wait() {
    let mut bench = bench();
    bench.disk.fill(true);
    assert_eq!(bench.simple(OUT, 0, Readable(DATA, 512)), (IOERR, 1));
    assert_eq!((bench.metric("space_waits"), bench.metric("write_errors")), (0, 1));
}

#[test]
fn is_made_of_blocks_of_the_size_asked_for() {
    let mut bench = bench();
    bench.device.deactivate();
    let large = BlockOptions { block_size: 4096, ..options() };
    bench.device = Block::new("disk:root", bench.disk.clone(), large).unwrap();
    bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.activate(FLUSH);
    let mut space = [0; 60];
    bench.device.read_config(0, &mut space);
    assert_eq!((&space[20..24], space[24], &space[26..28]), (&4096_u32.to_le_bytes()[..], 0, &[1, 0][..]));
    assert_eq!(bench.simple(IN, 8, Writable(DATA, 4096)), (OK, 4097));
    assert_eq!(bench.simple(IN, 8, Writable(DATA, 512)), (IOERR, 0));
    assert_eq!(bench.simple(IN, 1, Writable(DATA, 4096)), (IOERR, 0));
    assert_eq!(bench.ranges(DISCARD, &[(8, 4, 0)]), IOERR);
    for block_size in [0, 256, 1000, 8192] {
        let wrong = BlockOptions { block_size, ..options() };
        assert!(Block::new("disk:root", bench.disk.clone(), wrong).is_err(), "{block_size}");
    }
}

/// A chain as a hostile driver might make it: any header, any buffers, most of them inside memory.
#[derive(Debug, Clone)]
struct Hostile {
    request_type: u32,
    sector: u64,
    buffers: Vec<(bool, u64, u32)>,
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let request_type = prop_oneof![4 => 0_u32..14, 1 => any::<u32>()];
    let sector = prop_oneof![4 => 0..SECTORS + 2, 1 => any::<u64>()];
    let len = prop_oneof![4 => Just(512_u32), 4 => 0_u32..2048, 1 => any::<u32>()];
    let address = prop_oneof![8 => 0x9000_u64..0xe_0000, 1 => any::<u64>()];
    let buffers = prop::collection::vec((any::<bool>(), address, len), 0..6);
    (request_type, sector, buffers).prop_map(|(request_type, sector, mut buffers)| {
        // Mostly in the right order: a wrong one breaks the queue at once.
        buffers.sort_by_key(|(writable, _, _)| *writable);
        Hostile { request_type, sector, buffers }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn survives_any_chains(chains in prop::collection::vec(hostile(), 1..8)) {
        let mut bench = bench_with(FLUSH, false, 64);
        for (number, chain) in chains.iter().enumerate() {
            let header = HEADER + 16 * number as u64;
            bench.header_at(header, chain.request_type, chain.sector);
            let mut buffers = vec![Readable(header, 16)];
            buffers.extend(chain.buffers.iter().map(|&(writable, address, len)| {
                if writable { Writable(address, len) } else { Readable(address, len) }
            }));
            bench.queue.add(&buffers);
        }
        bench.queue.ring();
        // A resume serves the queue in any case, and before the next pause.
        bench.device.pause();
        bench.device.resume();
        bench.device.pause();
        let used = bench.queue.used_index();
        prop_assert!(usize::from(used) == chains.len() || bench.interrupt.is_reset_needed());
        bench.device.reset();
    }

    #[test]
    fn survives_any_rings(bytes in prop::collection::vec(any::<u8>(), 1..600), waiting in any::<u16>()) {
        let mut bench = bench_with(FLUSH | F_INDIRECT_DESC | F_EVENT_IDX, false, 16);
        bench.device.pause();
        bench.queue.scribble(&bytes, waiting);
        bench.device.resume();
        bench.queue.ring();
        bench.device.pause();
        bench.device.deactivate();
    }

    #[test]
    fn parses_any_memory(data in prop::collection::vec(any::<u8>(), 0..2048)) {
        fuzz_request(&data);
    }

    #[test]
    fn parses_any_request(
        request_type in 0_u32..14,
        sector in any::<u64>().prop_map(|sector| sector % 4096),
        lengths in prop::collection::vec((any::<bool>(), 1_u32..2048), 1..14),
    ) {
        // A well-formed chain, so that the parser is reached: table, then header, then buffers.
        let mut data = vec![0; 1024];
        data[0x200..0x204].copy_from_slice(&request_type.to_le_bytes());
        data[0x208..0x210].copy_from_slice(&sector.to_le_bytes());
        let mut lengths = lengths;
        lengths.sort_by_key(|(writable, _)| *writable);
        let mut buffers = vec![(false, 0x200_u64, 16_u32)];
        buffers.extend(lengths.into_iter().map(|(writable, len)| (writable, 0x400, len)));
        let last = buffers.len() - 1;
        for (index, (writable, address, len)) in buffers.into_iter().enumerate() {
            let flags = u16::from(index < last) | u16::from(writable) << 1;
            let at = index * 16;
            data[at..at + 8].copy_from_slice(&address.to_le_bytes());
            data[at + 8..at + 12].copy_from_slice(&len.to_le_bytes());
            data[at + 12..at + 14].copy_from_slice(&flags.to_le_bytes());
            data[at + 14..at + 16].copy_from_slice(&u16::try_from(index + 1).unwrap().to_le_bytes());
        }
        fuzz_request(&data);
    }
}

#[test]
fn reports_the_metrics_that_are_declared() {
    assert_declared("disk", &bench().device.metrics());
}
