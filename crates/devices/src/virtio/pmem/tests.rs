// SPDX-License-Identifier: Apache-2.0
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::pmem::PersistentMemory;
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::{Buffer, FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use proptest::prelude::*;

use super::device::{Pmem, PmemPlace};
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const REQUEST: u64 = 0x8000;
const ANSWER: u64 = 0x9000;
const PLACE: PmemPlace = PmemPlace { start: 4 << 30, size: 6 << 20, read_only: false };

/// Counts flushes, or fails.
#[derive(Default)]
struct Fake {
    flushes: AtomicU32,
    fails: AtomicBool,
}

impl PersistentMemory for Fake {
    fn flush(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("no")) } else { Ok(()) }
    }
}

struct Bench {
    memory: Arc<GuestMemory>,
    queue: FakeQueue,
    interrupt: Arc<FakeVirtioInterrupt>,
    file: Arc<Fake>,
    pmem: Pmem,
}

fn bench(place: PmemPlace) -> Bench {
    let memory = guest_memory(0x10_0000);
    let queue = FakeQueue::new(&memory, 0x1000, 16);
    let file = Arc::new(Fake::default());
    let pmem = Pmem::new("pmem:d", place, file.clone());
    let bench = Bench { memory, queue, interrupt: Arc::default(), file, pmem };
    bench.activate();
    bench
}

impl Bench {
    fn activate(&self) {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features: F_INDIRECT_DESC | F_EVENT_IDX,
            queues: vec![Some(self.queue.activate())],
            interrupt: self.interrupt.clone(),
        };
        self.pmem.activate(activation).unwrap();
    }

    fn metric(&self, name: &str) -> u64 {
        self.pmem.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Asks for something, and gives the answer a value of its own before.
    fn ask(&mut self, slot: u64, kind: u32, len: u32) {
        self.memory.write_obj(kind.to_le(), GuestAddress(REQUEST + 16 * slot)).unwrap();
        self.memory.write_obj(77_u32.to_le(), GuestAddress(ANSWER + 16 * slot)).unwrap();
        self.queue
            .add(&[Buffer::Readable(REQUEST + 16 * slot, len), Buffer::Writable(ANSWER + 16 * slot, 4)]);
    }

    fn answer(&self, slot: u64) -> u32 {
        u32::from_le(self.memory.read_obj(GuestAddress(ANSWER + 16 * slot)).unwrap())
    }

    fn flushes(&self) -> u32 {
        self.file.flushes.load(Ordering::SeqCst)
    }
}

#[test]
fn tells_where_it_is_and_how_large() {
    let bench = bench(PLACE);
    let mut space = [0xaa; 20];
    bench.pmem.read_config(0, &mut space);
    assert_eq!(space[..8], (4_u64 << 30).to_le_bytes());
    assert_eq!(space[8..16], (6_u64 << 20).to_le_bytes());
    assert_eq!((&space[16..], bench.pmem.device_type(), bench.pmem.place()), (&[0; 4][..], 27, PLACE));
}

#[test]
fn makes_durable_and_flushes_once_for_all_that_waits() {
    let mut bench = bench(PLACE);
    bench.pmem.pause();
    for slot in 0..5 {
        bench.ask(slot, 0, 4);
    }
    bench.queue.ring();
    bench.pmem.resume();
    for head in 0..5 {
        assert_eq!(bench.queue.wait_used().1, 4);
        assert_eq!(bench.answer(head), 0);
    }
    assert_eq!((bench.flushes(), bench.metric("flush_requests")), (1, 5));
    bench.ask(0, 0, 4);
    bench.queue.ring();
    bench.queue.wait_used();
    assert_eq!((bench.flushes(), bench.metric("flush_requests")), (2, 6));
}

#[test]
fn passes_a_failure_on_and_works_after_it() {
    let mut bench = bench(PLACE);
    bench.file.fails.store(true, Ordering::SeqCst);
    bench.ask(0, 0, 4);
    bench.queue.ring();
    bench.queue.wait_used();
    assert_eq!((bench.answer(0), bench.metric("flush_errors")), (1, 1));
    bench.file.fails.store(false, Ordering::SeqCst);
    bench.ask(0, 0, 4);
    bench.queue.ring();
    bench.queue.wait_used();
    assert_eq!((bench.answer(0), bench.metric("flush_errors")), (0, 1));
}

#[test]
fn refuses_what_is_no_flush_and_flushes_what_is() {
    let mut bench = bench(PLACE);
    bench.pmem.pause();
    for (slot, kind, len) in [(0, 1, 4), (1, u32::MAX, 4), (2, 0, 3), (3, 0, 4)] {
        bench.ask(slot, kind, len);
    }
    bench.queue.ring();
    bench.pmem.resume();
    (0..4).for_each(|_| assert_eq!(bench.queue.wait_used().1, 4));
    assert_eq!([0, 1, 2, 3].map(|slot| bench.answer(slot)), [1, 1, 1, 0]);
    assert_eq!((bench.flushes(), bench.metric("unsupported_requests")), (1, 3));
}

#[test]
fn asks_for_a_reset_when_there_is_no_room_for_an_answer() {
    let mut bench = bench(PLACE);
    bench.queue.add(&[Buffer::Readable(REQUEST, 4), Buffer::Writable(ANSWER, 3)]);
    bench.queue.ring();
    wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
    wait_until("counted", || bench.metric("broken_queues") == 1);
    assert_eq!(bench.queue.take_used(), None);

    bench.pmem.deactivate();
    bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.activate();
    bench.ask(0, 0, 4);
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used(), (0, 4));
}

#[test]
fn memory_that_may_only_be_read_has_nothing_to_flush_and_counts_writes() {
    let mut bench = bench(PmemPlace { read_only: true, ..PLACE });
    bench.ask(0, 0, 4);
    bench.queue.ring();
    bench.queue.wait_used();
    assert_eq!((bench.answer(0), bench.flushes(), bench.metric("flush_requests")), (0, 0, 1));
    let refusal = bench.pmem.refusal();
    refusal.write(0x1234, &[1; 8]);
    let mut data = [0; 4];
    refusal.read(0, &mut data);
    assert_eq!((data, bench.metric("refused_writes")), ([0xff; 4], 1));
}

#[test]
fn refuses_to_start_without_its_queue() {
    let bench = bench(PLACE);
    bench.pmem.deactivate();
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: 0,
        queues: vec![None],
        interrupt: bench.interrupt.clone(),
    };
    assert!(matches!(bench.pmem.activate(activation), Err(ActivateError::QueueMissing { index: 0 })));
}

#[test]
fn restores_what_it_saved_and_refuses_another_place() {
    let bench = bench(PLACE);
    let state = bench.pmem.save().unwrap();
    bench.pmem.restore(&state).unwrap();
    for (field, value) in [
        ("features", u64::MAX.into()),
        ("start", (5_u64 << 30).into()),
        ("size", 0_u64.into()),
        ("read_only", true.into()),
        ("size", "large".into()),
    ] {
        let mut other = state.clone();
        other.fields[field] = value;
        assert!(bench.pmem.restore(&other).is_err(), "{field}");
    }
    let elsewhere = Pmem::new("pmem:d", PmemPlace { start: 8 << 30, ..PLACE }, Arc::new(Fake::default()));
    assert!(elsewhere.restore(&state).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn survives_any_rings(bytes in prop::collection::vec(any::<u8>(), 1..600), waiting in any::<u16>()) {
        let mut bench = bench(PLACE);
        bench.pmem.pause();
        bench.queue.scribble(&bytes, waiting);
        bench.pmem.resume();
        bench.queue.ring();
        bench.pmem.pause();
        bench.pmem.deactivate();
    }
}

#[test]
fn reports_the_metrics_that_are_declared() {
    assert_declared("pmem", &bench(PLACE).pmem.metrics());
}
