// SPDX-License-Identifier: Apache-2.0
//! The disk (virtio 1.2 §5.2). The driver sends a header, data and a place for a status byte in one chain; the device
//! makes a neutral request of it, hands it to the back-end and, when that is done, writes the status. Requests may
//! end in any order. One queue, served by a thread of its own.

mod config;
pub mod device;
pub mod fuzz;
mod metrics;
mod queue;
mod request;
mod state;
#[cfg(test)]
mod tests;
