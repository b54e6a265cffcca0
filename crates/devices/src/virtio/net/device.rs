// SPDX-License-Identifier: Apache-2.0
//! What the network interface is.

use std::sync::Arc;

use flotilla_device_model::net::{Offloads, PacketBackend};
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};
use thiserror::Error;

use super::metrics::NetMetrics;
use super::receive::{Agreement, Receiver};
use super::service::{BACKEND, NetService, RECEIVEQ, TRANSMITQ};
use super::state::NetState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.1.
const VIRTIO_ID_NET: u32 = 1;
const QUEUE_MAX_SIZE: u16 = 256;

const VIRTIO_NET_F_CSUM: u64 = 1 << 0;
const VIRTIO_NET_F_GUEST_CSUM: u64 = 1 << 1;
const VIRTIO_NET_F_MAC: u64 = 1 << 5;
const VIRTIO_NET_F_GUEST_TSO4: u64 = 1 << 7;
const VIRTIO_NET_F_GUEST_TSO6: u64 = 1 << 8;
const VIRTIO_NET_F_GUEST_ECN: u64 = 1 << 9;
const VIRTIO_NET_F_HOST_TSO4: u64 = 1 << 11;
const VIRTIO_NET_F_HOST_TSO6: u64 = 1 << 12;
const VIRTIO_NET_F_HOST_ECN: u64 = 1 << 13;
const VIRTIO_NET_F_MRG_RXBUF: u64 = 1 << 15;
const VIRTIO_NET_F_STATUS: u64 = 1 << 16;

/// `VIRTIO_NET_S_LINK_UP`.
const LINK_UP: u16 = 1;

/// The address cannot be that of an interface.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("MAC address {mac:02x?} is zero or a group address: give an individual one (first byte even)")]
pub struct MacError {
    /// The address, in the order of transmission.
    pub mac: [u8; 6],
}

/// A network interface whose link is always up.
///
/// ```
/// use std::sync::Arc;
/// use flotilla_device_model::net::Offloads;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::net::device::Net;
/// use flotilla_testing::packets::FakePackets;
///
/// let backend = Arc::new(FakePackets::new(Offloads::default()));
/// let net = Net::new("net:lan", backend, [0x52, 0x54, 0, 0x12, 0x34, 0x56])?;
/// assert_eq!(net.device_type(), 1);
/// # Ok::<(), flotilla_devices::virtio::net::device::MacError>(())
/// ```
pub type Net = Device<Interface>;

/// What is particular about it.
pub struct Interface {
    backend: Arc<dyn PacketBackend>,
    mac: [u8; 6],
    metrics: Arc<NetMetrics>,
}

impl Net {
    /// An interface on `backend` with the given address, in the order of transmission.
    pub fn new(
        name: impl Into<String>,
        backend: Arc<dyn PacketBackend>,
        mac: [u8; 6],
    ) -> Result<Self, MacError> {
        let group = mac.first().is_some_and(|byte| byte & 1 != 0);
        if group || mac == [0; 6] {
            return Err(MacError { mac });
        }
        let features = RING_FEATURES
            | VIRTIO_NET_F_MAC
            | VIRTIO_NET_F_STATUS
            | VIRTIO_NET_F_MRG_RXBUF
            | offload_features(backend.offloads());
        let common = VirtioCommon::new(name, features, vec![QUEUE_MAX_SIZE; 2]);
        Ok(Self::with(common, Interface { backend, mac, metrics: Arc::new(NetMetrics::default()) }))
    }
}

impl Interface {
    fn state(&self, features: u64) -> NetState {
        NetState { features, mac: self.mac }
    }

    /// The configuration space (virtio 1.2 §5.1.4): address, link status, one pair of queues.
    fn space(&self) -> [u8; 10] {
        let [m0, m1, m2, m3, m4, m5] = self.mac;
        let [s0, s1] = LINK_UP.to_le_bytes();
        let [p0, p1] = 1_u16.to_le_bytes();
        [m0, m1, m2, m3, m4, m5, s0, s1, p0, p1]
    }
}

/// The feature bits for what a back-end can do, in both directions.
fn offload_features(offloads: Offloads) -> u64 {
    let Offloads { checksum, tso4, tso6, ecn } = offloads;
    // Segmentation needs checksums, ECN needs segmentation (virtio 1.2 §5.1.3.1).
    let segmentation = checksum && (tso4 || tso6);
    [
        (checksum, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM),
        (checksum && tso4, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_GUEST_TSO4),
        (checksum && tso6, VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_GUEST_TSO6),
        (segmentation && ecn, VIRTIO_NET_F_HOST_ECN | VIRTIO_NET_F_GUEST_ECN),
    ]
    .into_iter()
    .filter_map(|(offered, bits)| offered.then_some(bits))
    .fold(0, |features, bits| features | bits)
}

/// What the driver takes, of what it negotiated.
fn guest_offloads(features: u64) -> Offloads {
    let has = |bit| features & bit != 0;
    let checksum = has(VIRTIO_NET_F_GUEST_CSUM);
    Offloads {
        checksum,
        tso4: checksum && has(VIRTIO_NET_F_GUEST_TSO4),
        tso6: checksum && has(VIRTIO_NET_F_GUEST_TSO6),
        ecn: checksum && has(VIRTIO_NET_F_GUEST_ECN),
    }
}

impl Model for Interface {
    type Service = NetService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_NET;

    fn config(&self) -> Vec<u8> {
        self.space().to_vec()
    }

    fn activate(
        &self,
        common: &VirtioCommon<NetService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let mut queues = queues.into_iter();
        let mut next = |index| queues.next().flatten().ok_or(ActivateError::QueueMissing { index });
        let (rx, tx) = (next(RECEIVEQ)?, next(TRANSMITQ)?);
        let doorbells = vec![(RECEIVEQ, Arc::clone(&rx.doorbell)), (TRANSMITQ, Arc::clone(&tx.doorbell))];
        let offloads = guest_offloads(features);
        self.backend.set_guest_offloads(offloads)?;
        let receiver =
            Receiver::new(Agreement { mergeable: features & VIRTIO_NET_F_MRG_RXBUF != 0, offloads });
        let service = NetService {
            rx: DeviceQueue::new(RECEIVEQ, rx, Arc::clone(&memory), features, Arc::clone(&interrupt)),
            tx: DeviceQueue::new(TRANSMITQ, tx, memory, features, interrupt),
            receiver,
            backend: Arc::clone(&self.backend),
            metrics: Arc::clone(&self.metrics),
            listening: Some(true),
        };
        let descriptors = vec![(BACKEND, self.backend.receive_event())];
        common.start("virtio-net", service, Sources { doorbells, descriptors })?;
        Ok(())
    }

    /// The next driver may take less than the last one, and what waits was not sent to it.
    fn stopped(&self, _services: Vec<NetService>) {
        let forgotten =
            self.backend.set_guest_offloads(Offloads::default()).and_then(|()| self.backend.discard());
        if let Err(error) = forgotten {
            tracing::debug!(%error, "network back-end keeps what it had for the last driver");
        }
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        self.state(features).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        NetState::check(state, &self.state(features))
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.metrics.values()
    }
}
