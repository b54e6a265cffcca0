// SPDX-License-Identifier: Apache-2.0
//! Rounds of free page hinting (virtio 1.2 §5.5.6.5): the driver is asked for what nothing in its guest uses now.
//!
//! ```text
//!   begin ──▶ command id of the round ──▶ driver ──▶ free_page_vq: id, ranges …, STOP
//!     end ──▶ DONE ─────────────────────▶ driver, which lets its guest have the ranges again
//! ```
//!
//! The lock is held while a range goes back to the host: once the driver reads `DONE`, nothing of its guest may be touched.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::metrics::BalloonMetrics;

/// Hinting shall stop, or has; no id of a round.
pub(super) const CMD_ID_STOP: u32 = 0;
/// What was hinted is not needed any more; no id of a round.
pub(super) const CMD_ID_DONE: u32 = 1;
/// The first id of a round.
const FIRST: u32 = 2;

/// What one round gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hinted {
    /// Bytes that the host has back.
    pub released: u64,
    /// Whether the driver said that there is no more; otherwise its time was up, or it left.
    pub complete: bool,
}

struct Round {
    id: u32,
    /// Whether the driver has said the id, so that what follows belongs to this round.
    begun: bool,
    released: u64,
}

#[derive(Default)]
struct State {
    /// The id of the last round that began. A driver passes over one that it has seen, so they do not come again soon.
    last: u32,
    round: Option<Round>,
    /// The last round that ended, for those that wait for it.
    ended: Option<(u32, Hinted)>,
}

#[derive(Default)]
pub(super) struct Hints {
    state: Mutex<State>,
    changed: Condvar,
}

impl Hints {
    /// Begins a round, or joins the one under way; its id. `tell` shows a new id to the driver.
    pub(super) fn begin(&self, tell: impl FnOnce(u32)) -> u32 {
        let mut state = self.state();
        if let Some(round) = &state.round {
            return round.id;
        }
        let id = state.last.wrapping_add(1).max(FIRST);
        state.last = id;
        state.round = Some(Round { id, begun: false, released: 0 });
        tell(id);
        id
    }

    /// Waits for the end of a round, up to `limit`. One that has not ended by then is cut short: `tell` says so to the driver.
    pub(super) fn wait(&self, id: u32, limit: Duration, tell: impl FnOnce()) -> Hinted {
        let under_way = |state: &mut State| state.round.as_ref().is_some_and(|round| round.id == id);
        let waited = self.changed.wait_timeout_while(self.state(), limit, under_way);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if under_way(&mut state) {
            self.end(&mut state, false);
            tell();
        }
        state.ended.filter(|(ended, _)| *ended == id).map(|(_, hinted)| hinted).unwrap_or_default()
    }

    /// The driver said an id. `tell` hears when that ended a round.
    pub(super) fn said(&self, id: u32, tell: impl FnOnce()) {
        let mut state = self.state();
        let Some(round) = &mut state.round else { return };
        let begun = std::mem::replace(&mut round.begun, round.id == id);
        if begun && matches!(id, CMD_ID_STOP | CMD_ID_DONE) {
            self.end(&mut state, true);
            tell();
        }
    }

    /// The driver named ranges: gives them to `release`, which tells the bytes that the host has back, if they belong to the
    /// round under way.
    pub(super) fn named(&self, metrics: &BalloonMetrics, release: impl FnOnce() -> u64) {
        let mut state = self.state();
        match &mut state.round {
            Some(round) if round.begun => {
                let bytes = release();
                round.released = round.released.saturating_add(bytes);
                metrics.hinted_bytes.add(bytes);
            }
            _ => metrics.ignored_hints.increment(),
        }
    }

    /// The driver is gone, and the round with it.
    pub(super) fn abandon(&self) {
        self.end(&mut self.state(), false);
    }

    /// The id of the last round.
    pub(super) fn last(&self) -> u32 {
        self.state().last
    }

    /// Goes on after a round that was saved.
    pub(super) fn set_last(&self, last: u32) {
        self.state().last = last;
    }

    fn end(&self, state: &mut State, complete: bool) {
        if let Some(Round { id, released, .. }) = state.round.take() {
            state.ended = Some((id, Hinted { released, complete }));
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(10);

    fn quiet() {}

    #[test]
    fn ids_go_up_and_pass_over_the_reserved_ones() {
        let hints = Hints::default();
        let mut told = Vec::new();
        for _ in 0..2 {
            let id = hints.begin(|id| told.push(id));
            assert_eq!(hints.begin(|_| panic!("it is told already")), id, "who comes second joins");
            hints.wait(id, Duration::ZERO, quiet);
        }
        hints.set_last(u32::MAX);
        hints.begin(|id| told.push(id));
        assert_eq!(told, [2, 3, 2]);
    }

    #[test]
    fn a_round_has_what_was_named_between_its_id_and_the_end() {
        let (hints, metrics) = (Hints::default(), BalloonMetrics::default());
        let id = hints.begin(|_| {});
        let unwanted = || -> u64 { panic!("not of this round") };
        hints.named(&metrics, unwanted);
        hints.said(CMD_ID_STOP, || panic!("it has not begun"));
        hints.said(id + 1, || panic!("another one"));
        hints.named(&metrics, unwanted);
        hints.said(id, || panic!("it begins"));
        hints.named(&metrics, || 5);
        hints.named(&metrics, || 6);
        let mut ended = false;
        hints.said(CMD_ID_STOP, || ended = true);
        hints.named(&metrics, unwanted);
        hints.said(CMD_ID_STOP, || panic!("it has ended"));
        assert!(ended);
        assert_eq!(hints.wait(id, LONG, quiet), Hinted { released: 11, complete: true });
        assert_eq!((metrics.hinted_bytes.get(), metrics.ignored_hints.get()), (11, 3));
    }

    #[test]
    fn a_driver_that_does_not_come_to_an_end_is_cut_short() {
        let (hints, metrics) = (Hints::default(), BalloonMetrics::default());
        let id = hints.begin(|_| {});
        hints.said(id, quiet);
        hints.named(&metrics, || 7);
        let mut told = false;
        let hinted = hints.wait(id, Duration::ZERO, || told = true);
        assert_eq!((hinted, told), (Hinted { released: 7, complete: false }, true));
        hints.named(&metrics, || panic!("after the end"));
        hints.said(CMD_ID_STOP, || panic!("after the end"));
    }
}
