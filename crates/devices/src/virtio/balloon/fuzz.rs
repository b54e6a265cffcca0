// SPDX-License-Identifier: Apache-2.0
//! Entry point for a fuzzer.

use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_testing::driver::Buffer::{self, Readable, Writable};
use flotilla_testing::driver::FakeQueue;
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;

use super::device::{Balloon, BalloonOptions};

const RAM: usize = 8 << 20;
/// Where the driver writes what it tells.
const LIST: u64 = 0x10_0000;
/// Most things a driver does in one run.
const MAX_STEPS: usize = 64;
const OPTIONS: BalloonOptions = BalloonOptions {
    target: 1 << 20,
    limit: 4 << 20,
    deflate_on_oom: true,
    free_page_reporting: true,
    free_page_hinting: true,
    statistics_interval: None,
};

/// Takes each 64 bytes of `data` for one thing that a driver does: a list of frames or statistics on one of the queues, a report or
/// hint of unused memory, a write to the configuration. Saves the balloon in between and restores it as another one.
///
/// # Panics
/// If a balloon does not accept what another one like it saved, or says that it holds more than it may.
pub fn fuzz_balloon(data: &[u8]) {
    let memory = guest_memory(RAM);
    let (Ok(balloon), Ok(other)) = (Balloon::new("balloon", OPTIONS), Balloon::new("balloon", OPTIONS))
    else {
        return;
    };
    let mut queues: Vec<FakeQueue> =
        (1..=5_u64).map(|page| FakeQueue::new(&memory, 0x1000 * page, 16)).collect();
    let activation = Activation {
        memory: Arc::clone(&memory),
        features: balloon.device_features(),
        queues: queues.iter().map(|queue| Some(queue.activate())).collect(),
        interrupt: Arc::new(FakeVirtioInterrupt::default()),
    };
    if balloon.activate(activation).is_err() {
        return;
    }
    for (step, chunk) in data.chunks(64).take(MAX_STEPS).enumerate() {
        let Some((&[what, cut], bytes)) = chunk.split_first_chunk::<2>() else { continue };
        let at = LIST + 64 * u64::try_from(step).unwrap_or(0);
        if let Some(queue) = queues.get_mut(usize::from(what & 7)) {
            let _ = memory.write_slice(bytes, GuestAddress(at));
            queue.add(&buffers(at, what, cut, bytes));
            queue.ring();
            balloon.doorbell(u16::from(what & 7));
        } else if what & 7 == 5 {
            balloon.write_config(u64::from(cut), bytes);
        } else {
            let _ = balloon.set_target(u64::from(cut) << 12);
            let _ = balloon.refresh_statistics(Duration::ZERO);
            let shared = &balloon.model().shared;
            // Every other round is open while the driver goes on.
            if let Some(id) = shared.begin_hints().filter(|_| what & 8 != 0) {
                shared.wait_for_hints(id, Duration::ZERO);
            }
            balloon.pause();
            if let Ok(state) = balloon.save() {
                assert!(other.restore(&state).is_ok(), "a balloon does not accept what one like it saved");
            }
            balloon.resume();
        }
        assert!(balloon.actual() <= OPTIONS.limit, "more in the balloon than it may hold");
        let _ = (balloon.statistics(), balloon.metrics());
    }
    balloon.pause();
    balloon.deactivate();
}

/// A list in two pieces, or pages that the driver says nobody uses.
fn buffers(at: u64, what: u8, cut: u8, bytes: &[u8]) -> Vec<Buffer> {
    if what & 0x80 == 0 {
        let whole = u32::try_from(bytes.len()).unwrap_or(0);
        let first = u32::from(cut).min(whole);
        return vec![Readable(at, first), Readable(at + u64::from(first), whole - first)];
    }
    let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect::<Vec<_>>();
    let report = |[page, length]: &[u32; 2]| Writable(u64::from(*page) << (cut & 15), *length);
    // No more than the queue has descriptors.
    numbers.as_chunks::<2>().0.iter().take(8).map(report).collect()
}
