// SPDX-License-Identifier: Apache-2.0
//! What the disk is.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::block::{BlockBackend, BlockQueue};
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};

use super::config::{self, VIRTIO_BLK_F_RO};
use super::metrics::BlockMetrics;
use super::queue::{BlockService, Setting};
use super::request::{Geometry, ID_LEN};
use super::state::BlockState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.2.
const VIRTIO_ID_BLOCK: u32 = 2;
/// Index of the only queue (virtio 1.2 §5.2.2).
const REQUESTQ: u16 = 0;
const QUEUE_MAX_SIZE: u16 = 256;

const VIRTIO_BLK_F_SEG_MAX: u64 = 1 << 2;
const VIRTIO_BLK_F_BLK_SIZE: u64 = 1 << 6;
const VIRTIO_BLK_F_FLUSH: u64 = 1 << 9;
const VIRTIO_BLK_F_TOPOLOGY: u64 = 1 << 10;

/// Token of the back-end's completion event.
const COMPLETIONS: u32 = 0;

/// A disk.
///
/// ```
/// use std::sync::Arc;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::block::device::Block;
/// use flotilla_testing::disk::FakeDisk;
///
/// let backend = Arc::new(FakeDisk::new(vec![0; 4096], false));
/// let disk = Block::new("disk:root", backend, "root")?;
/// let mut capacity = [0; 8];
/// disk.read_config(0, &mut capacity);
/// assert_eq!(u64::from_le_bytes(capacity), 8);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Block = Device<Disk>;

/// What is particular about it.
pub struct Disk {
    backend: Arc<dyn BlockBackend>,
    /// The back-end's queue between activations. Opened before the machine runs, when the host's resources are
    /// within reach: an activation comes from a vCPU thread, which may be locked in.
    idle: Mutex<Option<Box<dyn BlockQueue>>>,
    size: u64,
    serial: [u8; ID_LEN],
    metrics: Arc<BlockMetrics>,
}

impl Block {
    /// A disk on `backend`. The driver is told the first 20 bytes of `serial`; it is zero-padded if shorter.
    pub fn new(name: impl Into<String>, backend: Arc<dyn BlockBackend>, serial: &str) -> io::Result<Self> {
        let read_only = if backend.read_only() { VIRTIO_BLK_F_RO } else { 0 };
        let features = RING_FEATURES
            | VIRTIO_BLK_F_SEG_MAX
            | VIRTIO_BLK_F_BLK_SIZE
            | VIRTIO_BLK_F_FLUSH
            | VIRTIO_BLK_F_TOPOLOGY
            | read_only;
        let mut padded = [0; ID_LEN];
        for (place, byte) in padded.iter_mut().zip(serial.bytes()) {
            *place = byte;
        }
        let disk = Disk {
            idle: Mutex::new(Some(backend.open_queue(QUEUE_MAX_SIZE)?)),
            size: backend.size(),
            backend,
            serial: padded,
            metrics: Arc::new(BlockMetrics::default()),
        };
        Ok(Self::with(VirtioCommon::new(name, features, vec![QUEUE_MAX_SIZE]), disk))
    }
}

impl Disk {
    fn take_idle(&self) -> io::Result<Box<dyn BlockQueue>> {
        match self.idle.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(queue) => Ok(queue),
            None => self.backend.open_queue(QUEUE_MAX_SIZE),
        }
    }

    fn state(&self, features: u64) -> BlockState {
        BlockState { features, size: self.size }
    }
}

impl Model for Disk {
    type Service = BlockService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_BLOCK;

    fn config(&self) -> Vec<u8> {
        config::space(self.size).to_vec()
    }

    fn activate(
        &self,
        common: &VirtioCommon<BlockService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let active =
            queues.into_iter().next().flatten().ok_or(ActivateError::QueueMissing { index: REQUESTQ })?;
        let doorbell = Arc::clone(&active.doorbell);
        let queue = DeviceQueue::new(REQUESTQ, active, memory, features, interrupt);
        let setting = Setting {
            geometry: Geometry { size: self.size, read_only: self.backend.read_only() },
            serial: self.serial,
            write_through: features & VIRTIO_BLK_F_FLUSH == 0,
            metrics: Arc::clone(&self.metrics),
        };
        let disk = self.take_idle()?;
        let event = disk.completion_event().map(|event| event.try_clone_to_owned()).transpose()?;
        let descriptors = event.iter().map(|event| (COMPLETIONS, event.as_fd())).collect();
        let sources = Sources { doorbells: vec![(REQUESTQ, doorbell)], descriptors };
        common.start("virtio-block", BlockService::new(queue, disk, setting), sources)?;
        Ok(())
    }

    fn stopped(&self, services: Vec<BlockService>) {
        for service in services {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(service.into_disk());
        }
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        self.state(features).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        BlockState::check(state, &self.state(features))
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics.values()
    }
}
