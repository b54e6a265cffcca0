// SPDX-License-Identifier: Apache-2.0
//! What the network interface is.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::net::{Condition, LinkAlarm, Offloads, PacketBackend, RingBackend};
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::throttle::Throttle;
use flotilla_device_model::virtio::{ActivateError, Activation, ActiveQueue, VirtioInterrupt};
use flotilla_memory::GuestMemory;
use thiserror::Error;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::control::{Control, Handler};
use super::features::{
    ALWAYS, FILTERING, GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MQ,
    VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_MTU, of_backend,
};
use super::filter::{Filter, Mac, is_group};
use super::pair::{BACKEND, PairService};
use super::receive::Receiver;
use super::rings::{CHANGED, RingService};
use super::service::NetService;
use super::shared::{Agreement, Driver, Shared, View};
use super::state::NetState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::served::ServedRing;
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.1.
const VIRTIO_ID_NET: u32 = 1;
const QUEUE_MAX_SIZE: u16 = 256;
const CONTROL_MAX_SIZE: u16 = 64;
/// The most pairs of an interface.
pub const MAX_PAIRS: u16 = 16;
/// The least and the greatest MTU: what IPv4 demands of every link (RFC 791), and what fits its length field.
pub const MTU: std::ops::RangeInclusive<u16> = 68..=65_535;

/// The interface cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NetError {
    /// The address cannot be that of an interface.
    #[error("MAC address {mac:02x?} is zero or a group address: give an individual one (first byte even)")]
    Mac {
        /// The address, in the order of transmission.
        mac: Mac,
    },
    /// The back-end has no queues, or more than an interface can have.
    #[error("Back-end has {pairs} pairs of queues: use 1 to {MAX_PAIRS}")]
    Pairs {
        /// What it has.
        pairs: u16,
    },
    /// No frame would fit.
    #[error("MTU {mtu} is not within 68 to 65535")]
    Mtu {
        /// What was asked for.
        mtu: u16,
    },
    /// The kernel would send frames that nobody has looked at.
    #[error(
        "Frames from other addresses can be kept back only where they pass through this process, not by vhost-net"
    )]
    Unguarded,
}

/// What an interface is beside its back-end.
#[derive(Clone)]
pub struct NetOptions {
    /// Its address, in the order of transmission.
    pub mac: Mac,
    /// The MTU the driver is told of.
    pub mtu: Option<u16>,
    /// Whether the cable is plugged in at first.
    pub link_up: bool,
    /// Whether frames may come from other addresses, and the driver may take another one.
    pub allow_spoofed_mac: bool,
    /// Serves the rings in the back-end's place.
    pub rings: Option<Arc<dyn RingBackend>>,
}

impl NetOptions {
    /// An interface with this address and otherwise the usual.
    pub fn new(mac: Mac) -> Self {
        Self { mac, mtu: None, link_up: true, allow_spoofed_mac: true, rings: None }
    }
}

/// What keeps an interface to its limits.
#[derive(Clone, Default)]
pub struct Throttles {
    /// Frames for the guest.
    pub receive: Arc<Throttle>,
    /// Frames of the guest.
    pub transmit: Arc<Throttle>,
}

/// A network interface.
///
/// ```
/// use std::sync::Arc;
/// use flotilla_device_model::net::Offloads;
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::net::device::{Net, NetOptions};
/// use flotilla_testing::packets::FakePackets;
///
/// let backend = Arc::new(FakePackets::new(Offloads::default()));
/// let net = Net::new("net:lan", backend, NetOptions::new([0x52, 0x54, 0, 0x12, 0x34, 0x56]))?;
/// assert_eq!(net.device_type(), 1);
/// # Ok::<(), flotilla_devices::virtio::net::device::NetError>(())
/// ```
pub type Net = Device<Interface>;

/// What is particular about it.
pub struct Interface {
    backend: Arc<dyn PacketBackend>,
    options: NetOptions,
    shared: Arc<Shared>,
    throttles: Throttles,
    /// Taken over from a saved state, for the activation that follows.
    restored: Mutex<Option<NetState>>,
}

impl Net {
    /// An interface on `backend`.
    pub fn new(
        name: impl Into<String>,
        backend: Arc<dyn PacketBackend>,
        options: NetOptions,
    ) -> Result<Self, NetError> {
        let (mac, pairs) = (options.mac, backend.pairs());
        if is_group(mac) || mac == [0; 6] {
            return Err(NetError::Mac { mac });
        }
        if pairs == 0 || pairs > MAX_PAIRS {
            return Err(NetError::Pairs { pairs });
        }
        if let Some(mtu) = options.mtu.filter(|mtu| !MTU.contains(mtu)) {
            return Err(NetError::Mtu { mtu });
        }
        if options.rings.is_some() && !options.allow_spoofed_mac {
            return Err(NetError::Unguarded);
        }
        let mut sizes = vec![QUEUE_MAX_SIZE; usize::from(pairs) * 2];
        sizes.push(CONTROL_MAX_SIZE);
        let common = VirtioCommon::new(name, features(backend.as_ref(), &options), sizes);
        let shared = Arc::new(Shared::new(options.link_up));
        let (throttles, restored) = (Throttles::default(), Mutex::new(None));
        Ok(Self::with(common, Interface { backend, options, shared, throttles, restored }))
    }

    /// This interface, kept to limits of frames and of their bytes. Rings that are served elsewhere know none.
    #[must_use]
    pub fn throttled_by(mut self, throttles: Throttles) -> Self {
        self.model_mut().throttles = throttles;
        self
    }

    /// This interface, which tells `alarm` when its network is gone.
    #[must_use]
    pub fn alarming(self, alarm: Arc<dyn LinkAlarm>) -> Self {
        self.model().shared.set_alarm(alarm, self.common().name());
        self
    }

    /// Looks at the limits again, which have changed.
    pub fn recheck(&self) {
        self.common().each(|service| service.recheck());
    }

    /// Plugs the cable in, or pulls it out; the driver hears of it. Frames are dropped while it is out.
    pub fn set_link(&self, up: bool) {
        self.model().shared.set_link(up);
    }

    /// Asks the driver to tell the network where its guest is. `false`: there is none that knows how, or the cable is out.
    pub fn announce(&self) -> bool {
        self.model().shared.ask_to_announce()
    }

    /// Whether frames pass: the cable is plugged in, and the network is there.
    pub fn is_link_up(&self) -> bool {
        self.model().shared.is_link_up()
    }
}

/// What the interface offers.
fn features(backend: &dyn PacketBackend, options: &NetOptions) -> u64 {
    let bit = |wanted: bool, bits: u64| if wanted { bits } else { 0 };
    let by_rings = options.rings.as_ref();
    let ours =
        ALWAYS | bit(options.mtu.is_some(), VIRTIO_NET_F_MTU) | bit(backend.pairs() > 1, VIRTIO_NET_F_MQ);
    // Rings that are served elsewhere decide how they and their headers look, and filter nothing.
    let elsewhere = RING_FEATURES | VIRTIO_NET_F_MRG_RXBUF;
    let by_whom = by_rings.map_or(RING_FEATURES | FILTERING, |rings| rings.features() & elsewhere);
    let ours = if by_rings.is_some() { ours & !VIRTIO_NET_F_MRG_RXBUF } else { ours };
    ours | by_whom | of_backend(backend.offloads())
}

/// The queues of an activation by what they are for.
struct Queues {
    pairs: Vec<[(u16, ActiveQueue); 2]>,
    control: Option<(u16, ActiveQueue)>,
}

impl Queues {
    /// The control queue comes after all pairs, or after the first where the driver knows of no others (virtio 1.2
    /// §5.1.2). A pair that is not enabled as a whole is none.
    fn sort(queues: Vec<Option<ActiveQueue>>, features: u64) -> Result<Self, ActivateError> {
        let pairs = if features & VIRTIO_NET_F_MQ == 0 { 1 } else { queues.len() / 2 };
        let mut queues = (0..).zip(queues).map(|(index, queue)| (index, queue.map(|queue| (index, queue))));
        let mut next = || queues.next().unwrap_or((u16::MAX, None));
        let mut sorted = Self { pairs: Vec::new(), control: None };
        for pair in 0..pairs {
            match (next(), next()) {
                ((_, Some(receive)), (_, Some(transmit))) => sorted.pairs.push([receive, transmit]),
                ((index, None), _) | (_, (index, None)) if pair == 0 => {
                    return Err(ActivateError::QueueMissing { index });
                }
                _ => break,
            }
        }
        if features & VIRTIO_NET_F_CTRL_VQ != 0 {
            let at = u16::try_from(pairs * 2).unwrap_or(u16::MAX);
            sorted.control = queues.find(|(index, _)| *index == at).and_then(|(_, queue)| queue);
        }
        Ok(sorted)
    }
}

/// What the services of an activation are made from.
struct Start {
    memory: Arc<GuestMemory>,
    features: u64,
    interrupt: Arc<dyn VirtioInterrupt>,
    agreement: Agreement,
}

impl Start {
    fn queue(&self, (index, queue): (u16, ActiveQueue)) -> DeviceQueue {
        let (memory, interrupt) = (Arc::clone(&self.memory), Arc::clone(&self.interrupt));
        DeviceQueue::new(index, queue, memory, self.features, interrupt)
    }
}

impl Interface {
    /// What a save gives: what was agreed on, or what was taken over for an activation that is still to come.
    fn state(&self, features: u64) -> NetState {
        let agreement = self.shared.agreement();
        let restored = self.restored();
        let restored = restored.as_ref().filter(|_| agreement.is_none());
        NetState {
            features,
            mac: self.options.mac,
            pairs: self.backend.pairs(),
            mtu: self.options.mtu.unwrap_or(0),
            link_up: self.shared.is_plugged(),
            announce: restored.map_or_else(|| self.shared.is_announcement_due(), |state| state.announce),
            agreement: agreement.or_else(|| restored.and_then(|state| state.agreement.clone())),
        }
    }

    fn pinned_mac(&self) -> Option<Mac> {
        (!self.options.allow_spoofed_mac).then_some(self.options.mac)
    }

    /// The configuration space (virtio 1.2 §5.1.4): address, status, pairs of queues, MTU.
    fn space(&self) -> [u8; 12] {
        let mac = self.shared.agreement().map_or(self.options.mac, |agreement| agreement.mac);
        let [m0, m1, m2, m3, m4, m5] = mac;
        let [s0, s1] = self.shared.status().to_le_bytes();
        let [p0, p1] = self.backend.pairs().to_le_bytes();
        let [t0, t1] = self.options.mtu.unwrap_or(0).to_le_bytes();
        [m0, m1, m2, m3, m4, m5, s0, s1, p0, p1, t0, t1]
    }

    fn restored(&self) -> MutexGuard<'_, Option<NetState>> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a driver with these features begins with: what was saved, or the usual.
    fn first_agreement(&self, features: u64) -> (Agreement, bool) {
        let restored = self.restored().take().and_then(|state| state.agreement);
        let is_restored = restored.is_some();
        let usual = || Agreement {
            mac: self.options.mac,
            filter: Filter::default(),
            pairs: 1,
            offloads: features & GUEST_OFFLOADS,
        };
        let mut agreement = restored.unwrap_or_else(usual);
        agreement.offloads &= features;
        (agreement, is_restored)
    }

    fn control(&self, start: &Start, queue: (u16, ActiveQueue), pairs: usize) -> Control {
        let handler = Handler {
            shared: Arc::clone(&self.shared),
            backend: Arc::clone(&self.backend),
            features: start.features,
            pinned_mac: self.pinned_mac(),
            pairs: u16::try_from(pairs).unwrap_or(u16::MAX),
        };
        Control { queue: start.queue(queue), handler }
    }

    /// A thread for each pair.
    fn start_pairs(
        &self,
        common: &VirtioCommon<NetService>,
        start: &Start,
        queues: Queues,
    ) -> Result<(), ActivateError> {
        let count = queues.pairs.len();
        let mut control = queues.control.map(|queue| self.control(start, queue, count));
        for (pair, [receive, transmit]) in (0..).zip(queues.pairs) {
            let control = control.take();
            let mut doorbells = vec![
                (receive.0, Arc::clone(&receive.1.doorbell)),
                (transmit.0, Arc::clone(&transmit.1.doorbell)),
            ];
            doorbells.extend(
                control.iter().map(|control| (control.queue.index(), Arc::clone(control.queue.doorbell()))),
            );
            let packets = self.backend.open(pair)?;
            let event = packets.event().try_clone_to_owned()?;
            let service = PairService {
                pair,
                rx: start.queue(receive),
                tx: start.queue(transmit),
                control,
                receive_limiter: Limiter::new(Arc::clone(&self.throttles.receive)),
                transmit_limiter: Limiter::new(Arc::clone(&self.throttles.transmit)),
                receiver: Receiver::new(start.features & VIRTIO_NET_F_MRG_RXBUF != 0),
                packets,
                shared: Arc::clone(&self.shared),
                view: View::of(&self.shared, start.agreement.clone()),
                pinned_mac: self.pinned_mac(),
                stale: false,
                condition: Condition::Ready,
                gone: false,
            };
            let descriptors = vec![(BACKEND, event.as_fd())];
            let name = if pair == 0 { "virtio-net".to_owned() } else { format!("virtio-net{pair}") };
            common.start(&name, NetService::Pair(Box::new(service)), Sources { doorbells, descriptors })?;
        }
        Ok(())
    }

    /// One thread beside a back-end that serves all pairs.
    fn start_rings(
        &self,
        common: &VirtioCommon<NetService>,
        start: &Start,
        queues: Queues,
        (rings, changed): (&Arc<dyn RingBackend>, Arc<EventFd>),
    ) -> Result<(), ActivateError> {
        let control = queues.control.map(|queue| self.control(start, queue, queues.pairs.len()));
        let mut pairs = Vec::new();
        for [receive, transmit] in queues.pairs {
            let served =
                |(index, queue)| ServedRing::new(index, queue, start.features, start.interrupt.as_ref());
            pairs.push([served(receive)?, served(transmit)?]);
        }
        let mut doorbells = vec![(CHANGED, Arc::clone(&changed))];
        doorbells.extend(pairs.iter().flatten().flat_map(ServedRing::sources));
        doorbells.extend(
            control.iter().map(|control| (control.queue.index(), Arc::clone(control.queue.doorbell()))),
        );
        let service = RingService {
            rings: Arc::clone(rings),
            memory: Arc::clone(&start.memory),
            features: start.features,
            interrupt: Arc::clone(&start.interrupt),
            pairs,
            control,
            shared: Arc::clone(&self.shared),
            view: View::of(&self.shared, start.agreement.clone()),
            changed,
            started: false,
        };
        common.start(
            "virtio-net",
            NetService::Rings(Box::new(service)),
            Sources { doorbells, descriptors: Vec::new() },
        )?;
        Ok(())
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
        let queues = Queues::sort(queues, features)?;
        let (mut agreement, is_restored) = self.first_agreement(features);
        agreement.pairs = agreement.pairs.min(u16::try_from(queues.pairs.len()).unwrap_or(u16::MAX));
        self.backend.set_guest_offloads(agreement.guest_offloads())?;
        self.backend.use_pairs(agreement.pairs)?;
        let changed = Arc::new(EventFd::new(EFD_NONBLOCK)?);
        // With rings elsewhere their doorbells are not ours to ring.
        let wake = match &self.options.rings {
            None => queues.pairs.iter().map(|[receive, _]| Arc::clone(&receive.1.doorbell)).collect(),
            Some(_) => vec![Arc::clone(&changed)],
        };
        let start = Start { memory, features, interrupt, agreement };
        let interrupt = Arc::clone(&start.interrupt);
        let announces = features & VIRTIO_NET_F_GUEST_ANNOUNCE != 0;
        self.shared.attach(Driver { agreement: start.agreement.clone(), interrupt, wake, announces });
        match &self.options.rings {
            None => self.start_pairs(common, &start, queues)?,
            Some(rings) => self.start_rings(common, &start, queues, (rings, changed))?,
        }
        // Where it was saved the network may still send to the old place.
        if is_restored {
            self.shared.ask_to_announce();
        }
        Ok(())
    }

    /// The next driver may take less than the last one, and what waits was not sent to it.
    fn stopped(&self, services: Vec<NetService>) {
        drop(services);
        self.shared.detach();
        *self.restored() = None;
        let forgotten = self
            .backend
            .set_guest_offloads(Offloads::default())
            .and_then(|()| self.backend.use_pairs(1))
            .and_then(|()| self.backend.discard());
        if let Err(error) = forgotten {
            tracing::debug!(%error, "network back-end keeps what it had for the last driver");
        }
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        self.state(features).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        NetState::check(state, &self.state(features), self.pinned_mac()).map(drop)
    }

    fn restore(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        let saved = NetState::check(state, &self.state(features), self.pinned_mac())?;
        self.shared.set_link(saved.link_up);
        *self.restored() = Some(saved);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.shared.metrics.values()
    }
}
