// SPDX-License-Identifier: Apache-2.0
//! Events on their way to JavaScript.
//!
//! One pump thread a machine takes them from a queue that is bounded and counts what it loses, and waits while
//! JavaScript is busy. So neither a virtual CPU nor the worker ever waits, and the last event always arrives.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flotilla_control::{Event, Failure};
use flotilla_spec::code::ErrorCode;
use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use serde_json::{Map, Value};

/// Takes events. Weak: it does not keep Node alive.
pub type OnEvent = ThreadsafeFunction<Value, (), Value, Status, false, true, 64>;

/// How long the pump waits before it tries a busy JavaScript again.
const AGAIN: Duration = Duration::from_millis(2);

/// Where the pump takes events from, and whether to go on.
pub trait EventSource: Send {
    /// The next events, waiting for them; `None` after the last one.
    fn next(&mut self) -> Option<Vec<Event>>;
    /// Whether nobody wants events any more.
    fn is_closed(&self) -> bool;
}

/// A running pump.
pub struct Pump(Mutex<Option<JoinHandle<()>>>);

impl Pump {
    /// Starts the thread. It ends after the last event.
    pub fn start(mut source: impl EventSource + 'static, listener: OnEvent) -> Result<Self, Failure> {
        let run = move || {
            while let Some(events) = source.next() {
                for event in events {
                    if !deliver(&source, &listener, &event) {
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("machine-events".to_owned()).spawn(run);
        let thread = thread.map_err(|error| {
            Failure::new(ErrorCode::HostNoMemory, format!("Cannot start a thread: {error}"))
        })?;
        Ok(Self(Mutex::new(Some(thread))))
    }

    /// Waits for the end of the thread. The source must be at its end or closed.
    pub fn join(&self) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Hands one event over; whether to go on.
fn deliver(source: &impl EventSource, listener: &OnEvent, event: &Event) -> bool {
    let mut body = event.body.clone();
    body.insert("seq".to_owned(), event.seq.into());
    loop {
        match listener.call(Value::Object(body.clone()), ThreadsafeFunctionCallMode::NonBlocking) {
            Status::Ok => return true,
            Status::QueueFull if !source.is_closed() => thread::sleep(AGAIN),
            // Node is ending, or nobody listens any more.
            _ => return false,
        }
    }
}

/// An event that the control protocol does not know.
pub fn event(seq: u64, fields: Value) -> Event {
    let body = match fields {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    Event { seq, body }
}
