// SPDX-License-Identifier: Apache-2.0
//! The control protocol between a worker, which runs one machine, and its client.
//!
//! ```text
//!   client                                                        worker
//!     │  handshake {protocol: {min, max}, client, eventsAfter?}      │
//!     │ ────────────────────────────────────────────────────────────▶│  one client at a time: worker.busy
//!     │◀──────────────── {protocol, build, machine?, lastEvent} ──── │
//!     │  configure {id, spec, console, blackBox} + descriptors ─────▶│
//!     │  boot · pause · resume · powerButton · reset · stop ────────▶│
//!     │  info · metrics ────────────────────────────────────────────▶│
//!     │◀──────────────────────────────── event {seq, kind, …} ────── │  the last 256 are kept for the next client
//! ```
//!
//! Messages are JSON-RPC 2.0, each in a frame: length as u32 little-endian, then at most 1 MiB of JSON. Descriptors
//! ride as `SCM_RIGHTS` on the frame that uses them, at most 64. A client that goes away changes nothing in the
//! worker. Unknown fields and methods are errors, unknown events are ignored. Everything blocks with time limits and
//! can be used from plain threads.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod black_box;
pub mod client;
pub mod console;
pub mod event;
pub mod failure;
pub mod frame;
pub mod message;
pub mod server;
mod socket;
mod thread;
mod wire;

pub use black_box::BlackBox;
pub use client::{Client, ClientError, ClientOptions, Outlets};
pub use event::{Event, EventLog};
pub use failure::Failure;
pub use frame::fuzz_frame;
pub use server::{Server, Service};

/// The version of the protocol that this build speaks.
pub const PROTOCOL: u32 = 1;
/// The oldest version that this build still speaks: two before its own.
pub const OLDEST_PROTOCOL: u32 = if PROTOCOL > 2 { PROTOCOL - 2 } else { 1 };
/// The build, as the handshake names it.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");
