// SPDX-License-Identifier: Apache-2.0
//! What a guest asks of its machine through a device. A device reports; the machine decides.

/// A request or report of the guest about the whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestSignal {
    /// The guest switched itself off (ACPI S5).
    PowerOff,
    /// The guest asked for a reset (i8042, port 0xCF9, ACPI reset register).
    Reset,
    /// The guest kernel reported a panic (pvpanic).
    Panic,
    /// The guest did not reset its watchdog in time.
    Watchdog,
}

/// Takes the guest's signals. Called on a vCPU thread, or on that of a device; must not block.
pub trait GuestSignals: Send + Sync {
    /// Reports one signal.
    fn signal(&self, signal: GuestSignal);
}
