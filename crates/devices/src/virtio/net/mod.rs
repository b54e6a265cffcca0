// SPDX-License-Identifier: Apache-2.0
//! The network interface (virtio 1.2 §5.1). Frames pass between the driver's buffers and the back-end as they are,
//! each behind the 12-byte header; the device looks only at what the header says about itself, and at the addresses where
//! it was asked to. Pairs of queues, each served by a thread of its own; the first serves the control queue as well.
//!
//! ```text
//!   device ── starts ──▶ service ──▶ pair ───▶ receive, transmit      a thread for each pair
//!                           │          └─────▶ control ─▶ command     the first one's
//!                           └──────▶ rings ──▶ control                one thread, where the kernel moves the frames
//!   control, owner ──▶ shared (agreement, link) ──▶ every thread's view
//! ```

mod command;
mod control;
pub mod device;
mod features;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod metrics;
mod pair;
mod receive;
mod rings;
mod service;
mod shared;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_backends;
#[cfg(test)]
mod tests_driver;
mod transmit;
