// SPDX-License-Identifier: Apache-2.0
//! Packet back-ends.
//!
//! A [`Tap`] moves Ethernet frames between guest memory and a tap interface of the host, each with the 12-byte
//! virtio-net header before it: the kernel reads and writes that header itself, so no byte of a frame is copied or
//! looked at here.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod error;
mod sys;
pub mod tap;
#[cfg(test)]
mod tests;

pub use error::TapError;
pub use tap::Tap;
