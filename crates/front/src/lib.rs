// SPDX-License-Identifier: Apache-2.0
//! A machine as its clients see it, whether it runs in a worker or in the process of its owner.
//!
//! ```text
//!   vmm                                       control
//!   Console        ──── MachineConsole ────▶  console::Endpoint
//!   OutputLog      ◀──── ToBlackBox ────────  BlackBox
//!   MachineEvents  ◀────── Recorder ────────  EventLog, BlackBox
//!   Machine        ──────── info ──────────▶  MachineInfo
//!   errors         ─── build_failure, … ───▶  Failure
//! ```
//!
//! Neither of the two knows the other: a machine needs no protocol, and a client of the protocol no machine.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod console;
mod events;
mod failure;
mod info;

pub use console::{MachineConsole, ToBlackBox, ports};
pub use events::Recorder;
pub use failure::{build_failure, machine_failure};
pub use info::info;
