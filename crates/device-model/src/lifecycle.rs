// SPDX-License-Identifier: Apache-2.0
//! The life of a device, and the order in which the machine calls it.
//!
//! ```text
//!            boot                 pause                   save
//!   built ────────▶ running ────────────────▶ paused ────────────▶ paused
//!                      ▲        resume          │ │
//!                      └────────────────────────┘ │ reset
//!                      ▲        resume            ▼
//!                      └──────────────────── paused, as after power-on
//! ```
//!
//! The machine keeps these rules, a device may rely on them:
//! - `pause` comes after every vCPU has acknowledged its stop; `resume` before the first one runs again.
//! - `save` and `restore` come only while paused. `restore` comes on a freshly built device, before the
//!   first `resume`.
//! - `reset` comes while paused and is followed by `resume`.
//! - A restored device that had been working works again from the first `resume` on, not before: it neither
//!   touches guest memory nor raises message-signalled interrupts during `restore`. Wired lines are driven at once.
//! - Calls for one device never overlap. They come from the thread that drives the machine, never from a vCPU.

use crate::state::{DeviceState, StateError};

/// What every device offers the machine that holds it.
pub trait Lifecycle: Send + Sync {
    /// A name that is unique in the machine and stable from start to start (`serial0`, `disk:root`).
    fn name(&self) -> &str;

    /// Stops starting new work and returns when nothing is in flight. Must not wait for the guest.
    /// A paused device still accepts register accesses and doorbells; it acts on them after `resume`.
    fn pause(&self) {}

    /// Starts to work again, first on what was queued meanwhile.
    fn resume(&self) {}

    /// Returns to the state after power-on: work dropped, interrupts lowered, registers at their defaults.
    fn reset(&self);

    /// The state of the device as plain data.
    fn save(&self) -> Result<DeviceState, StateError>;

    /// Takes over a saved state. The state is untrusted: each field is checked before any is used, and
    /// after an error the device is as it was.
    fn restore(&self, state: &DeviceState) -> Result<(), StateError>;

    /// Current values of the device's counters as (name, value), for the machine's metrics.
    fn metrics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
