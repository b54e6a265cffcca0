// SPDX-License-Identifier: Apache-2.0
//! The NAPI-RS module: conversions between Node and the core, and nothing else.
//!
//! ```text
//!   TypeScript face ──▶ function or class here ──▶ job on the blocking pool ──▶ host, control, vmm
//!                   ◀── promise, or error with code, field and remedy ◀──────── Result<T, Failure>
//!                   ◀── events: weak threadsafe function ◀── one pump thread a machine ◀── bounded queue
//! ```
//!
//! What can block runs in [`job`], which also turns a panic into an error. What the core reports waits in a bounded
//! queue; no thread of the core ever waits for JavaScript. Nothing here keeps Node alive but a call under way.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(dead_code, reason = "the macros of napi register nothing in a test build"))]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod cancel;
mod failure;
mod host;
mod job;
mod machine;
mod numbers;
mod panic;
mod provoke;
mod workers;
