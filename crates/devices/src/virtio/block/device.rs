// SPDX-License-Identifier: Apache-2.0
//! What the disk is.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::block::{BlockBackend, BlockQueue, SpaceAlarm};
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::throttle::Throttle;
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioInterrupt};

use super::config::{Facts, VIRTIO_BLK_F_FLUSH, WRITEBACK};
use super::metrics::BlockMetrics;
use super::queue::{BlockService, Setting};
use super::request::ID_LEN;
use super::state::BlockState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.2.
const VIRTIO_ID_BLOCK: u32 = 2;
/// Index of the first queue (virtio 1.2 §5.2.2), the one a driver cannot do without.
const REQUESTQ: u16 = 0;
const QUEUE_MAX_SIZE: u16 = 256;
/// Most queues of a disk.
pub const MAX_QUEUES: u16 = 16;

/// Token of the back-end's completion event.
const COMPLETIONS: u32 = 0;

/// What a disk is like, beside what its back-end says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockOptions {
    /// The driver is told the first 20 bytes; it is zero-padded if shorter.
    pub serial: String,
    /// Queues, 1 to 16; each has a thread.
    pub queues: u16,
    /// Bytes of a block: a power of two from 512 to 4096, and no less than what the back-end can do.
    pub block_size: u32,
    /// Whether writes are durable only after a flush, as the driver finds it. It may choose otherwise.
    pub write_cache: bool,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self { serial: String::new(), queues: 1, block_size: 512, write_cache: true }
    }
}

/// A disk.
///
/// ```
/// use std::sync::Arc;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::block::device::{Block, BlockOptions};
/// use flotilla_testing::disk::FakeDisk;
///
/// let backend = Arc::new(FakeDisk::new(vec![0; 4096], false));
/// let disk = Block::new("disk:root", backend, BlockOptions::default())?;
/// let mut capacity = [0; 8];
/// disk.read_config(0, &mut capacity);
/// assert_eq!(u64::from_le_bytes(capacity), 8);
/// # Ok::<(), std::io::Error>(())
/// ```
pub type Block = Device<Disk>;

/// What is particular about it.
pub struct Disk {
    backend: Arc<dyn BlockBackend>,
    /// The back-end's queues between activations. Opened before the machine runs, when the host's resources are
    /// within reach: an activation comes from a vCPU thread, which may be locked in.
    idle: Mutex<Vec<Box<dyn BlockQueue>>>,
    facts: Facts,
    /// The write cache as the driver finds it after a reset.
    write_cache: bool,
    serial: [u8; ID_LEN],
    shared: Arc<Shared>,
    throttle: Arc<Throttle>,
    /// Told when writes wait for space, if they shall.
    alarm: Option<Alarm>,
    /// How to reach the driver, while there is one.
    interrupt: Mutex<Option<Arc<dyn VirtioInterrupt>>>,
}

/// What the queues of a disk share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Bytes.
    pub(super) size: AtomicU64,
    /// Whether writes are durable only after a flush.
    pub(super) write_cache: AtomicBool,
    /// Requests that wait for space on the host.
    pub(super) held: AtomicU64,
    /// The back-end keeps something in memory that its files should have while the machine is paused.
    pub(super) unwritten: AtomicBool,
    pub(super) metrics: BlockMetrics,
}

/// Whom to tell of which device.
#[derive(Clone)]
pub(super) struct Alarm {
    device: Arc<str>,
    alarm: Arc<dyn SpaceAlarm>,
}

impl Alarm {
    pub(super) fn ring(&self) {
        self.alarm.out_of_space(&self.device);
    }
}

impl Block {
    /// A disk on `backend`.
    pub fn new(
        name: impl Into<String>,
        backend: Arc<dyn BlockBackend>,
        options: BlockOptions,
    ) -> io::Result<Self> {
        let BlockOptions { serial, queues, block_size, write_cache } = options;
        let queues = queues.clamp(1, MAX_QUEUES);
        let whole = block_size.is_power_of_two()
            && (512..=4096).contains(&block_size)
            && block_size >= backend.block_size()
            && backend.size().is_multiple_of(block_size.into());
        if !whole {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "disk is not made of blocks of this size",
            ));
        }
        let facts =
            Facts { read_only: backend.read_only(), can_discard: backend.can_discard(), block_size, queues };
        let mut padded = [0; ID_LEN];
        for (place, byte) in padded.iter_mut().zip(serial.bytes()) {
            *place = byte;
        }
        let idle = (0..queues).map(|_| backend.open_queue(QUEUE_MAX_SIZE)).collect::<io::Result<_>>()?;
        let shared = Shared {
            size: AtomicU64::new(backend.size()),
            write_cache: AtomicBool::new(write_cache),
            held: AtomicU64::new(0),
            unwritten: AtomicBool::new(false),
            metrics: BlockMetrics::default(),
        };
        let disk = Disk {
            backend,
            idle: Mutex::new(idle),
            facts,
            write_cache,
            serial: padded,
            shared: Arc::new(shared),
            throttle: Arc::default(),
            alarm: None,
            interrupt: Mutex::new(None),
        };
        let sizes = vec![QUEUE_MAX_SIZE; usize::from(queues)];
        Ok(Self::with(VirtioCommon::new(name, facts.features(), sizes), disk))
    }

    /// This disk, whose writes wait when the host has no space for them, instead of failing. `alarm` is told; they are tried
    /// again when the device was paused and is resumed.
    #[must_use]
    pub fn waiting_for_space(mut self, alarm: Arc<dyn SpaceAlarm>) -> Self {
        let device = self.name().into();
        self.model_mut().alarm = Some(Alarm { device, alarm });
        self
    }

    /// This disk, kept to the limits of a throttle: requests of any kind, and the bytes of reads, of writes and of zeroes that
    /// are written.
    #[must_use]
    pub fn throttled_by(mut self, throttle: Arc<Throttle>) -> Self {
        self.model_mut().throttle = throttle;
        self
    }

    /// Looks at the limits again, which have changed.
    pub fn recheck(&self) {
        self.common().each(|service| service.recheck());
    }

    /// Makes a back-end that keeps its size itself at least so large. The driver hears of it by
    /// [`Block::refresh_size`].
    pub fn grow(&self, size: u64) -> io::Result<()> {
        let backend = &self.model().backend;
        if size > backend.size() { backend.grow(size) } else { Ok(()) }
    }

    /// Looks how large the back-end is now, and tells the driver if that is another size. Returns the size in bytes.
    /// Only growth is followed: a driver that was promised more may be using it.
    pub fn refresh_size(&self) -> io::Result<u64> {
        self.model().refresh_size()
    }
}

impl Disk {
    fn take_idle(&self) -> io::Result<Box<dyn BlockQueue>> {
        match self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(queue) => Ok(queue),
            None => self.backend.open_queue(QUEUE_MAX_SIZE),
        }
    }

    fn refresh_size(&self) -> io::Result<u64> {
        let block = u64::from(self.facts.block_size);
        let size = self.backend.refresh_size()? / block * block;
        let before = self.shared.size.fetch_max(size, Ordering::SeqCst);
        if size < before {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "disk has become smaller"));
        }
        if size > before
            && let Some(interrupt) = &*self.interrupt.lock().unwrap_or_else(PoisonError::into_inner)
        {
            interrupt.signal_config();
        }
        Ok(size)
    }

    fn state(&self, features: u64) -> BlockState {
        BlockState {
            features,
            size: self.shared.size.load(Ordering::SeqCst),
            block_size: self.facts.block_size,
            queues: self.facts.queues,
            write_cache: self.shared.write_cache.load(Ordering::SeqCst),
        }
    }

    fn setting(&self, features: u64) -> Setting {
        Setting {
            facts: self.facts,
            in_memory: self.backend.in_memory(),
            serial: self.serial,
            alarm: self.alarm.clone(),
            can_flush: features & VIRTIO_BLK_F_FLUSH != 0,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Model for Disk {
    type Service = BlockService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_BLOCK;

    fn config(&self) -> Vec<u8> {
        let size = self.shared.size.load(Ordering::SeqCst);
        self.facts.space(size, self.shared.write_cache.load(Ordering::SeqCst)).to_vec()
    }

    fn write_config(&self, offset: u64, data: &[u8]) {
        // Offered always, so a driver that writes the field knows what it does.
        if let (WRITEBACK, [value @ (0 | 1)]) = (offset, data) {
            self.shared.write_cache.store(*value == 1, Ordering::SeqCst);
        }
    }

    fn takes_doorbells(&self) -> bool {
        self.backend.in_memory()
    }

    fn activate(
        &self,
        common: &VirtioCommon<BlockService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        if queues.first().is_none_or(Option::is_none) {
            return Err(ActivateError::QueueMissing { index: REQUESTQ });
        }
        *self.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&interrupt));
        for (index, active) in (REQUESTQ..).zip(queues) {
            let Some(active) = active else { continue };
            let doorbell = Arc::clone(&active.doorbell);
            let queue =
                DeviceQueue::new(index, active, Arc::clone(&memory), features, Arc::clone(&interrupt));
            let disk = self.take_idle()?;
            let event = disk.completion_event().map(|event| event.try_clone_to_owned()).transpose()?;
            let descriptors = event.iter().map(|event| (COMPLETIONS, event.as_fd())).collect();
            let sources = Sources { doorbells: vec![(index, doorbell)], descriptors };
            let limiter = Limiter::new(Arc::clone(&self.throttle));
            let service = BlockService::new(queue, disk, self.setting(features), limiter);
            common.start(&format!("virtio-blk-{index}"), service, sources)?;
        }
        Ok(())
    }

    fn stopped(&self, services: Vec<BlockService>) {
        *self.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.shared.write_cache.store(self.write_cache, Ordering::SeqCst);
        self.shared.held.store(0, Ordering::SeqCst);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(services.into_iter().map(BlockService::into_disk));
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        // Requests that are in no ring any more, and tables that no other machine could take over.
        let shared = &self.shared;
        if shared.held.load(Ordering::SeqCst) > 0 || shared.unwritten.load(Ordering::SeqCst) {
            return Err(StateError::NotNow {
                reason: "it waits for space; make space on the host and resume the machine",
            });
        }
        self.state(features).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        let saved = BlockState::check(state, &self.state(features))?;
        self.shared.write_cache.store(saved.write_cache, Ordering::SeqCst);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.shared.metrics.values()
    }
}
