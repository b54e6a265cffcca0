// SPDX-License-Identifier: Apache-2.0
//! The saved form of the transport, with the device's own inside.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};
use virtio_queue::QueueState;

use super::common::Common;
use super::interrupt::Interrupts;
use super::layout::{BAR_SIZE, MSIX_CONTROL};
use super::registers::{Function, Transport};
use crate::pci::config::{COMMAND, COMMAND_MEMORY};
use crate::pci::msix::MsixState;
use crate::transport::negotiation::DRIVER_OK;
use crate::transport::queues::{NO_VECTOR, QueueRegisters, is_size};

pub const KIND: &str = "virtio-pci";
pub const VERSION: u32 = 1;

/// All of a virtio-pci function.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciState {
    /// Configuration space, 256 bytes.
    pub config: Vec<u8>,
    /// Where the BAR answers, if it does.
    pub mapped_at: Option<u64>,
    /// Table and pending bits. Message control is in `config` as well, and must agree.
    pub msix: MsixState,
    /// The driver's bits of the status field.
    pub status: u8,
    /// Whether the device asked for a reset.
    pub needs_reset: bool,
    /// The features the driver wrote.
    pub driver_features: u64,
    /// Selector register.
    pub device_feature_select: u32,
    /// Selector register.
    pub driver_feature_select: u32,
    /// Selector register.
    pub queue_select: u16,
    /// Vector for configuration changes.
    pub config_vector: u16,
    /// ISR status.
    pub isr: u8,
    /// Configuration generation.
    pub generation: u8,
    /// The queues, with their positions.
    pub queues: Vec<QueueRegisters>,
    /// The state of the device.
    pub device: DeviceState,
}

/// A field no driver could have brought about.
pub fn impossible(field: &'static str) -> StateError {
    StateError::Impossible { kind: KIND, field }
}

impl PciState {
    /// The function as it stands, paused, with the saved device and the positions of its queues while it is active.
    pub(super) fn of(
        transport: &Transport,
        function: &Function,
        interrupts: &Interrupts,
        positions: &[Option<QueueState>],
        device: DeviceState,
    ) -> Self {
        let mut queues = transport.common.queues.clone();
        for (queue, position) in queues.iter_mut().zip(positions) {
            if let Some(position) = position {
                queue.next_available = position.next_avail;
                queue.next_used = position.next_used;
            }
        }
        for (index, queue) in queues.iter_mut().enumerate() {
            queue.vector = interrupts.queue_vector(u16::try_from(index).unwrap_or(NO_VECTOR));
        }
        let common = &transport.common;
        Self {
            config: function.space.save(),
            mapped_at: function.bar.in_force(),
            msix: interrupts.msix().save(),
            status: common.negotiation.status(),
            needs_reset: interrupts.is_reset_needed(),
            driver_features: common.negotiation.accepted(),
            device_feature_select: common.device_feature_select,
            driver_feature_select: common.driver_feature_select,
            queue_select: common.queue_select,
            config_vector: interrupts.config_vector(),
            isr: interrupts.isr(),
            generation: interrupts.generation(),
            queues,
            device,
        }
    }

    /// Checks every field that can be checked without changing anything.
    pub(super) fn check(
        &self,
        function: &Function,
        common: &Common,
        interrupts: &Interrupts,
    ) -> Result<(), StateError> {
        let mut space = function.space.clone();
        if !space.accepts(&self.config) {
            return Err(impossible("config"));
        }
        space.restore(&self.config);
        let mapped = self.mapped_at;
        let decodes = space.word(COMMAND) & COMMAND_MEMORY != 0;
        if mapped.is_some_and(|at| !decodes || !at.is_multiple_of(BAR_SIZE)) {
            return Err(impossible("mapped_at"));
        }
        let msix = interrupts.msix();
        let control = msix.control_of(&self.msix);
        if !msix.accepts(&self.msix) || space.word(MSIX_CONTROL) != control {
            return Err(impossible("msix"));
        }
        drop(msix);
        if !common.negotiation.clone().restore(self.status, self.driver_features) {
            return Err(impossible("status"));
        }
        let sizes = self.queues.iter().enumerate();
        let sound = |(index, queue): (usize, &QueueRegisters)| {
            is_size(queue.size, common.max_size(index)) && interrupts.is_vector(queue.vector)
        };
        if self.queues.len() != common.queues.len() || !sizes.into_iter().all(sound) {
            return Err(impossible("queues"));
        }
        if !interrupts.is_vector(self.config_vector) {
            return Err(impossible("config_vector"));
        }
        Ok(())
    }

    /// Puts a state that was checked into the registers.
    pub(super) fn apply(&self, function: &mut Function, transport: &mut Transport, interrupts: &Interrupts) {
        function.space.restore(&self.config);
        let common = &mut transport.common;
        common.negotiation.restore(self.status, self.driver_features);
        common.device_feature_select = self.device_feature_select;
        common.driver_feature_select = self.driver_feature_select;
        common.queue_select = self.queue_select;
        common.queues.clone_from(&self.queues);
        for (index, queue) in (0..).zip(&self.queues) {
            interrupts.set_queue_vector(index, queue.vector);
        }
        interrupts.set_config_vector(self.config_vector);
        interrupts.restore(self.isr, self.generation, self.needs_reset);
        interrupts.msix().restore(&self.msix);
        transport.activate_on_resume = self.status & DRIVER_OK != 0 && !self.needs_reset;
    }
}
