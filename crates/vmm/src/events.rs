// SPDX-License-Identifier: Apache-2.0
//! What a machine tells its owner.

use flotilla_spec::report::MachineEvent;

/// Takes events. Called on the thread that drives the machine: it must not block, and may not wait for the machine.
pub trait MachineEvents: Send + Sync {
    /// Takes one event.
    fn event(&self, event: MachineEvent);
}

/// Takes no notice of any event.
pub struct IgnoreEvents;

impl MachineEvents for IgnoreEvents {
    fn event(&self, _event: MachineEvent) {}
}
