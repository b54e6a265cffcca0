// SPDX-License-Identifier: Apache-2.0
//! A virtio device is a [`Model`], which says what is its own, in a [`Device`], which does what all have in common.

use std::sync::Arc;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::threads::DeviceThreads;
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use virtio_queue::QueueState;

use super::common::VirtioCommon;
use super::queue::DeviceQueue;
use super::worker::{Service, Sources};

/// What makes a device the one it is.
pub trait Model: Send + Sync {
    /// What its I/O threads do.
    type Service: Service;

    /// The device type of virtio 1.2 §5 (2 is a block device).
    const DEVICE_TYPE: u32;

    /// Whether a vCPU with a doorbell waits until the I/O thread has ended what it is at, instead of leaving it that.
    const DOORBELLS_WAIT: bool = false;

    /// The configuration space. What the driver reads past its end is zero, what it writes is ignored.
    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes a write of the driver to the configuration space.
    fn write_config(&self, _offset: u64, _data: &[u8]) {}

    /// Whether a vCPU that rings a doorbell asks [`Service::doorbell_of_vcpu`] first.
    fn takes_doorbells(&self) -> bool {
        false
    }

    /// Starts an I/O thread, or several, by [`VirtioCommon::start`].
    fn activate(
        &self,
        common: &VirtioCommon<Self::Service>,
        activation: Activation,
    ) -> Result<(), ActivateError>;

    /// The I/O threads have ended: takes back what they held, and forgets what the driver had agreed to.
    fn stopped(&self, _services: Vec<Self::Service>) {}

    /// The saved form of a device that offers `features`. The transport saves the queues.
    fn save(&self, features: u64) -> Result<DeviceState, StateError>;

    /// Whether a device that offers `features` can go on from a saved form, which is untrusted.
    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError>;

    /// Takes over what is its own in a saved form that passed [`Model::check`].
    fn restore(&self, _features: u64, _state: &DeviceState) -> Result<(), StateError> {
        Ok(())
    }

    /// Current values of its own counters.
    fn metrics(&self) -> Vec<(&'static str, u64)>;
}

/// The queue of a device that has no other, and what its thread waits for.
pub(super) fn only_queue(activation: Activation) -> Result<(DeviceQueue, Sources<'static>), ActivateError> {
    const INDEX: u16 = 0;
    let Activation { memory, features, queues, interrupt } = activation;
    let missing = ActivateError::QueueMissing { index: INDEX };
    let active = queues.into_iter().next().flatten().ok_or(missing)?;
    let doorbells = vec![(INDEX, Arc::clone(&active.doorbell))];
    let queue = DeviceQueue::new(INDEX, active, memory, features, interrupt);
    Ok((queue, Sources { doorbells, descriptors: Vec::new() }))
}

/// A virtio device.
pub struct Device<M: Model> {
    common: VirtioCommon<M::Service>,
    model: M,
}

impl<M: Model> Device<M> {
    /// What is its own.
    pub(super) fn model(&self) -> &M {
        &self.model
    }

    /// What it has in common with all others.
    pub(super) fn common(&self) -> &VirtioCommon<M::Service> {
        &self.common
    }

    pub(super) fn with(common: VirtioCommon<M::Service>, model: M) -> Self {
        Self { common, model }
    }

    /// The same, before the device is in use.
    pub(super) fn model_mut(&mut self) -> &mut M {
        &mut self.model
    }

    /// This device, with its I/O threads watched by `threads`.
    #[must_use]
    pub fn watched_by(mut self, threads: Arc<dyn DeviceThreads>) -> Self {
        self.common.watch(threads);
        self
    }

    fn stop(&self) {
        // Also after an activation that failed half-way: what it agreed to must not outlive it.
        self.model.stopped(self.common.deactivate());
    }
}

impl<M: Model> VirtioDevice for Device<M> {
    fn device_type(&self) -> u32 {
        M::DEVICE_TYPE
    }

    fn device_features(&self) -> u64 {
        self.common.features()
    }

    fn queue_max_sizes(&self) -> &[u16] {
        self.common.queue_max_sizes()
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let space = self.model.config();
        let rest = usize::try_from(offset).ok().and_then(|offset| space.get(offset..)).unwrap_or_default();
        data.fill(0);
        for (place, byte) in data.iter_mut().zip(rest) {
            *place = *byte;
        }
    }

    fn write_config(&self, offset: u64, data: &[u8]) {
        self.model.write_config(offset, data);
    }

    fn takes_doorbells(&self) -> bool {
        self.model.takes_doorbells()
    }

    fn doorbell(&self, queue: u16) -> bool {
        self.model.takes_doorbells() && self.common.doorbell_of_vcpu(queue, M::DOORBELLS_WAIT)
    }

    fn activate(&self, activation: Activation) -> Result<(), ActivateError> {
        self.model.activate(&self.common, activation)
    }

    fn deactivate(&self) {
        self.stop();
    }

    fn queues(&self) -> Vec<Option<QueueState>> {
        self.common.queues()
    }
}

impl<M: Model> Lifecycle for Device<M> {
    fn name(&self) -> &str {
        self.common.name()
    }

    fn pause(&self) {
        self.common.pause();
    }

    fn resume(&self) {
        self.common.resume();
    }

    fn reset(&self) {
        self.stop();
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        self.model.save(self.common.features())
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        self.model.check(self.common.features(), state)?;
        self.model.restore(self.common.features(), state)
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let mut values = self.model.metrics();
        values.push(("notifications", self.common.notifications()));
        values
    }
}
