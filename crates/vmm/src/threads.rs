// SPDX-License-Identifier: Apache-2.0
//! What the threads of a machine that carry out the guest's wishes do first, and how those of devices end.

use std::io;
use std::sync::Arc;

use flotilla_device_model::threads::{DeviceThreads, ThreadFault};

use rustix::thread::CpuSet;

use crate::affinity;
use crate::error::describe;
use crate::inbox::{CrashReport, Inbox, Origin};
use crate::vcpu::exits::Crash;

/// What a thread does for its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadRole {
    /// Runs a vCPU, handles its exits and starts the I/O threads of devices.
    Vcpu,
    /// Serves the queues of a device. Started by a vCPU thread or, after a restore, by the driver.
    Io,
}

/// Called first on each such thread, to confine it. An error ends the machine.
pub type ThreadHook = Arc<dyn Fn(ThreadRole) -> io::Result<()> + Send + Sync>;

/// Begins a thread of this role on these CPUs; once it is confined it cannot go to others.
pub fn begin(hook: Option<&ThreadHook>, role: ThreadRole, cpus: Option<&CpuSet>) -> io::Result<()> {
    affinity::enter(cpus)?;
    hook.map_or(Ok(()), |hook| hook(role))
}

/// Watches the I/O threads of devices for their machine.
pub struct IoThreads {
    /// What they do first.
    pub hook: Option<ThreadHook>,
    /// Where they run.
    pub cpus: Option<CpuSet>,
    /// Where their faults go.
    pub inbox: Arc<Inbox>,
}

impl DeviceThreads for IoThreads {
    fn begin(&self) -> io::Result<()> {
        begin(self.hook.as_ref(), ThreadRole::Io, self.cpus.as_ref())
    }

    fn failed(&self, device: &str, fault: ThreadFault) {
        let crash = match fault {
            ThreadFault::Panicked(text) => Crash::Panicked(text),
            ThreadFault::Failed(error) => Crash::ThreadLost(describe(&error)),
        };
        let origin = Origin::Device(device.to_owned());
        self.inbox.report_crash(CrashReport { origin, crash, registers: None });
    }
}
