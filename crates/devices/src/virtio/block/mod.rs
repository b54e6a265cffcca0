// SPDX-License-Identifier: Apache-2.0
//! The disk (virtio 1.2 §5.2). The driver sends a header, data and a place for a status byte in one chain; the device
//! makes a neutral request of it, hands it to the back-end and, when that is done, writes the status. Requests may
//! end in any order. Each queue is served by a thread of its own, or, while requests come one by one and the content lies
//! in memory, by the vCPU that asks.

mod config;
pub mod device;
pub mod fuzz;
mod metrics;
mod pace;
mod queue;
mod request;
mod state;
#[cfg(test)]
mod tests;
