// SPDX-License-Identifier: Apache-2.0
//! Virtio devices (virtio 1.2) and the parts they share.
//!
//! - [`queue`]: a virtqueue as a device sees it: validated chains in, used ring out.
//! - [`worker`]: the I/O thread of a device: doorbells, back-end descriptors, pause and stop.
//! - [`common`]: what every device would otherwise retype: name, features, queue sizes, workers.

pub mod block;
pub mod chain;
pub mod common;
pub mod net;
pub mod queue;
pub mod rng;
#[cfg(test)]
mod tests;
pub mod worker;
