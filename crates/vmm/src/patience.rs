// SPDX-License-Identifier: Apache-2.0
//! How long a machine waits for its own threads.
//!
//! A thread can hang in a device: its disk is on a server that went away, or we have a bug. Nobody can end a thread
//! from outside, so every wait for one has a limit, and what is stuck at the end is left behind with all that it holds.
//! A worker process ends then and takes it along; in a process with other things to do it lies there until it wakes up.

use std::time::Duration;

/// Limits of waiting.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a vCPU to come out of the guest and its devices, at the end for the devices to finish, and for the answer to
    /// a request that waits for neither.
    pub step: Duration,
    /// For the answer to a request that waits for vCPUs and devices, and for devices to finish when the guest switches
    /// itself off.
    pub answer: Duration,
    /// For the answer to a request that reads the kernel, which may be on a slow disk.
    pub load: Duration,
}

impl Patience {
    /// For the whole end of a machine, before it is given up with all its threads.
    pub fn end(&self) -> Duration {
        self.step * 3
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            step: Duration::from_secs(5),
            // Less than the 30 seconds that a client waits for an answer.
            answer: Duration::from_secs(20),
            load: Duration::from_mins(2),
        }
    }
}
