// SPDX-License-Identifier: Apache-2.0
//! Shared folders.
//!
//! ```text
//!   folder ──[folder]──▶ descriptor ──[virtiofsd]──▶ a process locked into it ◀──[front], vhost-user──▶ rings of the guest
//! ```
//!
//! Whoever may open paths opens the folder and starts the process; the machine gets no more than one end of a socket.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod error;
pub mod folder;
pub mod front;
mod jail;
#[cfg(test)]
mod tests;
pub mod virtiofsd;
mod wire;

pub use error::ShareError;
pub use front::VhostUser;
