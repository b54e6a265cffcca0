// SPDX-License-Identifier: Apache-2.0
//! A watchdog: once the guest has started it, it has to be reloaded before its countdown is over. Guests work it by the
//! instructions of the ACPI table WDAT (Microsoft, "Hardware Watchdog Timers Design Specification"), whose actions the registers
//! are made for.
//!
//! ```text
//!   +0x0 reload: write 1          +0x4 count, 32 bits: where a countdown begins, in periods of 100 ms
//!   +0x1 control: 1 runs          +0x8 left, 32 bits: read only
//!   +0x2 action: 0 reset, 1 power off, 2 neither; what is written is of no effect, the owner of the machine decides
//!   +0x3 status: 1 when the last reset of the machine was the watchdog's; write 1 to clear
//! ```
//!
//! [`countdown`] keeps the time. It stands still while the machine does, and a countdown that is over begins again only when
//! it is reloaded or started.

mod countdown;
pub mod device;
mod state;

pub use countdown::{MAX_COUNT, MIN_COUNT, PERIOD_MS};

#[cfg(test)]
mod tests;
