// SPDX-License-Identifier: Apache-2.0
//! The shared parts under a driver that breaks one rule at a time.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flotilla_device_model::block::Segment;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::threads::{DeviceThreads, ThreadFault, Unwatched, WatchedThread};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::{Buffer, Descriptor, FakeQueue, INDIRECT, NEXT, WRITE, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::{guest_memory, guest_memory_in};
use proptest::prelude::*;
use virtio_queue::QueueState;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::chain::{QueueError, pieces};
use super::queue::{DeviceQueue, F_EVENT_IDX, F_INDIRECT_DESC};
use super::worker::{Service, Sources, Watches, Worker};

struct Bench {
    driver: FakeQueue,
    device: DeviceQueue,
    interrupt: Arc<FakeVirtioInterrupt>,
}

fn bench_on(memory: &Arc<GuestMemory>, features: u64) -> Bench {
    let driver = FakeQueue::new(memory, 0x1000, 8);
    let interrupt = Arc::<FakeVirtioInterrupt>::default();
    let device = DeviceQueue::new(0, driver.activate(), Arc::clone(memory), features, interrupt.clone());
    Bench { driver, device, interrupt }
}

fn bench(features: u64) -> Bench {
    bench_on(&guest_memory(0x1_0000), features)
}

/// Offers these descriptors as one chain and gives the error it leads to.
fn error_of(features: u64, descriptors: &[Descriptor]) -> QueueError {
    let mut bench = bench(features);
    for (index, descriptor) in (0..).zip(descriptors) {
        bench.driver.write_descriptor(index, *descriptor);
    }
    bench.driver.offer(0);
    let error = bench.device.pop().unwrap_err();
    assert!(bench.interrupt.is_reset_needed() && bench.device.is_broken());
    bench.driver.offer(1);
    assert_eq!(bench.device.pop(), Ok(None), "a broken queue gives nothing more");
    assert_eq!((bench.device.publish(), bench.device.enable_notifications()), (Ok(()), Ok(false)));
    error
}

fn descriptor(address: u64, len: u32, flags: u16, next: u16) -> Descriptor {
    Descriptor { address, len, flags, next }
}

#[test]
fn refuses_each_kind_of_broken_chain() {
    let size = 8;
    for (broken, error) in [
        (vec![descriptor(0x8000, 4, NEXT, 0)], QueueError::TooLong { size }),
        (vec![descriptor(0x8000, 4, NEXT, 8)], QueueError::Index { index: 8, size }),
        (vec![descriptor(0x8000, 4, NEXT, 0xffff)], QueueError::Index { index: 0xffff, size }),
        (vec![descriptor(0x8000, 0, 0, 0)], QueueError::Buffer { address: 0x8000, len: 0 }),
        (vec![descriptor(0xffff, 2, 0, 0)], QueueError::Buffer { address: 0xffff, len: 2 }),
        (vec![descriptor(u64::MAX, 2, 0, 0)], QueueError::Buffer { address: u64::MAX, len: 2 }),
        (vec![descriptor(0, u32::MAX, 0, 0)], QueueError::Buffer { address: 0, len: u32::MAX }),
        (vec![descriptor(0x8000, 4, WRITE | NEXT, 1), descriptor(0x8000, 4, 0, 0)], QueueError::Order),
        (vec![descriptor(0x8000, 16, INDIRECT, 0)], QueueError::Indirect),
    ] {
        assert_eq!(error_of(0, &broken), error);
    }
}

#[test]
fn refuses_each_kind_of_broken_indirect_table() {
    for (broken, error) in [
        (descriptor(0x8000, 16, INDIRECT | NEXT, 1), QueueError::Indirect),
        (descriptor(0x8000, 17, INDIRECT, 0), QueueError::Indirect),
        (descriptor(0x8000, 0, INDIRECT, 0), QueueError::Indirect),
        (descriptor(0xfff8, 16, INDIRECT, 0), QueueError::Buffer { address: 0xfff8, len: 16 }),
        (descriptor(0x1000, 16, INDIRECT, 0), QueueError::Indirect),
        (
            descriptor(0x8000, 0xfff0_0000, INDIRECT, 0),
            QueueError::Buffer { address: 0x8000, len: 0xfff0_0000 },
        ),
    ] {
        assert_eq!(error_of(F_INDIRECT_DESC, &[broken]), error);
    }
}

#[test]
fn refuses_indices_that_jump_and_heads_in_flight() {
    let mut jumping = bench(0);
    jumping.driver.set_available_index(9);
    assert_eq!(jumping.device.pop(), Err(QueueError::AvailableJump { by: 9, size: 8 }));

    let mut backwards = bench(0);
    backwards.driver.set_available_index(0xffff);
    assert_eq!(backwards.device.pop(), Err(QueueError::AvailableJump { by: 0xffff, size: 8 }));

    let mut outside = bench(0);
    outside.driver.offer(8);
    assert_eq!(outside.device.pop(), Err(QueueError::Index { index: 8, size: 8 }));

    let mut twice = bench(0);
    let head = twice.driver.add(&[Buffer::Readable(0x8000, 4)]);
    twice.device.pop().unwrap().unwrap();
    twice.driver.offer(head);
    assert_eq!(twice.device.pop(), Err(QueueError::InFlight { head }));

    let mut unknown = bench(0);
    assert_eq!(unknown.device.complete(3, 0), Err(QueueError::InFlight { head: 3 }));
    assert_eq!(bench(0).device.complete(900, 0), Err(QueueError::InFlight { head: 900 }));
}

#[test]
fn refuses_chains_of_more_than_four_gibibytes() {
    let memory = guest_memory_in(&[(0, 0x1_0000), (0x10_0000, 0x8000_0000)]);
    let mut bench = bench_on(&memory, 0);
    bench.driver.add(&[Buffer::Readable(0x10_0000, 0x8000_0000), Buffer::Readable(0x10_0000, 0x7fff_ffff)]);
    assert_eq!(bench.device.pop().unwrap().unwrap().readable_len(), u32::MAX);
    bench.driver.add(&[Buffer::Readable(0x10_0000, 0x8000_0000), Buffer::Writable(0x10_0000, 0x8000_0000)]);
    assert!(matches!(bench.device.pop(), Err(QueueError::Buffer { .. })));
}

#[test]
fn takes_the_longest_chain_in_either_form() {
    let mut bench = bench(F_INDIRECT_DESC);
    let buffers = [Buffer::Readable(0x8000, 4); 8];
    let head = bench.driver.add(&buffers);
    assert_eq!(bench.device.pop().unwrap().unwrap().readable.len(), 8);
    bench.device.complete(head, 0).unwrap();
    bench.device.publish().unwrap();
    let head = bench.driver.add_indirect(0x9000, &buffers);
    assert_eq!(bench.device.pop().unwrap().unwrap().readable.len(), 8);
    bench.device.complete(head, 0).unwrap();
    bench.driver.add_indirect(0x9000, &[Buffer::Readable(0x8000, 4); 9]);
    assert_eq!(bench.device.pop(), Err(QueueError::TooLong { size: 8 }));
}

#[test]
fn copies_across_segments_from_any_offset() {
    let mut bench = bench(0);
    let memory = Arc::clone(bench.device.memory());
    memory.write_slice(b"abcdef", GuestAddress(0x8000)).unwrap();
    bench.driver.add(&[
        Buffer::Readable(0x8000, 2),
        Buffer::Readable(0x8002, 4),
        Buffer::Writable(0x9000, 3),
        Buffer::Writable(0x9100, 3),
    ]);
    let chain = bench.device.pop().unwrap().unwrap();
    let mut data = [0; 9];
    assert_eq!(chain.read(&memory, 1, &mut data).unwrap(), 5);
    assert_eq!(&data, b"bcdef\0\0\0\0");
    assert_eq!(chain.write(&memory, 2, b"wxyz!").unwrap(), 4);
    let mut written = [0; 3];
    memory.read_slice(&mut written, GuestAddress(0x9100)).unwrap();
    assert_eq!(&written, b"xyz");
    let piece = |offset, len| pieces(&chain.writable, offset, len);
    assert_eq!(
        piece(1, 3),
        [
            Segment { address: GuestAddress(0x9001), len: 2 },
            Segment { address: GuestAddress(0x9100), len: 1 }
        ]
    );
    assert!(piece(6, 1).is_empty() && piece(0, 0).is_empty());
}

#[test]
fn interrupts_once_a_batch_and_not_when_told_not_to() {
    let mut bench = bench(0);
    for _ in 0..3 {
        bench.driver.add(&[Buffer::Writable(0x8000, 4)]);
    }
    for _ in 0..3 {
        let chain = bench.device.pop().unwrap().unwrap();
        bench.device.complete(chain.head, 4).unwrap();
    }
    assert_eq!(bench.driver.take_used(), None, "not before publish");
    bench.device.publish().unwrap();
    bench.device.publish().unwrap();
    assert_eq!((bench.driver.used_index(), bench.interrupt.queue(0)), (3, 1));
    bench.driver.set_available_flags(1);
    bench.driver.add(&[Buffer::Writable(0x8000, 4)]);
    bench.device.serve(|_, _| Ok(0)).unwrap();
    assert_eq!((bench.driver.used_index(), bench.interrupt.queue(0)), (4, 1));
}

#[test]
fn stops_serving_a_driver_that_refills_without_end() {
    let mut bench = bench(0);
    bench.driver.add(&[Buffer::Writable(0x8000, 4)]);
    let mut refill = FakeQueue::new(&guest_memory(0x1_0000), 0x1000, 8);
    std::mem::swap(&mut refill, &mut bench.driver);
    let served = bench.device.serve(|_, _| {
        refill.add(&[Buffer::Writable(0x8000, 4)]);
        Ok(0)
    });
    assert_eq!(served, Ok(8));
    assert_eq!(bench.device.doorbell().read().unwrap(), 1, "it comes back by itself");
}

#[test]
fn positions_wrap_around() {
    let mut bench = bench(F_EVENT_IDX);
    for round in 0..70_000_u32 {
        bench.driver.set_used_event(bench.driver.used_index());
        bench.driver.add(&[Buffer::Writable(0x8000, 4)]);
        assert_eq!(bench.device.serve(|_, _| Ok(1)), Ok(1));
        assert!(bench.driver.take_used().is_some());
        assert_eq!(bench.interrupt.queue(0), u64::from(round) + 1);
    }
    assert_eq!(bench.device.state().next_avail, 4464);
}

/// Counts calls.
#[derive(Default)]
struct Counting {
    doorbells: Arc<AtomicU64>,
    ready: Arc<AtomicU64>,
    ticks: Arc<AtomicU64>,
    drains: Arc<AtomicU64>,
    due: Option<Instant>,
    fail: bool,
}

impl Service for Counting {
    fn doorbell(&mut self, _queue: u16, _watches: &Watches) {
        assert!(!self.fail, "made to fail");
        self.doorbells.fetch_add(1, Ordering::SeqCst);
    }

    fn ready(&mut self, token: u32, watches: &Watches) {
        self.ready.fetch_add(1, Ordering::SeqCst);
        watches.enable(token, false).unwrap();
        assert!(watches.enable(token + 1, true).is_err());
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn tick(&mut self, watches: &Watches) {
        self.due = None;
        self.ticks.fetch_add(1, Ordering::SeqCst);
        watches.enable(7, true).unwrap();
    }

    fn drain(&mut self) {
        self.drains.fetch_add(1, Ordering::SeqCst);
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        Vec::new()
    }
}

fn unwatched() -> WatchedThread {
    WatchedThread { device: "test".to_owned(), threads: Arc::new(Unwatched) }
}

/// Keeps what it hears; refuses to let threads begin if it is told to.
#[derive(Default)]
struct Heard {
    refuse: bool,
    faults: Mutex<Vec<String>>,
}

impl DeviceThreads for Heard {
    fn begin(&self) -> std::io::Result<()> {
        if self.refuse { Err(std::io::Error::other("may not begin")) } else { Ok(()) }
    }

    fn failed(&self, device: &str, fault: ThreadFault) {
        self.faults.lock().unwrap().push(format!("{device}: {fault:?}"));
    }
}

#[test]
fn a_fault_of_a_worker_is_heard_before_the_worker_is_gone() {
    let doorbell = || vec![(0, Arc::new(EventFd::new(EFD_NONBLOCK).unwrap()))];
    for (fail, refuse, expected) in
        [(true, false, Some("made to fail")), (false, true, Some("may not begin")), (false, false, None)]
    {
        let heard = Arc::new(Heard { refuse, ..Heard::default() });
        let service = Counting { fail, ..Counting::default() };
        let served = service.doorbells.clone();
        let sources = Sources { doorbells: doorbell(), descriptors: Vec::new() };
        let watched = WatchedThread { device: "disk:root".to_owned(), threads: heard.clone() };
        let worker = Worker::start("test", service, sources, watched, Arc::default()).unwrap();
        worker.pause();
        let faults = heard.faults.lock().unwrap().clone();
        assert_eq!(faults.len(), usize::from(expected.is_some()), "{faults:?}");
        for (fault, text) in faults.iter().zip(expected) {
            assert!(fault.starts_with("disk:root: ") && fault.contains(text), "{fault}");
            assert_eq!(served.load(Ordering::SeqCst), 0);
        }
        drop(worker);
        assert_eq!(heard.faults.lock().unwrap().len(), faults.len(), "the stop is no fault");
    }
}

#[test]
fn worker_reports_doorbells_descriptors_and_deadlines() {
    let doorbell = Arc::new(EventFd::new(EFD_NONBLOCK).unwrap());
    let (near, far) = UnixStream::pair().unwrap();
    let service = Counting { due: Some(Instant::now() + Duration::from_millis(5)), ..Counting::default() };
    let (doorbells, ready, ticks) = (service.doorbells.clone(), service.ready.clone(), service.ticks.clone());
    std::io::Write::write_all(&mut &far, b"x").unwrap();
    let sources = Sources { doorbells: vec![(0, doorbell.clone())], descriptors: vec![(7, near.as_fd())] };
    let notifications = Arc::new(Counter::default());
    let worker = Worker::start("test", service, sources, unwatched(), Arc::clone(&notifications)).unwrap();
    wait_until("served at the start", || doorbells.load(Ordering::SeqCst) == 1);
    wait_until("tick", || ticks.load(Ordering::SeqCst) == 1);
    wait_until("ready, and again after it was enabled", || ready.load(Ordering::SeqCst) == 2);
    doorbell.write(1).unwrap();
    wait_until("doorbell", || doorbells.load(Ordering::SeqCst) == 2);
    worker.pause();
    worker.pause();
    worker.resume();
    wait_until("served at the resume, without a doorbell", || doorbells.load(Ordering::SeqCst) == 3);
    assert_eq!(notifications.get(), 1, "neither the start nor a resume is a notification");
    let drains = worker.stop().unwrap().drains;
    assert_eq!(drains.load(Ordering::SeqCst), 2, "a pause and the stop");
}

#[test]
fn worker_sleeps_while_a_disabled_descriptor_hangs_up() {
    let (near, far) = UnixStream::pair().unwrap();
    let service = Counting::default();
    let ready = service.ready.clone();
    drop(far);
    let sources = Sources { doorbells: Vec::new(), descriptors: vec![(7, near.as_fd())] };
    let worker = Worker::start("test", service, sources, unwatched(), Arc::default()).unwrap();
    wait_until("ready", || ready.load(Ordering::SeqCst) == 1);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(ready.load(Ordering::SeqCst), 1);
    worker.stop().unwrap();
}

#[test]
fn worker_stops_from_any_phase() {
    for pauses in 0..3 {
        let worker =
            Worker::start("test", Counting::default(), Sources::default(), unwatched(), Arc::default())
                .unwrap();
        (0..pauses).for_each(|_| worker.pause());
        assert!(worker.stop().is_some());
    }
    drop(
        Worker::start("test", Counting::default(), Sources::default(), unwatched(), Arc::default()).unwrap(),
    );
}

#[test]
fn nobody_waits_for_a_worker_that_died() {
    let doorbell = Arc::new(EventFd::new(EFD_NONBLOCK).unwrap());
    let service = Counting { fail: true, ..Counting::default() };
    let sources = Sources { doorbells: vec![(0, doorbell)], descriptors: Vec::new() };
    let worker = Worker::start("test", service, sources, unwatched(), Arc::default()).unwrap();
    worker.pause();
    worker.resume();
    assert!(worker.stop().is_none());
}

proptest! {
    #[test]
    fn no_ring_content_breaks_more_than_its_queue(bytes in prop::collection::vec(any::<u8>(), 1..400), waiting in 0..12_u16, features in 0..4_u64) {
        let mut bench = bench(features << 28);
        bench.driver.scribble(&bytes, waiting);
        let mut bytes_in_chains = 0;
        let result = bench.device.serve(|chain, memory| {
            let mut sink = [0; 64];
            chain.read(memory, 0, &mut sink)?;
            bytes_in_chains += u64::from(chain.readable_len()) + u64::from(chain.writable_len());
            chain.write(memory, 0, &sink)?;
            Ok(0)
        });
        prop_assert_eq!(result.is_err(), bench.interrupt.is_reset_needed());
        prop_assert!(bytes_in_chains <= 12 * (1 << 32));
    }
}
