// SPDX-License-Identifier: Apache-2.0
//! What callers send to the driver thread, and what they get back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use flotilla_devices::virtio::balloon::device::Balloon;
use flotilla_spec::{LimitsSpec, ThrottleTarget};

use crate::error::MachineError;
use crate::snapshot::Snapshot;
use crate::state::Verb;

/// A request with the way back to its caller.
pub struct Command {
    /// What is asked for.
    pub request: Request,
    /// Takes exactly one answer; a caller that went away is no error.
    pub reply: SyncSender<Result<Answer, MachineError>>,
}

/// What is asked for.
pub enum Request {
    /// A change without data.
    Do(Verb),
    /// Take over saved state.
    Restore(Box<Snapshot>),
    /// Plug the cable of an interface in, or pull it out.
    SetLink {
        /// The id of the interface.
        interface: String,
        /// Whether it shall be plugged in.
        up: bool,
    },
    /// Have the guest announce itself through the interface with this id.
    Announce(String),
    /// Change what something may do.
    SetThrottle {
        /// Whose limits.
        target: ThrottleTarget,
        /// All of them.
        limits: LimitsSpec,
    },
    /// Set the bytes that the guest shall give up.
    SetBalloon(u64),
    /// Hand the balloon out.
    Balloon,
    /// Read the counters. Allowed in every state.
    Metrics,
    /// Look how large a disk is now.
    RefreshDisk {
        /// The id of the disk.
        disk: String,
        /// Make it so large before.
        size: Option<u64>,
    },
}

/// What a request gives.
pub enum Answer {
    /// It is done.
    Done,
    /// The state of the machine.
    Saved(Box<Snapshot>),
    /// Counters by name.
    Metrics(BTreeMap<String, u64>),
    /// The size of a disk in bytes.
    DiskSize(u64),
    /// The balloon.
    Balloon {
        /// The device.
        device: Arc<Balloon>,
        /// Whether the guest runs and can answer.
        running: bool,
    },
}
