// SPDX-License-Identifier: Apache-2.0
//! What the entropy device is.

use std::sync::Arc;

use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::throttle::Throttle;
use flotilla_device_model::virtio::{ActivateError, Activation};

use super::metrics::RngMetrics;
use super::queue::RngService;
use super::source::EntropySource;
use super::state::RngState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model, only_queue};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::RING_FEATURES;

/// Device type of virtio 1.2 §5.4.
const VIRTIO_ID_RNG: u32 = 4;
const QUEUE_MAX_SIZE: u16 = 256;

/// An entropy device.
///
/// ```
/// use std::sync::Arc;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::rng::device::Rng;
/// use flotilla_devices::virtio::rng::source::HostEntropy;
///
/// let rng = Rng::new("rng0", Arc::new(HostEntropy));
/// assert_eq!(rng.device_type(), 4);
/// ```
pub type Rng = Device<Entropy>;

/// What is particular about it.
pub struct Entropy {
    source: Arc<dyn EntropySource>,
    metrics: Arc<RngMetrics>,
    throttle: Arc<Throttle>,
}

impl Rng {
    /// A device that takes its bytes from `source`.
    pub fn new(name: impl Into<String>, source: Arc<dyn EntropySource>) -> Self {
        let common = VirtioCommon::new(name, RING_FEATURES, vec![QUEUE_MAX_SIZE]);
        Self::with(common, Entropy { source, metrics: Arc::default(), throttle: Arc::default() })
    }

    /// This device, kept to the limits of a throttle: bytes given, and requests.
    #[must_use]
    pub fn throttled_by(mut self, throttle: Arc<Throttle>) -> Self {
        self.model_mut().throttle = throttle;
        self
    }

    /// Looks at the limits again, which have changed.
    pub fn recheck(&self) {
        self.common().each(|service| service.recheck());
    }
}

impl Model for Entropy {
    type Service = RngService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_RNG;

    fn activate(
        &self,
        common: &VirtioCommon<RngService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let (queue, sources) = only_queue(activation)?;
        let limiter = Limiter::new(Arc::clone(&self.throttle));
        let service = RngService::new(queue, Arc::clone(&self.source), Arc::clone(&self.metrics), limiter);
        common.start("virtio-rng", service, sources)?;
        Ok(())
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        RngState::of(features).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        RngState::unpack(state, features)
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics.values()
    }
}
