// SPDX-License-Identifier: Apache-2.0
//! The console device (virtio 1.2 §5.3), with several ports if wanted: port 0 is a terminal, whose size can change, each further one a
//! byte stream with a name.
//!
//! ```text
//!   host program ─ PortHost ─ wake ─▶ service ─▶ receiveq of the port ─▶ guest
//!   host program ◀ PortHost ◀──────── service ◀─ transmitq of the port ◀─ guest
//!                                     service ◀─▶ control queues: which ports there are, what they are called, who has opened
//!                                       [`control`]      them, how large the terminal is
//! ```
//!
//! Nothing grows without bound. What the driver has still to be told is never queued: it is the difference between what is
//! ([`flotilla_device_model::console::PortHost`]) and what the driver was told last, which is also what is saved. Input stays
//! with the host until the guest has opened the port and has a buffer for it; output stays in the guest's buffer until the host
//! has room.

mod control;
pub mod device;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod metrics;
mod service;
mod state;
#[cfg(test)]
mod tests;
