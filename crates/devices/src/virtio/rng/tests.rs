// SPDX-License-Identifier: Apache-2.0
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::throttle::{Limits, Rate, Throttle};
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::{Buffer, Descriptor, FakeQueue, NEXT, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use proptest::prelude::*;

use super::device::Rng;
use super::source::EntropySource;
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

/// Gives 0x5a for ever, or fails.
#[derive(Default)]
struct Fixed(AtomicBool);

impl EntropySource for Fixed {
    fn fill(&self, data: &mut [u8]) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::Error::other("no entropy"));
        }
        data.fill(0x5a);
        Ok(())
    }
}

struct Bench {
    memory: Arc<GuestMemory>,
    queue: FakeQueue,
    interrupt: Arc<FakeVirtioInterrupt>,
    source: Arc<Fixed>,
    rng: Rng,
}

fn bench(features: u64) -> Bench {
    let memory = guest_memory(0x10_0000);
    let queue = FakeQueue::new(&memory, 0x1000, 16);
    let source = Arc::new(Fixed::default());
    let rng = Rng::new("rng0", source.clone());
    let bench = Bench { memory, queue, interrupt: Arc::default(), source, rng };
    bench.activate(features);
    bench
}

impl Bench {
    fn activate(&self, features: u64) {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features,
            queues: vec![Some(self.queue.activate())],
            interrupt: self.interrupt.clone(),
        };
        self.rng.activate(activation).unwrap();
    }

    fn metric(&self, name: &str) -> u64 {
        self.rng.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }
}

#[test]
fn gives_no_more_than_its_limit_until_that_changes() {
    let mut bench = bench(0);
    bench.rng.reset();
    let bytes = Some(Rate { per_second: 1, burst: 40 });
    let throttle = Arc::new(Throttle::new(Limits { bytes, operations: None }, Instant::now()));
    bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.rng = Rng::new("rng0", bench.source.clone()).throttled_by(Arc::clone(&throttle));
    bench.activate(0);
    for slot in 0..4 {
        bench.queue.add(&[Buffer::Writable(0x8000 + slot * 0x100, 32)]);
    }
    bench.queue.ring();
    assert_eq!((bench.queue.wait_used(), bench.queue.wait_used()), ((0, 32), (1, 32)));
    wait_until("a request to wait", || bench.metric("throttle_waits") > 0);
    assert!(bench.queue.take_used().is_none());
    throttle.change(Limits::default(), Instant::now());
    bench.rng.recheck();
    assert_eq!((bench.queue.wait_used(), bench.queue.wait_used()), ((2, 32), (3, 32)));
}

#[test]
fn gives_random_bytes_and_one_interrupt_per_batch() {
    let mut bench = bench(0);
    bench.rng.pause();
    for slot in 0..3 {
        bench.queue.add(&[Buffer::Writable(0x8000 + slot * 0x100, 32)]);
    }
    bench.queue.ring();
    bench.rng.resume();
    for head in 0..3 {
        assert_eq!(bench.queue.wait_used(), (head, 32));
    }
    let mut data = [0; 33];
    bench.memory.read_slice(&mut data, GuestAddress(0x8200)).unwrap();
    assert_eq!(data[..32], [0x5a; 32]);
    assert_eq!(data[32], 0);
    wait_until("one interrupt", || bench.interrupt.queue(0) == 1);
    assert_eq!((bench.metric("requests"), bench.metric("bytes")), (3, 96));
}

#[test]
fn caps_a_request_of_overlapping_buffers() {
    let mut bench = bench(F_INDIRECT_DESC);
    let buffers = [Buffer::Writable(0x2_0000, 0x8_0000); 8];
    bench.queue.add_indirect(0x9000, &buffers);
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used(), (0, 64 * 1024));
}

#[test]
fn gives_fewer_bytes_when_the_source_fails() {
    let mut bench = bench(0);
    bench.source.0.store(true, Ordering::SeqCst);
    bench.queue.add(&[Buffer::Writable(0x8000, 32)]);
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used(), (0, 0));
    wait_until("the failure is counted", || bench.metric("source_failures") == 1);
}

#[test]
fn asks_for_a_reset_when_the_queue_breaks_and_works_after_it() {
    let mut bench = bench(0);
    bench.queue.write_descriptor(0, Descriptor { address: 0x8000, len: 4, flags: NEXT, next: 0 });
    bench.queue.offer(0);
    bench.queue.ring();
    wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
    wait_until("counted", || bench.metric("broken_queues") == 1);

    bench.rng.deactivate();
    bench.queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.activate(0);
    bench.queue.add(&[Buffer::Writable(0x8000, 8)]);
    bench.queue.ring();
    assert_eq!(bench.queue.wait_used(), (0, 8));
}

#[test]
fn keeps_quiet_until_used_event_is_passed() {
    let mut bench = bench(F_EVENT_IDX);
    bench.queue.set_used_event(2);
    for round in 0..3 {
        bench.queue.add(&[Buffer::Writable(0x8000, 8)]);
        bench.queue.ring();
        bench.queue.wait_used();
        wait_until("avail_event follows", || bench.queue.avail_event() == round + 1);
    }
    // The first batch after an activation always interrupts, then the third chain passes the mark.
    wait_until("two interrupts", || bench.interrupt.queue(0) == 2);
}

#[test]
fn loses_no_doorbell_across_a_thousand_pauses() {
    let mut bench = bench(0);
    for _ in 0..1000 {
        bench.queue.add(&[Buffer::Writable(0x8000, 8)]);
        bench.queue.ring();
        bench.rng.pause();
        bench.rng.resume();
        bench.queue.wait_used();
    }
}

#[test]
fn is_quiet_while_paused() {
    let mut bench = bench(0);
    bench.rng.pause();
    bench.queue.add(&[Buffer::Writable(0x8000, 8)]);
    bench.queue.ring();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(bench.queue.take_used(), None);
    assert_eq!(bench.rng.queues()[0].unwrap().next_avail, 0);
    bench.rng.resume();
    bench.queue.wait_used();
}

#[test]
fn refuses_to_start_without_its_queue() {
    let bench = bench(0);
    bench.rng.deactivate();
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: 0,
        queues: vec![None],
        interrupt: bench.interrupt.clone(),
    };
    assert!(matches!(bench.rng.activate(activation), Err(ActivateError::QueueMissing { index: 0 })));
}

#[test]
fn restores_what_it_saved_and_refuses_what_it_never_offered() {
    let bench = bench(0);
    let mut state = bench.rng.save().unwrap();
    bench.rng.restore(&state).unwrap();
    state.fields["features"] = u64::MAX.into();
    assert!(bench.rng.restore(&state).is_err());
    state.fields = serde_json::json!({ "features": "many" });
    assert!(bench.rng.restore(&state).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn survives_any_rings(bytes in prop::collection::vec(any::<u8>(), 1..600), waiting in any::<u16>()) {
        let mut bench = bench(F_INDIRECT_DESC | F_EVENT_IDX);
        bench.rng.pause();
        bench.queue.scribble(&bytes, waiting);
        bench.rng.resume();
        bench.queue.ring();
        bench.rng.pause();
        bench.rng.deactivate();
    }
}

#[test]
fn reports_the_metrics_that_are_declared() {
    assert_declared("rng", &bench(0).rng.metrics());
}
