// SPDX-License-Identifier: Apache-2.0
//! The saved form of the transport, with the device's own inside.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::common::Common;
use super::device::{Function, Transport, VirtioPci};
use super::layout::{BAR_SIZE, MSIX_CONTROL};
use super::negotiation::DRIVER_OK;
use super::queues::{NO_VECTOR, QueueRegisters, is_size};
use crate::pci::config::{COMMAND, COMMAND_MEMORY};
use crate::pci::msix::MsixState;

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

impl VirtioPci {
    /// The function as it stands. Call while paused.
    pub(super) fn state(&self) -> Result<PciState, StateError> {
        let device = self.device.save()?;
        let transport = self.transport();
        let mut queues = transport.common.queues.clone();
        let positions = if transport.active { self.device.queues() } else { Vec::new() };
        for (queue, position) in queues.iter_mut().zip(positions) {
            if let Some(position) = position {
                queue.next_available = position.next_avail;
                queue.next_used = position.next_used;
            }
        }
        for (index, queue) in queues.iter_mut().enumerate() {
            queue.vector = self.interrupts.queue_vector(u16::try_from(index).unwrap_or(NO_VECTOR));
        }
        let common = &transport.common;
        let function = self.function();
        Ok(PciState {
            config: function.space.save(),
            mapped_at: function.bar.in_force(),
            msix: self.interrupts.msix().save(),
            status: common.negotiation.status(),
            needs_reset: self.interrupts.is_reset_needed(),
            driver_features: common.negotiation.accepted(),
            device_feature_select: common.device_feature_select,
            driver_feature_select: common.driver_feature_select,
            queue_select: common.queue_select,
            config_vector: self.interrupts.config_vector(),
            isr: self.interrupts.isr(),
            generation: self.interrupts.generation(),
            queues,
            device,
        })
    }

    /// Checks every field that can be checked without changing anything.
    pub(super) fn check(
        &self,
        state: &PciState,
        function: &Function,
        common: &Common,
    ) -> Result<(), StateError> {
        let mut space = function.space.clone();
        if !space.accepts(&state.config) {
            return Err(impossible("config"));
        }
        space.restore(&state.config);
        let mapped = state.mapped_at;
        let decodes = space.word(COMMAND) & COMMAND_MEMORY != 0;
        if mapped.is_some_and(|at| !decodes || !at.is_multiple_of(BAR_SIZE)) {
            return Err(impossible("mapped_at"));
        }
        let msix = self.interrupts.msix();
        let control = msix.control_of(&state.msix);
        if !msix.accepts(&state.msix) || space.word(MSIX_CONTROL) != control {
            return Err(impossible("msix"));
        }
        drop(msix);
        if !common.negotiation.clone().restore(state.status, state.driver_features) {
            return Err(impossible("status"));
        }
        let sizes = state.queues.iter().enumerate();
        let sound = |(index, queue): (usize, &QueueRegisters)| {
            is_size(queue.size, common.max_size(index)) && self.interrupts.is_vector(queue.vector)
        };
        if state.queues.len() != common.queues.len() || !sizes.into_iter().all(sound) {
            return Err(impossible("queues"));
        }
        if !self.interrupts.is_vector(state.config_vector) {
            return Err(impossible("config_vector"));
        }
        Ok(())
    }

    /// Takes over a state that was checked.
    pub(super) fn apply(&self, state: &PciState, function: &mut Function, transport: &mut Transport) {
        function.space.restore(&state.config);
        let common = &mut transport.common;
        common.negotiation.restore(state.status, state.driver_features);
        common.device_feature_select = state.device_feature_select;
        common.driver_feature_select = state.driver_feature_select;
        common.queue_select = state.queue_select;
        common.queues.clone_from(&state.queues);
        for (index, queue) in (0..).zip(&state.queues) {
            self.interrupts.set_queue_vector(index, queue.vector);
        }
        self.interrupts.set_config_vector(state.config_vector);
        self.interrupts.restore(state.isr, state.generation, state.needs_reset);
        self.interrupts.msix().restore(&state.msix);
        transport.activate_on_resume = state.status & DRIVER_OK != 0 && !state.needs_reset;
    }
}
