// SPDX-License-Identifier: Apache-2.0
//! How a machine is built and run.

use std::sync::Arc;

use crate::console::Console;
use crate::events::MachineEvents;
use crate::patience::Patience;
use crate::threads::ThreadHook;

/// What a machine needs beside its specification and files.
pub struct MachineOptions {
    /// Takes its events.
    pub events: Arc<dyn MachineEvents>,
    /// Its console.
    pub console: Arc<Console>,
    /// Boot an operating system even where KVM has no hardware support. It will most likely not get far.
    pub allow_software_kvm: bool,
    /// Confines each thread that acts for the guest, as its first act. None in a process that is not all ours.
    pub on_thread_start: Option<ThreadHook>,
    /// How long to wait for its threads.
    pub patience: Patience,
}

impl MachineOptions {
    /// The usual options.
    pub fn new(events: Arc<dyn MachineEvents>, console: Arc<Console>) -> Self {
        Self {
            events,
            console,
            allow_software_kvm: false,
            on_thread_start: None,
            patience: Patience::default(),
        }
    }
}
