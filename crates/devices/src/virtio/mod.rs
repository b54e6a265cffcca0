// SPDX-License-Identifier: Apache-2.0
//! Virtio devices (virtio 1.2) and the parts they share.
//!
//! - [`queue`]: a virtqueue as a device sees it: validated chains in, used ring out.
//! - [`worker`]: the I/O thread of a device: doorbells, back-end descriptors, pause and stop.
//! - [`device`]: what a device says of itself, and everything that follows from it, for all of them alike.
//! - [`limiter`]: what keeps a queue to limits of bytes and requests.
//! - [`common`]: what that stands on: name, features, queue sizes, I/O threads.

pub mod balloon;
pub mod block;
pub mod chain;
pub mod common;
pub mod console;
pub mod device;
pub mod limiter;
pub mod net;
pub mod pmem;
pub mod queue;
pub mod rng;
mod served;
pub mod share;
#[cfg(test)]
mod tests;
pub mod vsock;
pub mod worker;
