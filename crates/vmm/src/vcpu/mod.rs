// SPDX-License-Identifier: Apache-2.0
//! vCPU threads: [`thread`] runs a vCPU, [`exits`] answers its exits, [`counters`]
//! counts them, [`control`] is how the driver commands it.

pub mod control;
pub mod counters;
pub mod exits;
pub mod thread;

use std::cell::Cell;

thread_local! {
    /// The vCPU whose thread this is. A device is not told who accesses it: hardware seldom knows either.
    static CURRENT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Makes this thread that of the vCPU with this number.
pub fn become_vcpu(index: u32) {
    CURRENT.set(Some(index));
}

/// The number of the vCPU whose exit this thread answers, if it is one of theirs.
pub fn current_vcpu() -> Option<u32> {
    CURRENT.get()
}
