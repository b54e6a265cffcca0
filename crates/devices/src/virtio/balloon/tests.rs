// SPDX-License-Identifier: Apache-2.0
use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory, Options, allocate_with};
use flotilla_testing::driver::{Buffer, Descriptor, FakeQueue, NEXT, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use proptest::prelude::*;

use super::device::{Balloon, BalloonOptions, TargetError};
use super::features::{
    VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_BALLOON_F_PAGE_POISON,
    VIRTIO_BALLOON_F_PAGE_REPORTING, VIRTIO_BALLOON_F_STATS_VQ,
};
use super::statistics::Statistics;
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const RAM: usize = 8 << 20;
pub(super) const PAGE: u64 = 4096;
const INFLATE: usize = 0;
const DEFLATE: usize = 1;
const STATISTICS: usize = 2;
/// Where the specification has the queue of reports.
const REPORTING: usize = 4;
/// Where the driver of these tests writes lists and statistics.
pub(super) const LIST: u64 = 0x10_0000;
pub(super) const ALL: u64 =
    VIRTIO_BALLOON_F_STATS_VQ | VIRTIO_BALLOON_F_PAGE_POISON | VIRTIO_BALLOON_F_PAGE_REPORTING;

pub(super) const OPTIONS: BalloonOptions = BalloonOptions {
    target: 0,
    limit: 4 << 20,
    deflate_on_oom: true,
    free_page_reporting: true,
    free_page_hinting: false,
    statistics_interval: None,
};

pub(super) struct Bench {
    pub(super) memory: Arc<GuestMemory>,
    pub(super) queues: Vec<FakeQueue>,
    pub(super) interrupt: Arc<FakeVirtioInterrupt>,
    pub(super) balloon: Arc<Balloon>,
}

fn bench(features: u64) -> Bench {
    with_queues(features, &[INFLATE, DEFLATE, STATISTICS, REPORTING], OPTIONS)
}

/// A driver that uses these queues.
pub(super) fn with_queues(features: u64, used: &[usize], options: BalloonOptions) -> Bench {
    in_memory(guest_memory(RAM), features, used, options)
}

fn in_memory(memory: Arc<GuestMemory>, features: u64, used: &[usize], options: BalloonOptions) -> Bench {
    let queues: Vec<_> = (0..5).map(|index| FakeQueue::new(&memory, 0x1000 + index * 0x1000, 16)).collect();
    let balloon = Arc::new(Balloon::new("balloon", options).unwrap());
    let bench = Bench { memory, queues, interrupt: Arc::default(), balloon };
    bench.activate(features, used).unwrap();
    bench
}

impl Bench {
    pub(super) fn activate(&self, features: u64, used: &[usize]) -> Result<(), ActivateError> {
        let queues = (0..).zip(&self.queues);
        let queues = queues.map(|(index, queue)| used.contains(&index).then(|| queue.activate())).collect();
        self.balloon.activate(Activation {
            memory: Arc::clone(&self.memory),
            features,
            queues,
            interrupt: self.interrupt.clone(),
        })
    }

    pub(super) fn metric(&self, name: &str) -> u64 {
        self.balloon.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Sends a list of frames through a queue and waits for its return.
    fn send(&mut self, queue: usize, frames: &[u32]) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.to_le_bytes()).collect();
        self.memory.write_slice(&bytes, GuestAddress(LIST)).unwrap();
        self.round(queue, &[Buffer::Readable(LIST, u32::try_from(bytes.len()).unwrap())]);
    }

    fn round(&mut self, queue: usize, buffers: &[Buffer]) {
        self.queues[queue].add(buffers);
        self.queues[queue].ring();
        self.queues[queue].wait_used();
    }

    /// Leaves a buffer of statistics with the device.
    fn tell(&mut self, entries: &[(u16, u64)]) {
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, value)| tag.to_le_bytes().into_iter().chain(value.to_le_bytes()))
            .collect();
        self.memory.write_slice(&bytes, GuestAddress(LIST)).unwrap();
        self.queues[STATISTICS].add(&[Buffer::Readable(LIST, u32::try_from(bytes.len()).unwrap())]);
        self.queues[STATISTICS].ring();
    }

    /// Fills pages, and says which of them are still as they were.
    pub(super) fn fill(&self, pages: &[u32]) {
        for page in pages {
            self.memory.write_obj(0x5a_u8, GuestAddress(u64::from(*page) * PAGE)).unwrap();
        }
    }

    pub(super) fn kept(&self, pages: &[u32]) -> Vec<bool> {
        let read = |page: &u32| self.memory.read_obj::<u8>(GuestAddress(u64::from(*page) * PAGE)).unwrap();
        pages.iter().map(|page| read(page) == 0x5a).collect()
    }
}

#[test]
fn pages_in_the_balloon_are_the_hosts_and_read_as_zero() {
    let mut bench = bench(ALL);
    let pages = [512, 513, 514, 600, 601];
    bench.fill(&pages);
    // In any order, and one of them twice.
    bench.send(INFLATE, &[514, 600, 513, 600]);
    assert_eq!(bench.kept(&pages), [true, false, false, false, true]);
    assert_eq!((bench.metric("inflated_pages"), bench.metric("ignored_pages")), (3, 1));
    assert_eq!(bench.metric("released_bytes"), 3 * PAGE);
    bench.fill(&[513]);
    bench.send(DEFLATE, &[513, 514]);
    assert_eq!((bench.kept(&[513]), bench.metric("deflated_pages")), (vec![true], 2));
}

#[test]
fn frames_that_are_no_memory_are_passed_over() {
    let mut bench = bench(ALL);
    let last = u32::try_from(RAM).unwrap() / 4096 - 1;
    bench.fill(&[last]);
    bench.send(INFLATE, &[u32::MAX, last, last + 1, 1 << 20, u32::MAX - 1]);
    assert_eq!(bench.kept(&[last]), [false]);
    assert_eq!((bench.metric("inflated_pages"), bench.metric("ignored_pages")), (1, 4));
    // An empty rest of a number is none.
    bench.round(INFLATE, &[Buffer::Readable(LIST, 3)]);
    assert_eq!(bench.metric("inflated_pages"), 1);
}

#[test]
fn a_list_without_end_is_cut() {
    let mut bench = bench(ALL | F_INDIRECT_DESC);
    let list: Vec<u8> = (512..1536_u32).flat_map(u32::to_le_bytes).collect();
    bench.memory.write_slice(&list, GuestAddress(LIST)).unwrap();
    bench.fill(&[512, 1535]);
    // The same million bytes over and over: 2^20 frames.
    let buffers = [Buffer::Readable(LIST, 1 << 19); 8];
    bench.queues[INFLATE].add_indirect(0x9000, &buffers);
    bench.queues[INFLATE].ring();
    bench.queues[INFLATE].wait_used();
    assert_eq!(bench.kept(&[512, 1535]), [false, false]);
    assert_eq!(bench.metric("inflated_pages"), 1024);
    assert_eq!(bench.metric("ignored_pages"), (1 << 20) - 1024);
}

#[test]
fn reported_pages_go_back_wherever_the_driver_has_its_queue() {
    for queue in [3, REPORTING] {
        let mut bench = with_queues(ALL, &[INFLATE, DEFLATE, STATISTICS, queue], OPTIONS);
        let pages = [512, 1023, 1024];
        bench.fill(&pages);
        bench.round(
            queue,
            &[Buffer::Writable(512 * PAGE, 512 * 4096), Buffer::Writable(1024 * PAGE + 1, 4095)],
        );
        assert_eq!(bench.kept(&pages), [false, false, true]);
        assert_eq!(bench.metric("reported_bytes"), 512 * PAGE, "queue {queue}");
    }
    let mut bench = with_queues(VIRTIO_BALLOON_F_PAGE_REPORTING, &[INFLATE, DEFLATE, 2], OPTIONS);
    bench.fill(&[512]);
    bench.round(2, &[Buffer::Writable(512 * PAGE, 4096)]);
    assert_eq!(bench.kept(&[512]), [false]);
}

#[test]
fn pages_that_the_guest_has_filled_are_left_alone() {
    let mut bench = bench(ALL);
    bench.balloon.write_config(12, &0xaaaa_aaaa_u32.to_le_bytes());
    bench.fill(&[512]);
    bench.round(REPORTING, &[Buffer::Writable(512 * PAGE, 4096)]);
    assert_eq!((bench.kept(&[512]), bench.metric("reported_bytes")), (vec![true], 0));
    bench.balloon.write_config(12, &[0; 4]);
    bench.round(REPORTING, &[Buffer::Writable(512 * PAGE, 4096)]);
    assert_eq!(bench.kept(&[512]), [false]);
}

#[test]
fn a_target_reaches_the_driver_and_the_driver_says_how_far_it_is() {
    let bench = bench(ALL);
    bench.balloon.set_target(1 << 20).unwrap();
    assert_eq!(bench.interrupt.config(), 1);
    bench.balloon.set_target(1 << 20).unwrap();
    assert_eq!(bench.interrupt.config(), 1, "nothing has changed");
    let mut space = [0xff; 20];
    bench.balloon.read_config(0, &mut space);
    assert_eq!(space[..4], 256_u32.to_le_bytes());
    assert_eq!(space[4..], [0; 16]);
    bench.balloon.write_config(4, &100_u32.to_le_bytes());
    assert_eq!((bench.balloon.target(), bench.balloon.actual()), (1 << 20, 100 * PAGE));
    // A byte alone, what is not the driver's, and what is not there.
    bench.balloon.write_config(5, &[1]);
    bench.balloon.write_config(0, &[0xff; 4]);
    bench.balloon.write_config(u64::MAX, &[0xff; 8]);
    assert_eq!((bench.balloon.target(), bench.balloon.actual()), (1 << 20, 356 * PAGE));
    // Nonsense is cut to what may be.
    bench.balloon.write_config(4, &[0xff; 4]);
    assert_eq!((bench.balloon.actual(), bench.metric("actual_bytes")), (4 << 20, 4 << 20));
    bench.balloon.reset();
    assert_eq!((bench.balloon.target(), bench.balloon.actual()), (1 << 20, 0));
}

#[test]
fn refuses_targets_that_cannot_be() {
    let bench = bench(ALL);
    for bytes in [1, 4095, (4 << 20) + 4096, u64::MAX] {
        let refused = bench.balloon.set_target(bytes);
        assert_eq!(refused, Err(TargetError { bytes, limit: 4 << 20 }));
    }
    assert_eq!((bench.balloon.target(), bench.interrupt.config()), (0, 0));
    assert!(Balloon::new("balloon", BalloonOptions { target: 1, ..OPTIONS }).is_err());
}

#[test]
fn statistics_come_when_they_are_asked_for() {
    let mut bench = bench(ALL);
    assert!(bench.balloon.statistics().is_none());
    bench.tell(&[(4, 1000), (5, 2000), (99, 1), (0, 1 << 53)]);
    wait_until("the first ones", || bench.metric("statistics") == 1);
    let (told, _) = bench.balloon.statistics().unwrap();
    let expected = Statistics { free_memory: Some(1000), total_memory: Some(2000), ..Statistics::default() };
    assert_eq!(told, expected);
    assert_eq!(bench.queues[STATISTICS].take_used(), None, "the device keeps the buffer");

    let balloon = Arc::clone(&bench.balloon);
    let asking = std::thread::spawn(move || balloon.refresh_statistics(Duration::from_mins(1)));
    bench.queues[STATISTICS].wait_used();
    bench.tell(&[(4, 1001)]);
    assert!(asking.join().unwrap());
    assert_eq!(bench.balloon.statistics().unwrap().0.free_memory, Some(1001));
    assert_eq!(bench.queues[STATISTICS].take_used(), None);
}

#[test]
fn nobody_waits_for_a_driver_that_is_not_there_or_leaves() {
    let bench = with_queues(0, &[INFLATE, DEFLATE], OPTIONS);
    assert!(!bench.balloon.refresh_statistics(Duration::from_mins(10)));
    bench.balloon.deactivate();
    bench.activate(ALL, &[INFLATE, DEFLATE, STATISTICS]).unwrap();
    let balloon = Arc::clone(&bench.balloon);
    let asking = std::thread::spawn(move || balloon.refresh_statistics(Duration::from_mins(10)));
    std::thread::yield_now();
    bench.balloon.deactivate();
    assert!(!asking.join().unwrap());
}

#[test]
fn statistics_come_by_themselves_with_an_interval() {
    let options = BalloonOptions { statistics_interval: Some(Duration::from_millis(5)), ..OPTIONS };
    let mut bench = with_queues(ALL, &[INFLATE, DEFLATE, STATISTICS], options);
    for round in 1..=3 {
        bench.tell(&[(4, round)]);
        bench.queues[STATISTICS].wait_used();
        assert_eq!(bench.balloon.statistics().unwrap().0.free_memory, Some(round));
    }
}

#[test]
fn a_buffer_of_statistics_outlives_a_pause_and_says_nothing_new() {
    let mut bench = bench(ALL);
    bench.tell(&[(4, 1)]);
    wait_until("the first ones", || bench.metric("statistics") == 1);
    bench.balloon.pause();
    assert_eq!(bench.balloon.queues()[STATISTICS].unwrap().next_avail, 0, "it is the driver's while paused");
    bench.balloon.resume();
    let balloon = Arc::clone(&bench.balloon);
    let asking = std::thread::spawn(move || balloon.refresh_statistics(Duration::from_mins(1)));
    bench.queues[STATISTICS].wait_used();
    bench.tell(&[(4, 2)]);
    assert!(asking.join().unwrap());
    assert_eq!((bench.metric("statistics"), bench.balloon.statistics().unwrap().0.free_memory), (2, Some(2)));
}

#[test]
fn a_driver_with_many_buffers_of_statistics_has_all_but_one_back() {
    let mut bench = bench(ALL);
    for _ in 0..5 {
        bench.tell(&[(4, 1)]);
    }
    for head in 0..4 {
        assert_eq!(bench.queues[STATISTICS].wait_used(), (head, 0));
    }
    assert_eq!(bench.queues[STATISTICS].take_used(), None);
}

#[test]
fn offers_what_it_was_told_to() {
    let offered = |options| Balloon::new("balloon", options).unwrap().device_features();
    let little = BalloonOptions { deflate_on_oom: false, free_page_reporting: false, ..OPTIONS };
    let reporting = VIRTIO_BALLOON_F_PAGE_POISON | VIRTIO_BALLOON_F_PAGE_REPORTING;
    assert_eq!(offered(OPTIONS) & !offered(little), VIRTIO_BALLOON_F_DEFLATE_ON_OOM | reporting);
    let hinting = BalloonOptions { free_page_hinting: true, ..little };
    let poison = VIRTIO_BALLOON_F_PAGE_POISON;
    assert_eq!(offered(hinting) & !offered(little), poison | VIRTIO_BALLOON_F_FREE_PAGE_HINT);
    for (options, queues) in [(little, 3), (hinting, 4), (OPTIONS, 5)] {
        assert_eq!(Balloon::new("balloon", options).unwrap().queue_max_sizes().len(), queues);
    }
}

#[test]
fn asks_for_a_reset_when_a_queue_breaks_and_refuses_to_start_without_one() {
    let mut bench = bench(ALL);
    bench.queues[INFLATE].write_descriptor(0, Descriptor { address: LIST, len: 4, flags: NEXT, next: 0 });
    bench.queues[INFLATE].offer(0);
    bench.queues[INFLATE].ring();
    wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
    wait_until("counted", || bench.metric("broken_queues") == 1);
    bench.balloon.deactivate();
    for missing in [[DEFLATE, STATISTICS], [INFLATE, STATISTICS]] {
        assert!(matches!(bench.activate(ALL, &missing), Err(ActivateError::QueueMissing { .. })));
    }
}

#[test]
fn restores_what_it_saved_and_refuses_what_cannot_be() {
    let bench = bench(ALL);
    bench.balloon.set_target(2 << 20).unwrap();
    bench.balloon.write_config(4, &77_u32.to_le_bytes());
    let state = bench.balloon.save().unwrap();
    let other = Balloon::new("balloon", OPTIONS).unwrap();
    other.restore(&state).unwrap();
    assert_eq!((other.target(), other.actual()), (2 << 20, 77 * PAGE));
    for (field, value) in [("features", u64::MAX), ("num_pages", 1025), ("actual", u64::MAX)] {
        let mut state = state.clone();
        state.fields[field] = value.into();
        assert!(other.restore(&state).is_err(), "{field}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn survives_any_rings(
        bytes in prop::collection::vec(any::<u8>(), 1..600),
        waiting in any::<u16>(),
        queue in 0..5_usize,
    ) {
        let mut bench =
            with_queues(ALL | F_INDIRECT_DESC | F_EVENT_IDX, &[0, 1, 2, 3, 4], OPTIONS);
        bench.balloon.pause();
        bench.queues[queue].scribble(&bytes, waiting);
        bench.balloon.resume();
        bench.queues[queue].ring();
        bench.balloon.pause();
        bench.balloon.deactivate();
    }

    #[test]
    fn whatever_a_driver_tells_leaves_a_balloon_that_can_be_saved(
        data in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        super::fuzz::fuzz_balloon(&data);
    }
}

#[test]
fn ranges_that_the_host_keeps_are_counted() {
    let locked = Options { lock: true, ..Options::default() };
    let memory = allocate_with(&[(GuestAddress(0), 2 << 20)], &locked).unwrap();
    let mut bench = in_memory(memory, ALL, &[INFLATE, DEFLATE, STATISTICS, REPORTING], OPTIONS);
    bench.fill(&[300, 301, 310]);
    bench.send(INFLATE, &[300, 301, 310]);
    assert_eq!(bench.kept(&[300, 301, 310]), [true; 3]);
    assert_eq!((bench.metric("refused_ranges"), bench.metric("inflated_pages")), (2, 0));
}

#[test]
fn reports_the_metrics_that_are_declared() {
    assert_declared("balloon", &bench(ALL).balloon.metrics());
}
