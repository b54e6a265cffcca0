// SPDX-License-Identifier: Apache-2.0
//! What the entropy device is.

use std::io;
use std::sync::Arc;

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::threads::DeviceThreads;
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use virtio_queue::QueueState;

use super::metrics::RngMetrics;
use super::queue::RngService;
use super::state::RngState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.4.
const VIRTIO_ID_RNG: u32 = 4;
/// Index of the only queue (virtio 1.2 §5.4.2).
const REQUESTQ: u16 = 0;
const QUEUE_MAX_SIZE: u16 = 256;

/// Where random bytes come from.
pub trait EntropySource: Send + Sync {
    /// Fills `data` with bytes nobody can predict. Must not block for long.
    fn fill(&self, data: &mut [u8]) -> io::Result<()>;
}

/// The random number generator of the host kernel (`getrandom`).
#[derive(Debug, Default)]
pub struct HostEntropy;

impl EntropySource for HostEntropy {
    fn fill(&self, data: &mut [u8]) -> io::Result<()> {
        getrandom::fill(data).map_err(|error| {
            error.raw_os_error().map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
        })
    }
}

/// An entropy device.
///
/// ```
/// use std::sync::Arc;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::rng::device::{HostEntropy, Rng};
///
/// let rng = Rng::new("rng0", Arc::new(HostEntropy));
/// assert_eq!(rng.device_type(), 4);
/// ```
pub struct Rng {
    common: VirtioCommon<RngService>,
    source: Arc<dyn EntropySource>,
    metrics: Arc<RngMetrics>,
}

impl Rng {
    /// A device that takes its bytes from `source`.
    pub fn new(name: impl Into<String>, source: Arc<dyn EntropySource>) -> Self {
        Self {
            common: VirtioCommon::new(name, RING_FEATURES, vec![QUEUE_MAX_SIZE]),
            source,
            metrics: Arc::new(RngMetrics::default()),
        }
    }

    /// This device, with its I/O threads watched by `threads`.
    #[must_use]
    pub fn watched_by(mut self, threads: Arc<dyn DeviceThreads>) -> Self {
        self.common.watch(threads);
        self
    }
}

impl VirtioDevice for Rng {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_RNG
    }

    fn device_features(&self) -> u64 {
        self.common.features()
    }

    fn queue_max_sizes(&self) -> &[u16] {
        self.common.queue_max_sizes()
    }

    fn read_config(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn activate(&self, activation: Activation) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let active =
            queues.into_iter().next().flatten().ok_or(ActivateError::QueueMissing { index: REQUESTQ })?;
        let doorbell = Arc::clone(&active.doorbell);
        let queue = DeviceQueue::new(REQUESTQ, active, memory, features, interrupt);
        let service = RngService::new(queue, Arc::clone(&self.source), Arc::clone(&self.metrics));
        let sources = Sources { doorbells: vec![(REQUESTQ, doorbell)], descriptors: Vec::new() };
        self.common.start("virtio-rng", service, sources)?;
        Ok(())
    }

    fn deactivate(&self) {
        self.common.deactivate();
    }

    fn queues(&self) -> Vec<Option<QueueState>> {
        self.common.queues()
    }
}

impl Lifecycle for Rng {
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
        self.common.deactivate();
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        RngState::of(self.common.features()).pack()
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        RngState::unpack(state, self.common.features())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics.values()
    }
}
