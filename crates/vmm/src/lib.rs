// SPDX-License-Identifier: Apache-2.0
//! Assembles and drives one machine.
//!
//! ```text
//!   ValidSpec + Resources ──builder──▶ Parts ──▶ Driver (thread "machine")
//!                                        │          ▲ commands, guest signals, crashes: one inbox
//!        Console ◀── serial port ────────┤          │
//!                                        ├──▶ vCPU threads ("vcpu0", ...)
//!                                        └──▶ devices with their I/O threads
//! ```
//!
//! - [`Machine`] is the handle. Cloned freely, used from any thread; the machine ends with the last one.
//! - [`state`] has the diagram of states and the table of what each allows; only the driver thread changes state.
//! - [`vcpu`] is the loop of a vCPU, how it is commanded, and what each exit leads to.
//! - [`Resources`] are the open files of a machine, from paths or from passed descriptors.
//!
//! Nothing here is global to the process (but for the kick signal of the hypervisor crate), and nothing ends the
//! process: several machines may live in it, and a panic in one of their threads ends that machine only.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod affinity;
mod balloon;
mod builder;
mod command;
pub mod console;
mod driver;
mod end;
mod error;
mod events;
mod inbox;
mod machine;
mod options;
mod parts;
mod patience;
mod resources;
mod shared;
pub mod snapshot;
mod sockets;
pub mod state;
#[cfg(test)]
mod tests;
mod threads;
mod throttles;
mod vcpu;

pub use console::Console;
pub use error::{BuildError, MachineError, describe};
pub use events::{IgnoreEvents, MachineEvents};
pub use flotilla_device_model::threads::named;
pub use flotilla_share::folder::Folders;
pub use machine::{Machine, MachineInfo};
pub use options::MachineOptions;
pub use patience::Patience;
pub use resources::Resources;
pub use threads::{ThreadHook, ThreadRole};
