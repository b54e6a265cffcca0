// SPDX-License-Identifier: Apache-2.0
//! What the socket device is.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};
use flotilla_device_model::vsock::VsockHost;

use super::metrics::VsockMetrics;
use super::muxer::{FIRST_PORT, Muxer};
use super::service::{EVENT, RX, TX, VsockService};
use super::state::VsockState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.10.
const VIRTIO_ID_VSOCK: u32 = 19;
const QUEUE_MAX_SIZE: u16 = 256;
/// Token of the host's sockets.
const SOCKETS: u32 = 0;

/// A socket device.
pub type Vsock = Device<Sockets>;

/// What is particular about it.
pub struct Sockets {
    cid: u32,
    limit: usize,
    host: Arc<dyn VsockHost>,
    next_port: Arc<AtomicU32>,
    /// Whether a driver uses it.
    active: AtomicBool,
    /// Whether the driver that is about to go on believes in connections that are gone.
    restored: AtomicBool,
    metrics: Arc<VsockMetrics>,
}

impl Vsock {
    /// A device for a guest with this context id, from 3 on, and at most `limit` connections.
    pub fn new(name: impl Into<String>, cid: u32, limit: usize, host: Arc<dyn VsockHost>) -> Self {
        let common = VirtioCommon::new(name, RING_FEATURES, vec![QUEUE_MAX_SIZE; 3]);
        let sockets = Sockets {
            cid,
            limit,
            host,
            next_port: Arc::new(AtomicU32::new(FIRST_PORT)),
            active: AtomicBool::new(false),
            restored: AtomicBool::new(false),
            metrics: Arc::default(),
        };
        Self::with(common, sockets)
    }
}

impl Model for Sockets {
    type Service = VsockService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_VSOCK;

    fn config(&self) -> Vec<u8> {
        u64::from(self.cid).to_le_bytes().into()
    }

    fn activate(
        &self,
        common: &VirtioCommon<VsockService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let mut queues = queues.into_iter();
        let mut doorbells = Vec::new();
        let mut next = |index| -> Result<DeviceQueue, ActivateError> {
            let active = queues.next().flatten().ok_or(ActivateError::QueueMissing { index })?;
            doorbells.push((index, Arc::clone(&active.doorbell)));
            Ok(DeviceQueue::new(index, active, Arc::clone(&memory), features, Arc::clone(&interrupt)))
        };
        let queues = [next(RX)?, next(TX)?, next(EVENT)?];
        let (host, next_port) = (Arc::clone(&self.host), Arc::clone(&self.next_port));
        let muxer = Muxer::new(self.cid.into(), self.limit, host, next_port, Arc::clone(&self.metrics))?;
        let events = muxer.events().try_clone_to_owned()?;
        let restored = self.restored.swap(false, Ordering::SeqCst);
        let service = VsockService::new(queues, muxer, Arc::clone(&self.metrics), restored);
        common.start(
            "virtio-vsock",
            service,
            Sources { doorbells, descriptors: vec![(SOCKETS, events.as_fd())] },
        )?;
        self.active.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn stopped(&self, _services: Vec<VsockService>) {
        self.active.store(false, Ordering::SeqCst);
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        let (cid, next_port) = (self.cid.into(), self.next_port.load(Ordering::SeqCst));
        VsockState { features, cid, next_port, active: self.active.load(Ordering::SeqCst) }.pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        VsockState::unpack(state, features).map(drop)
    }

    fn restore(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        let saved = VsockState::unpack(state, features)?;
        self.next_port.store(saved.next_port, Ordering::SeqCst);
        self.restored.store(saved.active, Ordering::SeqCst);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics.values()
    }
}
