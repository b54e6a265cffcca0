// SPDX-License-Identifier: Apache-2.0
//! Numbered events, the newest of which are kept for a client that comes back.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_spec::report::MachineEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// How many events are kept.
pub const KEPT_EVENTS: usize = 256;

/// An event of a machine, with the number it has in the life of its worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1 without gaps. An event of kind `lost` carries the number of the last lost event.
    pub seq: u64,
    /// `kind` and the fields of that kind. A kind may be unknown to this build.
    #[serde(flatten)]
    pub body: Map<String, Value>,
}

impl Event {
    /// The kind, empty when there is none.
    pub fn kind(&self) -> &str {
        self.body.get("kind").and_then(Value::as_str).unwrap_or_default()
    }

    /// The event as a type, if this build knows its kind.
    pub fn known(&self) -> Option<MachineEvent> {
        serde_json::from_value(Value::Object(self.body.clone())).ok()
    }

    pub(crate) fn lost(seq: u64, count: u64) -> Self {
        let mut body = Map::new();
        body.insert("kind".to_owned(), json!("lost"));
        body.insert("count".to_owned(), json!(count));
        Self { seq, body }
    }
}

/// The events of a worker. Pushing never waits for a reader.
#[derive(Default)]
pub struct EventLog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    last: u64,
    kept: VecDeque<Event>,
    wakeups: u64,
}

impl EventLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an event and returns its number.
    pub fn push(&self, event: &MachineEvent) -> u64 {
        match serde_json::to_value(event) {
            Ok(Value::Object(body)) => self.push_body(body),
            // An event always is an object; anything else would be our own mistake and is kept visible as such.
            Ok(_) | Err(_) => self.push_body(Map::new()),
        }
    }

    fn push_body(&self, body: Map<String, Value>) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let seq = state.last;
        if state.kept.len() == KEPT_EVENTS {
            state.kept.pop_front();
        }
        state.kept.push_back(Event { seq, body });
        self.changed.notify_all();
        seq
    }

    /// The number of the newest event.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// The events after number `after`, waiting up to `wait` for the first. Those no longer kept are stood for by
    /// one event of kind `lost`.
    pub fn after(&self, after: u64, wait: Duration) -> Vec<Event> {
        let state = self.lock();
        let wakeups = state.wakeups;
        let nothing = |state: &mut State| state.last <= after && state.wakeups == wakeups;
        let waited = self.changed.wait_timeout_while(state, wait, nothing);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let newer: Vec<Event> = state.kept.iter().filter(|event| event.seq > after).cloned().collect();
        let first = newer.first().map_or(after, |event| event.seq - 1);
        let lost = first.saturating_sub(after);
        if lost == 0 { newer } else { std::iter::once(Event::lost(first, lost)).chain(newer).collect() }
    }

    /// Ends every wait that is under way.
    pub fn wake(&self) {
        let mut state = self.lock();
        state.wakeups = state.wakeups.wrapping_add(1);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
