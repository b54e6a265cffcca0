// SPDX-License-Identifier: Apache-2.0
//! What both kinds of machine can do.

use std::collections::BTreeMap;

use flotilla_control::Failure;
use flotilla_host::run::RunDirectory;
use flotilla_spec::{LimitsSpec, LinkState, ThrottleTarget};
use serde_json::Value;

/// What a machine is told without arguments and answers without data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start the guest.
    Boot,
    /// Stop the virtual CPUs.
    Pause,
    /// Let them go on.
    Resume,
    /// Press the power button.
    PowerButton,
    /// Reset the machine.
    Reset,
}

/// A machine, wherever it runs. Every method may block.
pub trait Backend: Send + Sync {
    /// The process that runs it.
    fn pid(&self) -> u32;
    /// Its run directory.
    fn directory(&self) -> &RunDirectory;
    /// Does what the verb says.
    fn perform(&self, verb: Verb) -> Result<(), Failure>;
    /// Plugs the cable of an interface in, or pulls it out.
    fn set_link(&self, interface: &str, link: LinkState) -> Result<(), Failure>;
    /// Has the guest tell the network of an interface where it is.
    fn announce(&self, interface: &str) -> Result<(), Failure>;
    /// Changes what a device, or a group of them, may do.
    fn set_throttle(&self, target: ThrottleTarget, limits: LimitsSpec) -> Result<(), Failure>;
    /// Sets the bytes that the guest shall give up.
    fn set_balloon(&self, target: u64) -> Result<(), Failure>;
    /// The balloon and how the guest is off for memory, as `BalloonReport`.
    fn balloon(&self) -> Result<Value, Failure>;
    /// Asks the guest for all that nothing in it uses, for the host to have back; what it gave, as `ReclaimReport`.
    fn reclaim_memory(&self) -> Result<Value, Failure>;
    /// State and identity, as `MachineInfo`.
    fn info(&self) -> Result<Value, Failure>;
    /// Metrics by name, with what the process uses.
    fn metrics(&self) -> Result<BTreeMap<String, u64>, Failure>;
    /// Looks how large the disk of this id is now, and tells the guest. The size in bytes.
    fn refresh_disk(&self, disk: &str) -> Result<u64, Failure>;
    /// Makes the disk of this id larger, and tells the guest. The size in bytes.
    fn grow_disk(&self, disk: &str, size: u64) -> Result<u64, Failure>;
    /// Ends the machine and what runs it; the run directory stays. Idempotent.
    fn end(&self) -> Result<(), Failure>;
    /// As [`Backend::end`], and removes the run directory. Idempotent.
    fn kill(&self) -> Result<(), Failure>;
    /// Lets go of the machine, with every thread and descriptor held for it here. Idempotent.
    fn close(&self) -> Result<(), Failure>;
}
