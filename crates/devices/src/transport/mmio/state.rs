// SPDX-License-Identifier: Apache-2.0
//! The saved form of the transport, with the device's own inside.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};
use virtio_queue::QueueState;

use super::interrupt::Interrupt;
use super::registers::Registers;
use crate::transport::queues::{NO_VECTOR, QueueRegisters, is_size};

pub const KIND: &str = "virtio-mmio";
pub const VERSION: u32 = 1;

/// All of a virtio-mmio device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MmioState {
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
    pub queue_select: u32,
    /// Interrupt status.
    pub interrupt_status: u32,
    /// Configuration generation.
    pub generation: u32,
    /// The queues, with their positions.
    pub queues: Vec<QueueRegisters>,
    /// The state of the device.
    pub device: DeviceState,
}

fn impossible(field: &'static str) -> StateError {
    StateError::Impossible { kind: KIND, field }
}

impl MmioState {
    /// The registers as they stand, paused, with the saved device and the positions of its queues while it is active.
    pub(super) fn of(
        registers: &Registers,
        interrupt: &Interrupt,
        positions: &[Option<QueueState>],
        device: DeviceState,
    ) -> Self {
        let mut queues = registers.queues.clone();
        for (queue, position) in queues.iter_mut().zip(positions) {
            if let Some(position) = position {
                queue.next_available = position.next_avail;
                queue.next_used = position.next_used;
            }
        }
        Self {
            status: registers.negotiation.status(),
            needs_reset: interrupt.is_reset_needed(),
            driver_features: registers.negotiation.accepted(),
            device_feature_select: registers.device_feature_select,
            driver_feature_select: registers.driver_feature_select,
            queue_select: registers.queue_select,
            interrupt_status: interrupt.status(),
            generation: interrupt.generation(),
            queues,
            device,
        }
    }

    /// Checks every field, changing nothing.
    pub(super) fn check(&self, registers: &Registers) -> Result<(), StateError> {
        if !registers.negotiation.clone().restore(self.status, self.driver_features) {
            return Err(impossible("status"));
        }
        let sound = |(index, queue): (usize, &QueueRegisters)| {
            is_size(queue.size, registers.max_size(index)) && queue.vector == NO_VECTOR
        };
        let count = self.queues.len() == registers.queues.len();
        if !count || !self.queues.iter().enumerate().all(sound) {
            return Err(impossible("queues"));
        }
        Ok(())
    }

    /// Puts a state that was checked into the registers.
    pub(super) fn apply(&self, registers: &mut Registers, interrupt: &Interrupt) {
        registers.negotiation.restore(self.status, self.driver_features);
        registers.device_feature_select = self.device_feature_select;
        registers.driver_feature_select = self.driver_feature_select;
        registers.queue_select = self.queue_select;
        registers.queues.clone_from(&self.queues);
        interrupt.restore(self.interrupt_status, self.generation, self.needs_reset);
    }
}
