// SPDX-License-Identifier: Apache-2.0
//! The common configuration structure (virtio 1.2 §4.1.4.3): registers, and who may write them when.

use super::interrupt::Interrupts;
use crate::transport::negotiation::{DEVICE_NEEDS_RESET, Negotiation, StatusChange};
use crate::transport::queues::{QueueRegisters, is_size};

/// A register of `struct virtio_pci_common_cfg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    DeviceFeatureSelect,
    DeviceFeature,
    DriverFeatureSelect,
    DriverFeature,
    ConfigMsixVector,
    NumQueues,
    DeviceStatus,
    ConfigGeneration,
    QueueSelect,
    QueueSize,
    QueueMsixVector,
    QueueEnable,
    QueueNotifyOff,
    QueueDesc,
    QueueDriver,
    QueueDevice,
}

/// (offset, width, register). Registers of features that are not offered (notify data, queue reset) read as zero.
const FIELDS: [(u64, usize, Field); 16] = [
    (0x00, 4, Field::DeviceFeatureSelect),
    (0x04, 4, Field::DeviceFeature),
    (0x08, 4, Field::DriverFeatureSelect),
    (0x0c, 4, Field::DriverFeature),
    (0x10, 2, Field::ConfigMsixVector),
    (0x12, 2, Field::NumQueues),
    (0x14, 1, Field::DeviceStatus),
    (0x15, 1, Field::ConfigGeneration),
    (0x16, 2, Field::QueueSelect),
    (0x18, 2, Field::QueueSize),
    (0x1a, 2, Field::QueueMsixVector),
    (0x1c, 2, Field::QueueEnable),
    (0x1e, 2, Field::QueueNotifyOff),
    (0x20, 8, Field::QueueDesc),
    (0x28, 8, Field::QueueDriver),
    (0x30, 8, Field::QueueDevice),
];

/// The registers behind the structure.
pub struct Common {
    pub negotiation: Negotiation,
    pub device_feature_select: u32,
    pub driver_feature_select: u32,
    pub queue_select: u16,
    pub queues: Vec<QueueRegisters>,
    max_sizes: Vec<u16>,
}

impl Common {
    pub fn new(features: u64, max_sizes: &[u16]) -> Self {
        Self {
            negotiation: Negotiation::new(features),
            device_feature_select: 0,
            driver_feature_select: 0,
            queue_select: 0,
            queues: max_sizes.iter().map(|size| QueueRegisters::new(*size)).collect(),
            max_sizes: max_sizes.to_vec(),
        }
    }

    /// All registers as after a reset.
    pub fn reset(&mut self) {
        self.negotiation.reset();
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.queue_select = 0;
        self.queues = self.max_sizes.iter().map(|size| QueueRegisters::new(*size)).collect();
    }

    /// The largest size of a queue, 0 if there is none.
    pub fn max_size(&self, queue: usize) -> u16 {
        self.max_sizes.get(queue).copied().unwrap_or(0)
    }

    /// Reads any part of the structure.
    pub fn read(&self, offset: u64, data: &mut [u8], interrupts: &Interrupts) {
        data.fill(0);
        let end = offset.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        for (start, width, field) in FIELDS {
            let bytes = self.value(field, interrupts).to_le_bytes();
            for (at, byte) in (start..).zip(bytes.iter().take(width)) {
                if at >= offset && at < end {
                    let index = usize::try_from(at - offset).unwrap_or(usize::MAX);
                    data.get_mut(index).into_iter().for_each(|slot| *slot = *byte);
                }
            }
        }
    }

    /// Writes one register in its own width, or half of a 64-bit one. All else is refused.
    pub fn write(&mut self, offset: u64, data: &[u8], interrupts: &Interrupts) -> StatusChange {
        let found = FIELDS.into_iter().rfind(|(start, _, _)| *start <= offset);
        let Some((start, width, field)) = found else { return StatusChange::Refused };
        let within = offset - start;
        let whole = within == 0 && data.len() == width;
        let half = width == 8 && data.len() == 4 && matches!(within, 0 | 4);
        if !whole && !half {
            return StatusChange::Refused;
        }
        let value = data.iter().rev().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        if field == Field::DeviceStatus {
            return self.negotiation.write_status(value.to_le_bytes()[0]);
        }
        let mask = if half { 0xffff_ffff << (8 * within) } else { u64::MAX };
        if self.set(field, value << (8 * within), mask, interrupts) {
            StatusChange::Progress
        } else {
            StatusChange::Refused
        }
    }

    fn value(&self, field: Field, interrupts: &Interrupts) -> u64 {
        let queue = self.queues.get(usize::from(self.queue_select));
        match field {
            Field::DeviceFeatureSelect => self.device_feature_select.into(),
            Field::DeviceFeature => self.negotiation.offered_page(self.device_feature_select).into(),
            Field::DriverFeatureSelect => self.driver_feature_select.into(),
            Field::DriverFeature => self.negotiation.accepted_page(self.driver_feature_select).into(),
            Field::ConfigMsixVector => interrupts.config_vector().into(),
            Field::NumQueues => u64::try_from(self.queues.len()).unwrap_or_default(),
            Field::DeviceStatus => self.status(interrupts).into(),
            Field::ConfigGeneration => interrupts.generation().into(),
            Field::QueueSelect => self.queue_select.into(),
            Field::QueueSize => queue.map_or(0, |queue| queue.size.into()),
            Field::QueueMsixVector => interrupts.queue_vector(self.queue_select).into(),
            Field::QueueEnable => queue.map_or(0, |queue| queue.enabled.into()),
            Field::QueueNotifyOff => queue.map_or(0, |_| self.queue_select.into()),
            Field::QueueDesc => queue.map_or(0, |queue| queue.descriptors),
            Field::QueueDriver => queue.map_or(0, |queue| queue.available),
            Field::QueueDevice => queue.map_or(0, |queue| queue.used),
        }
    }

    fn status(&self, interrupts: &Interrupts) -> u8 {
        let device = if interrupts.is_reset_needed() { DEVICE_NEEDS_RESET } else { 0 };
        self.negotiation.status() | device
    }

    /// Sets the bits of `mask`; `false` when the register is read-only, or closed in this phase.
    fn set(&mut self, field: Field, value: u64, mask: u64, interrupts: &Interrupts) -> bool {
        let [word, dword] = [value & 0xffff, value & 0xffff_ffff];
        let word = u16::try_from(word).unwrap_or_default();
        let dword = u32::try_from(dword).unwrap_or_default();
        match field {
            Field::DeviceFeatureSelect => self.device_feature_select = dword,
            Field::DriverFeatureSelect => self.driver_feature_select = dword,
            Field::DriverFeature => return self.negotiation.accept_page(self.driver_feature_select, dword),
            Field::ConfigMsixVector => interrupts.set_config_vector(word),
            Field::QueueSelect => self.queue_select = word,
            Field::QueueMsixVector => interrupts.set_queue_vector(self.queue_select, word),
            Field::QueueSize
            | Field::QueueEnable
            | Field::QueueDesc
            | Field::QueueDriver
            | Field::QueueDevice => return self.set_queue(field, value, mask),
            Field::DeviceFeature
            | Field::NumQueues
            | Field::DeviceStatus
            | Field::ConfigGeneration
            | Field::QueueNotifyOff => return false,
        }
        true
    }

    fn set_queue(&mut self, field: Field, value: u64, mask: u64) -> bool {
        let index = usize::from(self.queue_select);
        let max_size = self.max_size(index);
        let open = self.negotiation.allows_queues();
        let Some(queue) = self.queues.get_mut(index).filter(|queue| open && !queue.enabled) else {
            return false;
        };
        let merge = |old: &mut u64| *old = *old & !mask | value & mask;
        match (field, u16::try_from(value)) {
            (Field::QueueSize, Ok(size)) if is_size(size, max_size) => queue.size = size,
            (Field::QueueEnable, Ok(1)) => queue.enabled = true,
            (Field::QueueDesc, _) => merge(&mut queue.descriptors),
            (Field::QueueDriver, _) => merge(&mut queue.available),
            (Field::QueueDevice, _) => merge(&mut queue.used),
            _ => return false,
        }
        true
    }
}
