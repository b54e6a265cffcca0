// SPDX-License-Identifier: Apache-2.0
//! Loads a kernel: everything a guest finds in memory when its first instruction runs.
//!
//! ```text
//!   kernel, initrd, command line, RAM ──plan──▶ BootPlan (data) ──apply──▶ guest memory
//!                                                  │
//!                                                  └── EntryState ──▶ registers of vCPU 0
//! ```
//!
//! A [`BootPlan`] is data: which bytes go where, which part of which file goes where, what is cleared, and the
//! registers of the first vCPU. It can be looked at and tested without KVM, and applied again when the guest
//! reboots. Files are hostile: whatever they hold, the answer is a plan or a [`BootError`].
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod acpi;
mod bytes;
mod bzimage;
mod command_line;
mod e820;
mod elf;
mod entry;
mod error;
mod image;
mod initrd;
mod kernel;
pub mod layout;
mod linux;
mod mp_table;
mod piece;
mod plan;
mod pvh;

pub use entry::{EntryState, SegmentState, TableState};
pub use error::{BootError, CommandLineProblem};
pub use image::{FileKind, Image};
pub use kernel::{BootProtocol, Protocol};
pub use piece::Piece;
pub use plan::{BootPlan, MachineKind, PlanOptions, Sources, plan};
