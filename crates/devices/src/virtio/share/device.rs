// SPDX-License-Identifier: Apache-2.0
//! What the device of a shared folder is.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use flotilla_device_model::share::{ShareAlarm, ShareBackend};
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};

use super::metrics::ShareMetrics;
use super::service::{Alarm, BACKEND, ShareService};
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::served::ServedRing;
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.11.
const VIRTIO_ID_FS: u32 = 26;
/// Bytes of the tag in the configuration space (virtio 1.2 §5.11.4).
const TAG: usize = 36;
/// The queue for what must not wait, and one for requests: virtiofsd of QEMU serves no more.
const QUEUES: u16 = 2;
/// Of each queue. Linux asks for no more at once than fits into one.
const QUEUE_MAX_SIZE: u16 = 1024;

const KIND: &str = "virtio-fs";

/// The device of a shared folder.
pub type Share = Device<Folder>;

/// What is particular about it.
pub struct Folder {
    tag: String,
    backend: Arc<dyn ShareBackend>,
    alarm: Arc<Alarm>,
}

impl Share {
    /// A device that the guest mounts by `tag`, which is cut after 36 bytes.
    pub fn new(name: impl Into<String>, tag: impl Into<String>, backend: Arc<dyn ShareBackend>) -> Self {
        let name = name.into();
        let alarm = Arc::new(Alarm { device: name.clone(), hearer: None, metrics: ShareMetrics::default() });
        let sizes = vec![QUEUE_MAX_SIZE; QUEUES.into()];
        let common = VirtioCommon::new(name, backend.features(), sizes);
        Self::with(common, Folder { tag: tag.into(), backend, alarm })
    }

    /// This device, which tells when its back-end is gone.
    #[must_use]
    pub fn alarming(mut self, hearer: Arc<dyn ShareAlarm>) -> Self {
        let device = self.common().name().to_owned();
        self.model_mut().alarm =
            Arc::new(Alarm { device, hearer: Some(hearer), metrics: ShareMetrics::default() });
        self
    }
}

impl Model for Folder {
    type Service = ShareService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_FS;

    fn config(&self) -> Vec<u8> {
        let mut space: Vec<u8> = self.tag.bytes().take(TAG).collect();
        space.resize(TAG, 0);
        space.extend(u32::from(QUEUES - 1).to_le_bytes());
        space
    }

    fn activate(
        &self,
        common: &VirtioCommon<ShareService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        if self.backend.is_gone() {
            // For one that went away before there was a driver.
            self.alarm.lost();
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        let mut rings = Vec::new();
        for (index, queue) in (0..).zip(queues) {
            let queue = queue.ok_or(ActivateError::QueueMissing { index })?;
            rings.push(ServedRing::new(index, queue, features, interrupt.as_ref())?);
        }
        let doorbells = rings.iter().flat_map(ServedRing::sources).collect();
        let backend = Arc::clone(&self.backend);
        let gone = backend.event().as_fd().try_clone_to_owned()?;
        let sources = Sources { doorbells, descriptors: vec![(BACKEND, gone.as_fd())] };
        let alarm = Arc::clone(&self.alarm);
        let service = ShareService { backend, memory, features, interrupt, rings, alarm, started: false };
        common.start("virtio-fs", service, sources)?;
        Ok(())
    }

    fn save(&self, _features: u64) -> Result<DeviceState, StateError> {
        // The process knows which files the guest has open, and cannot say it.
        Err(StateError::Elsewhere { kind: KIND })
    }

    fn check(&self, _features: u64, _state: &DeviceState) -> Result<(), StateError> {
        Err(StateError::Elsewhere { kind: KIND })
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.alarm.metrics.values()
    }
}
