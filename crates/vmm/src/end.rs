// SPDX-License-Identifier: Apache-2.0
//! The end of a machine's threads. One that hangs is left behind and named: nobody can end it from outside.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use flotilla_device_model::threads::named;

use crate::inbox::Origin;
use crate::parts::Parts;
use crate::vcpu::control::Order;

/// The vCPUs and devices that did not end in time; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind(pub Vec<Origin>);

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stuck) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{stuck}")?;
        }
        let verb = if self.0.len() > 1 { "are" } else { "is" };
        write!(f, " did not end and {verb} left behind")
    }
}

impl Parts {
    /// Ends vCPU threads, for all of which it waits up to one step, then device threads, for which it waits up to
    /// `drain`: with a drain of one step, what hangs is known before [`Patience::end`](crate::Patience::end). The
    /// counters can still be read afterwards.
    pub fn end(&mut self, drain: Duration) -> Result<(), LeftBehind> {
        let mut stuck = self.end_vcpus();
        stuck.extend(self.end_devices(drain).err());
        self.console.close();
        self.consoles.values().for_each(|console| console.close());
        if stuck.is_empty() { Ok(()) } else { Err(LeftBehind(stuck)) }
    }

    /// Ends the vCPUs' threads and tells which of them hang.
    fn end_vcpus(&mut self) -> Vec<Origin> {
        self.vcpus.iter().for_each(|vcpu| vcpu.command(Order::Stop));
        // All were told at once, so they have the same time; however many hang, the end comes no later.
        let deadline = Instant::now() + self.patience.step;
        let mut stuck = Vec::new();
        for (cpu, vcpu) in (0..).zip(&mut self.vcpus) {
            if vcpu.join(deadline.saturating_duration_since(Instant::now())).is_err() {
                stuck.push(Origin::Vcpu(cpu));
            }
        }
        stuck
    }

    /// Ends the devices' threads and lets go of the buses they hold and are held by. On a thread of its own: a device
    /// may hang. The error is that device.
    fn end_devices(&mut self, limit: Duration) -> Result<(), Origin> {
        let devices = self.devices.clone();
        let running = std::mem::take(&mut self.running);
        // Named before it is told: the last name that comes is that of the device that hangs.
        let mut last = devices.first().map(|device| device.name().to_owned()).unwrap_or_default();
        let (sender, ended) = mpsc::channel();
        let end = move || {
            for device in devices.iter().filter(|_| running) {
                let _ = sender.send(device.name().to_owned());
                device.pause();
            }
            for device in devices {
                let _ = sender.send(device.name().to_owned());
                device.reset();
            }
        };
        let _ = named("machine-end").spawn(end);
        let deadline = Instant::now() + limit;
        loop {
            match ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(name) => last = name,
                // Also if there is no thread: the devices end when they are dropped.
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => return Err(Origin::Device(last)),
            }
        }
    }
}
