// SPDX-License-Identifier: Apache-2.0
//! Packet back-ends.
//!
//! A [`Tap`] moves Ethernet frames between guest memory and a tap interface of the host, each with the 12-byte
//! virtio-net header before it: the kernel reads and writes that header itself, so no byte of a frame is copied or
//! looked at here. [`VhostNet`] lets the kernel do even that by itself.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod buffers;
mod error;
mod sys;
pub mod tap;
#[cfg(test)]
mod tests;
pub mod vhost;
mod vhost_sys;

pub use error::{TapError, VhostError};
pub use tap::Tap;
pub use vhost::VhostNet;
