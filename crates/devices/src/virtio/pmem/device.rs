// SPDX-License-Identifier: Apache-2.0
//! What persistent memory is.

use std::sync::Arc;

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::pmem::PersistentMemory;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};

use super::metrics::PmemMetrics;
use super::service::PmemService;
use super::state::PmemState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model, only_queue};
use crate::virtio::queue::RING_FEATURES;

/// Device type of virtio 1.2 §5.19.
const VIRTIO_ID_PMEM: u32 = 27;
const QUEUE_MAX_SIZE: u16 = 64;

/// Where the guest finds the memory, and what it may do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PmemPlace {
    /// First guest address.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Whether it may only read.
    pub read_only: bool,
}

/// A file as memory.
///
/// ```
/// use std::io;
/// use std::sync::Arc;
/// use flotilla_device_model::pmem::PersistentMemory;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::pmem::device::{Pmem, PmemPlace};
///
/// struct Nothing;
/// impl PersistentMemory for Nothing {
///     fn flush(&self) -> io::Result<()> { Ok(()) }
/// }
/// let place = PmemPlace { start: 4 << 30, size: 2 << 20, read_only: true };
/// let pmem = Pmem::new("pmem:root", place, Arc::new(Nothing));
/// assert_eq!(pmem.device_type(), 27);
/// let mut size = [0; 8];
/// pmem.read_config(8, &mut size);
/// assert_eq!(u64::from_le_bytes(size), 2 << 20);
/// ```
pub type Pmem = Device<Mapped>;

/// What is particular about it.
pub struct Mapped {
    place: PmemPlace,
    file: Arc<dyn PersistentMemory>,
    metrics: Arc<PmemMetrics>,
}

impl Pmem {
    /// The device that tells of memory which is in the guest's address space already, and makes `file` behind it durable.
    pub fn new(name: impl Into<String>, place: PmemPlace, file: Arc<dyn PersistentMemory>) -> Self {
        let common = VirtioCommon::new(name, RING_FEATURES, vec![QUEUE_MAX_SIZE]);
        Self::with(common, Mapped { place, file, metrics: Arc::default() })
    }

    /// Where it is.
    pub fn place(&self) -> PmemPlace {
        self.model().place
    }

    /// What answers writes to memory that may only be read: nothing happens but that they are counted.
    pub fn refusal(&self) -> Arc<dyn BusDevice> {
        Arc::new(Refusal(Arc::clone(&self.model().metrics)))
    }
}

impl Model for Mapped {
    type Service = PmemService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_PMEM;

    /// `struct virtio_pmem_config` (virtio 1.2 §5.19.4).
    fn config(&self) -> Vec<u8> {
        [self.place.start, self.place.size].iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn activate(
        &self,
        common: &VirtioCommon<PmemService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let (queue, sources) = only_queue(activation)?;
        let file = (!self.place.read_only).then(|| Arc::clone(&self.file));
        let service = PmemService::new(queue, file, Arc::clone(&self.metrics));
        common.start("virtio-pmem", service, sources)?;
        Ok(())
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        self.state(features).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        self.state(features).check(state)
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics.values(self.place.size)
    }
}

impl Mapped {
    fn state(&self, features: u64) -> PmemState {
        let PmemPlace { start, size, read_only } = self.place;
        PmemState { features, start, size, read_only }
    }
}

/// Stands where memory is that may only be read.
struct Refusal(Arc<PmemMetrics>);

impl BusDevice for Refusal {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        // Reads do not leave the guest. One half of an access that also writes might.
        data.fill(0xff);
    }

    fn write(&self, _offset: u64, _data: &[u8]) {
        self.0.refused_writes.increment();
    }
}
