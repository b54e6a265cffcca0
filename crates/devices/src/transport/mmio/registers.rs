// SPDX-License-Identifier: Apache-2.0
//! The registers (virtio 1.2 §4.2.2), and who may write them when.

use crate::transport::negotiation::{DEVICE_NEEDS_RESET, Negotiation, StatusChange};
use crate::transport::queues::{QueueRegisters, is_size};

use super::interrupt::Interrupt;

/// Bytes of the register page.
pub const PAGE_LEN: u64 = 0x1000;
/// Where the device configuration begins.
pub const CONFIG: u64 = 0x100;
/// The notify register: the doorbell of all queues.
pub const QUEUE_NOTIFY: u64 = 0x50;

const MAGIC: u32 = 0x7472_6976;
/// Modern registers.
const VERSION: u32 = 2;
/// `VIRTIO_SUBSYSTEM_VENDOR` of our own: "FLTL".
const VENDOR: u32 = 0x4c54_4c46;
/// Shared memory regions that are not there have this length and base (virtio 1.2 §4.2.2.1).
const NO_SHARED_MEMORY: u32 = u32::MAX;

const MAGIC_VALUE: u64 = 0x00;
const VERSION_REGISTER: u64 = 0x04;
const DEVICE_ID: u64 = 0x08;
const VENDOR_ID: u64 = 0x0c;
const DEVICE_FEATURES: u64 = 0x10;
const DEVICE_FEATURES_SEL: u64 = 0x14;
const DRIVER_FEATURES: u64 = 0x20;
const DRIVER_FEATURES_SEL: u64 = 0x24;
const QUEUE_SEL: u64 = 0x30;
const QUEUE_NUM_MAX: u64 = 0x34;
const QUEUE_NUM: u64 = 0x38;
const QUEUE_READY: u64 = 0x44;
const INTERRUPT_STATUS: u64 = 0x60;
const INTERRUPT_ACK: u64 = 0x64;
const STATUS: u64 = 0x70;
const QUEUE_DESC_LOW: u64 = 0x80;
const QUEUE_DESC_HIGH: u64 = 0x84;
const QUEUE_DRIVER_LOW: u64 = 0x90;
const QUEUE_DRIVER_HIGH: u64 = 0x94;
const QUEUE_DEVICE_LOW: u64 = 0xa0;
const QUEUE_DEVICE_HIGH: u64 = 0xa4;
const SHM_LEN_LOW: u64 = 0xb0;
const SHM_BASE_HIGH: u64 = 0xbc;
const CONFIG_GENERATION: u64 = 0xfc;

/// What a write means for the device behind the registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A write of the status field, and what came of it.
    Status(StatusChange),
    /// The doorbell of a queue.
    Notify(u32),
    /// Another register took the value.
    Taken,
    /// The write breaks the protocol and was ignored.
    Refused,
}

/// The registers of a device.
pub struct Registers {
    pub negotiation: Negotiation,
    pub device_feature_select: u32,
    pub driver_feature_select: u32,
    pub queue_select: u32,
    pub queues: Vec<QueueRegisters>,
    max_sizes: Vec<u16>,
    device_type: u32,
}

impl Registers {
    pub fn new(device_type: u32, features: u64, max_sizes: &[u16]) -> Self {
        Self {
            negotiation: Negotiation::new(features),
            device_feature_select: 0,
            driver_feature_select: 0,
            queue_select: 0,
            queues: max_sizes.iter().map(|size| QueueRegisters::new(*size)).collect(),
            max_sizes: max_sizes.to_vec(),
            device_type,
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

    /// Reads a register of 32 bits. Those that can only be written, and those that are not there, read as zero.
    pub fn read(&self, offset: u64, interrupt: &Interrupt) -> u32 {
        let queue = self.selected();
        match offset {
            MAGIC_VALUE => MAGIC,
            VERSION_REGISTER => VERSION,
            DEVICE_ID => self.device_type,
            VENDOR_ID => VENDOR,
            DEVICE_FEATURES => self.negotiation.offered_page(self.device_feature_select),
            QUEUE_NUM_MAX => queue.map_or(0, |index| self.max_size(index).into()),
            QUEUE_READY => {
                queue.and_then(|index| self.queues.get(index)).map_or(0, |queue| queue.enabled.into())
            }
            INTERRUPT_STATUS => interrupt.status(),
            STATUS => self.status(interrupt),
            SHM_LEN_LOW..=SHM_BASE_HIGH => NO_SHARED_MEMORY,
            CONFIG_GENERATION => interrupt.generation(),
            _ => 0,
        }
    }

    /// Writes a register of 32 bits.
    pub fn write(&mut self, offset: u64, value: u32, interrupt: &Interrupt) -> Written {
        match offset {
            DEVICE_FEATURES_SEL => self.device_feature_select = value,
            DRIVER_FEATURES_SEL => self.driver_feature_select = value,
            QUEUE_SEL => self.queue_select = value,
            QUEUE_NOTIFY => return Written::Notify(value),
            INTERRUPT_ACK => interrupt.acknowledge(value),
            STATUS => return self.write_status(value),
            DRIVER_FEATURES => return taken(self.negotiation.accept_page(self.driver_feature_select, value)),
            QUEUE_NUM..=QUEUE_DEVICE_HIGH => return taken(self.write_queue(offset, value)),
            _ => return Written::Refused,
        }
        Written::Taken
    }

    fn write_status(&mut self, value: u32) -> Written {
        match u8::try_from(value) {
            Ok(status) => Written::Status(self.negotiation.write_status(status)),
            Err(_) => Written::Refused,
        }
    }

    /// Queues are set up between `FEATURES_OK` and `DRIVER_OK`, each until it is ready.
    fn write_queue(&mut self, offset: u64, value: u32) -> bool {
        let Some(index) = self.selected().filter(|_| self.negotiation.allows_queues()) else { return false };
        let max_size = self.max_size(index);
        let Some(queue) = self.queues.get_mut(index).filter(|queue| !queue.enabled) else { return false };
        match (offset, u16::try_from(value)) {
            (QUEUE_NUM, Ok(size)) if is_size(size, max_size) => queue.size = size,
            (QUEUE_READY, Ok(1)) => queue.enabled = true,
            // Linux clears what is clear already before it sets a queue up.
            (QUEUE_READY, Ok(0)) => {}
            (QUEUE_DESC_LOW, _) => set_low(&mut queue.descriptors, value),
            (QUEUE_DESC_HIGH, _) => set_high(&mut queue.descriptors, value),
            (QUEUE_DRIVER_LOW, _) => set_low(&mut queue.available, value),
            (QUEUE_DRIVER_HIGH, _) => set_high(&mut queue.available, value),
            (QUEUE_DEVICE_LOW, _) => set_low(&mut queue.used, value),
            (QUEUE_DEVICE_HIGH, _) => set_high(&mut queue.used, value),
            _ => return false,
        }
        true
    }

    fn status(&self, interrupt: &Interrupt) -> u32 {
        let device = if interrupt.is_reset_needed() { DEVICE_NEEDS_RESET } else { 0 };
        u32::from(self.negotiation.status() | device)
    }

    fn selected(&self) -> Option<usize> {
        usize::try_from(self.queue_select).ok().filter(|index| *index < self.queues.len())
    }
}

/// The doorbell of a queue, when the page is at `base`: the value written to the one notify register.
pub fn doorbell(base: u64, queue: usize) -> (u64, Option<u32>) {
    (base.saturating_add(QUEUE_NOTIFY), Some(u32::try_from(queue).unwrap_or(u32::MAX)))
}

fn taken(done: bool) -> Written {
    if done { Written::Taken } else { Written::Refused }
}

fn set_low(address: &mut u64, value: u32) {
    *address = *address & !0xffff_ffff | u64::from(value);
}

fn set_high(address: &mut u64, value: u32) {
    *address = *address & 0xffff_ffff | u64::from(value) << 32;
}
