// SPDX-License-Identifier: Apache-2.0
//! Free page hinting, as a driver sees it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::{Buffer, Descriptor, WRITE, wait_until};
use proptest::prelude::*;

use super::device::{Balloon, BalloonOptions};
use super::features::VIRTIO_BALLOON_F_FREE_PAGE_HINT;
use super::hints::{CMD_ID_DONE, CMD_ID_STOP, Hinted};
use super::tests::{ALL, Bench, LIST, OPTIONS, PAGE, with_queues};

const HINTS: usize = 3;
const HINTING: BalloonOptions = BalloonOptions { free_page_hinting: true, ..OPTIONS };
const LONG: Duration = Duration::from_mins(10);

fn bench() -> Bench {
    with_queues(ALL | VIRTIO_BALLOON_F_FREE_PAGE_HINT, &[0, 1, 2, HINTS, 4], HINTING)
}

impl Bench {
    /// What the driver reads as the round it shall work on.
    fn command(&self) -> u32 {
        let mut id = [0; 4];
        self.balloon.read_config(8, &mut id);
        u32::from_le_bytes(id)
    }

    /// Somebody asks for what nobody uses; once the driver can read of it.
    fn ask(&self, limit: Duration) -> JoinHandle<Option<Hinted>> {
        let before = self.command();
        let balloon = Arc::clone(&self.balloon);
        let asking = std::thread::spawn(move || balloon.hint(limit));
        wait_until("a round begins", || self.command() != before);
        asking
    }

    /// Adds buffers as a vCPU does: it has left the guest until they are answered.
    fn hint(&mut self, buffers: &[Buffer]) {
        self.queues[HINTS].add(buffers);
        assert!(self.balloon.doorbell(3), "the vCPU answers its doorbell itself");
        assert!(self.queues[HINTS].take_used().is_some(), "all is done when the vCPU goes on");
    }

    fn say(&mut self, id: u32) {
        self.memory.write_slice(&id.to_le_bytes(), GuestAddress(LIST)).unwrap();
        self.hint(&[Readable(LIST, 4)]);
    }

    fn name(&mut self, page: u32, pages: u32) {
        self.hint(&[Writable(u64::from(page) * PAGE, pages * 4096)]);
    }
}

#[test]
fn what_nobody_uses_is_the_hosts_when_it_asks_for_it() {
    let mut bench = bench();
    let pages = [511, 512, 575, 576, 1024];
    bench.fill(&pages);
    bench.name(512, 64);
    assert_eq!(bench.kept(&pages), [true; 5], "nobody has asked");
    let asking = bench.ask(LONG);
    let id = bench.command();
    assert_eq!((id, bench.interrupt.config()), (2, 1));
    bench.say(id);
    bench.name(512, 64);
    assert_eq!(bench.kept(&pages), [true, false, false, true, true]);
    bench.name(1024, 1);
    bench.say(CMD_ID_STOP);
    assert_eq!(asking.join().unwrap(), Some(Hinted { released: 65 * PAGE, complete: true }));
    // Now the driver lets its guest have them again, which nothing may touch any more.
    assert_eq!((bench.command(), bench.interrupt.config()), (CMD_ID_DONE, 2));
    bench.fill(&pages);
    bench.name(512, 64);
    assert_eq!(bench.kept(&pages), [true; 5]);
    let counted = ["hint_rounds", "hinted_bytes", "ignored_hints"].map(|name| bench.metric(name));
    assert_eq!(counted, [1, 65 * PAGE, 2]);
    let asking = bench.ask(LONG);
    assert_eq!(bench.command(), 3, "a driver passes over an id that it knows");
    bench.say(3);
    bench.say(CMD_ID_STOP);
    assert_eq!(asking.join().unwrap(), Some(Hinted { released: 0, complete: true }));
}

#[test]
fn marks_of_no_round_change_nothing() {
    let mut bench = bench();
    bench.fill(&[512]);
    bench.say(CMD_ID_STOP);
    let asking = bench.ask(LONG);
    let id = bench.command();
    // An end without a beginning, an older round, one yet to come, half a mark.
    bench.say(CMD_ID_STOP);
    bench.say(CMD_ID_DONE);
    bench.say(id - 1);
    bench.name(512, 1);
    bench.say(id + 1);
    bench.name(512, 1);
    bench.hint(&[Readable(LIST, 3)]);
    assert_eq!((bench.kept(&[512]), bench.command()), (vec![true], id));
    // A mark and ranges in one list, and marks without end.
    bench.memory.write_slice(&id.to_le_bytes(), GuestAddress(LIST)).unwrap();
    for _ in 0..200 {
        bench.hint(&[Readable(LIST, 4), Writable(512 * PAGE, 4096)]);
    }
    assert_eq!((bench.kept(&[512]), bench.command()), (vec![false], id));
    bench.say(CMD_ID_STOP);
    assert!(asking.join().unwrap().is_some_and(|hinted| hinted.complete));
}

#[test]
fn a_driver_that_never_answers_keeps_nobody() {
    let mut bench = bench();
    bench.fill(&[512]);
    assert_eq!(bench.balloon.hint(Duration::ZERO), Some(Hinted::default()));
    assert_eq!(bench.command(), CMD_ID_DONE);
    // And what it says later comes too late.
    bench.say(2);
    bench.name(512, 1);
    bench.say(CMD_ID_STOP);
    assert_eq!(bench.kept(&[512]), [true]);
}

#[test]
fn a_round_ends_with_its_driver_and_needs_one() {
    let mut bench = bench();
    let asking = bench.ask(LONG);
    bench.say(2);
    bench.name(512, 1);
    bench.balloon.deactivate();
    let hinted = asking.join().unwrap();
    assert_eq!(hinted, Some(Hinted { released: PAGE, complete: false }));
    assert_eq!(bench.balloon.hint(LONG), None);
    assert_eq!(bench.command(), CMD_ID_STOP);
    // One without the feature, or without the queue.
    bench.activate(ALL, &[0, 1, 2, 4]).unwrap();
    assert_eq!((bench.balloon.hint(LONG), bench.balloon.takes_doorbells()), (None, false));
    bench.balloon.deactivate();
    bench.activate(ALL | VIRTIO_BALLOON_F_FREE_PAGE_HINT, &[0, 1]).unwrap();
    assert_eq!(bench.balloon.hint(LONG), None);
}

#[test]
fn who_comes_second_has_a_part_in_the_round() {
    let mut bench = bench();
    let asking = bench.ask(LONG);
    let balloon = Arc::clone(&bench.balloon);
    let second = std::thread::spawn(move || balloon.hint(LONG));
    bench.say(2);
    bench.name(512, 2);
    bench.say(CMD_ID_STOP);
    let (first, second) = (asking.join().unwrap(), second);
    assert_eq!(first, Some(Hinted { released: 2 * PAGE, complete: true }));
    // It came before the end, or begins a round of its own, which ends with the driver.
    bench.balloon.deactivate();
    let _ = second.join().unwrap();
}

#[test]
fn pages_that_the_guest_has_filled_are_left_alone() {
    let mut bench = bench();
    bench.balloon.write_config(12, &0xaaaa_aaaa_u32.to_le_bytes());
    bench.fill(&[512]);
    let asking = bench.ask(LONG);
    bench.say(2);
    bench.name(512, 1);
    bench.say(CMD_ID_STOP);
    assert_eq!(asking.join().unwrap(), Some(Hinted { released: 0, complete: true }));
    assert_eq!(bench.kept(&[512]), [true]);
}

#[test]
fn ranges_outside_memory_are_passed_over() {
    let mut bench = bench();
    let last = 8 << 20 >> 12;
    let asking = bench.ask(LONG);
    bench.say(2);
    bench.name(last - 1, 1);
    bench.say(CMD_ID_STOP);
    assert_eq!(asking.join().unwrap(), Some(Hinted { released: PAGE, complete: true }));
    // A chain with a buffer that is none breaks the queue, as everywhere.
    let outside = Descriptor { address: u64::from(last) * PAGE, len: 4096, flags: WRITE, next: 0 };
    bench.queues[HINTS].write_descriptor(0, outside);
    bench.queues[HINTS].offer(0);
    assert!(bench.balloon.doorbell(3));
    assert!(bench.interrupt.is_reset_needed());
    assert_eq!(bench.metric("broken_queues"), 1);
}

#[test]
fn a_round_does_not_outlive_a_save_but_its_id_does() {
    let mut bench = bench();
    let asking = bench.ask(LONG);
    bench.say(2);
    bench.balloon.pause();
    let state = bench.balloon.save().unwrap();
    let other = Bench { balloon: Arc::new(Balloon::new("balloon", HINTING).unwrap()), ..self::bench() };
    other.balloon.restore(&state).unwrap();
    assert_eq!(other.command(), CMD_ID_DONE, "the driver may have its pages again");
    other.activate(ALL | VIRTIO_BALLOON_F_FREE_PAGE_HINT, &[0, 1, 2, HINTS, 4]).unwrap();
    assert_eq!(other.interrupt.config(), 1, "and hears of it");
    let again = other.ask(LONG);
    assert_eq!(other.command(), 3);
    other.balloon.deactivate();
    bench.balloon.deactivate();
    assert!(asking.join().unwrap().is_some() && again.join().unwrap().is_some());
    // What was saved without hints has none.
    let mut old = state;
    old.fields.as_object_mut().unwrap().retain(|name, _| !name.ends_with("hint"));
    let other = Balloon::new("balloon", HINTING).unwrap();
    other.restore(&old).unwrap();
    assert_eq!(other.target(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn survives_any_ring(bytes in prop::collection::vec(any::<u8>(), 1..600), waiting in any::<u16>(), on_vcpu: bool) {
        let mut bench = bench();
        let round = bench.balloon.model().shared.begin_hints();
        bench.balloon.pause();
        bench.queues[HINTS].scribble(&bytes, waiting);
        bench.balloon.resume();
        if on_vcpu {
            bench.balloon.doorbell(3);
        } else {
            bench.queues[HINTS].ring();
        }
        bench.balloon.pause();
        bench.balloon.deactivate();
        prop_assert!(round.is_some());
    }
}
