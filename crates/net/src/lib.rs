// SPDX-License-Identifier: Apache-2.0
//! Packet back-ends.
//!
//! A [`Tap`] moves Ethernet frames between guest memory and a tap interface of the host, each with the 12-byte
//! virtio-net header before it: the kernel reads and writes that header itself, so no byte of a frame is copied or
//! looked at here. [`VhostNet`] lets the kernel do even that by itself. A [`StreamNet`] copies frames to and from a process
//! that is a network of its own, such as [`passt`], and needs no privilege.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod buffers;
mod error;
mod framing;
mod guard;
pub mod passt;
pub mod stream;
#[cfg(test)]
mod stream_tests;
mod sys;
pub mod tap;
#[cfg(test)]
mod tests;
pub mod vhost;
mod vhost_sys;

pub use error::{PasstError, StreamError, TapError, VhostError};
pub use stream::StreamNet;
pub use tap::Tap;
pub use vhost::VhostNet;
