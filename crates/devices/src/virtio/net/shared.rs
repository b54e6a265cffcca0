// SPDX-License-Identifier: Apache-2.0
//! What the threads of an interface and its owner have in common: the agreement with the driver, and the link.
//!
//! The agreement changes rarely and is looked at for each frame. So each thread keeps a copy and compares one counter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use flotilla_device_model::net::{LinkAlarm, Offloads};
use flotilla_device_model::virtio::VirtioInterrupt;
use serde::{Deserialize, Serialize};
use vmm_sys_util::eventfd::EventFd;

use super::features::guest_offloads;
use super::filter::{Filter, Mac};
use super::metrics::NetMetrics;

/// `VIRTIO_NET_S_LINK_UP` and `VIRTIO_NET_S_ANNOUNCE`.
const LINK_UP: u16 = 1;
const ANNOUNCE: u16 = 2;

/// What an interface and its driver agreed on since the activation. Also its saved form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreement {
    /// The address of the interface.
    pub(super) mac: Mac,
    /// Which frames the driver wants.
    pub(super) filter: Filter,
    /// Pairs of queues in use.
    pub(super) pairs: u16,
    /// The feature bits of what the driver takes beside plain frames.
    pub(super) offloads: u64,
}

impl Agreement {
    /// What the driver takes, as back-ends know it.
    pub(super) fn guest_offloads(&self) -> Offloads {
        guest_offloads(self.offloads)
    }
}

/// An activated driver.
pub(super) struct Driver {
    pub(super) agreement: Agreement,
    pub(super) interrupt: Arc<dyn VirtioInterrupt>,
    /// Doorbells that wake each of the threads.
    pub(super) wake: Vec<Arc<EventFd>>,
    /// Whether it announces itself when it is asked to.
    pub(super) announces: bool,
}

/// Shared by the threads of an interface and its owner.
pub(super) struct Shared {
    pub(super) metrics: NetMetrics,
    driver: Mutex<Option<Driver>>,
    changes: AtomicU64,
    /// Whether the cable is plugged in.
    plugged: AtomicBool,
    /// Whether nothing is at its other end any more.
    lost: AtomicBool,
    /// Who is told of that, by the name of the device.
    alarm: OnceLock<(Arc<dyn LinkAlarm>, String)>,
    announce: AtomicBool,
}

impl Shared {
    pub(super) fn new(link_up: bool) -> Self {
        Self {
            metrics: NetMetrics::default(),
            driver: Mutex::new(None),
            changes: AtomicU64::new(0),
            plugged: AtomicBool::new(link_up),
            lost: AtomicBool::new(false),
            alarm: OnceLock::new(),
            announce: AtomicBool::new(false),
        }
    }

    /// A driver is there. Every thread starts with the agreement as it stands.
    pub(super) fn attach(&self, driver: Driver) {
        *self.driver() = Some(driver);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// The driver is gone, and what it was to announce with it.
    pub(super) fn detach(&self) {
        *self.driver() = None;
        self.announce.store(false, Ordering::SeqCst);
    }

    /// The agreement as it stands, if there is a driver.
    pub(super) fn agreement(&self) -> Option<Agreement> {
        self.driver().as_ref().map(|driver| driver.agreement.clone())
    }

    /// Changes the agreement and lets every thread see it.
    pub(super) fn change(&self, change: impl FnOnce(&mut Agreement)) {
        let mut held = self.driver();
        let Some(driver) = held.as_mut() else { return };
        change(&mut driver.agreement);
        self.changes.fetch_add(1, Ordering::SeqCst);
        wake(driver);
    }

    /// Grows with every change of the agreement or the link.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether frames pass: the cable is plugged in, and something is at its other end.
    pub(super) fn is_link_up(&self) -> bool {
        self.is_plugged() && !self.lost.load(Ordering::SeqCst)
    }

    /// Whether the cable is plugged in.
    pub(super) fn is_plugged(&self) -> bool {
        self.plugged.load(Ordering::SeqCst)
    }

    /// Plugs the cable in or pulls it out, and tells the driver.
    pub(super) fn set_link(&self, up: bool) {
        if self.plugged.swap(up, Ordering::SeqCst) != up {
            self.link_changed();
        }
    }

    /// Who is told, once, when the network is gone.
    pub(super) fn set_alarm(&self, alarm: Arc<dyn LinkAlarm>, device: &str) {
        // Set while the device is built, before anybody could lose anything.
        let _ = self.alarm.set((alarm, device.to_owned()));
    }

    /// The network is gone for good: the driver sees no carrier from now on.
    pub(super) fn lose_link(&self) {
        if self.lost.swap(true, Ordering::SeqCst) {
            return;
        }
        self.metrics.link_losses.increment();
        // Before the driver: what its guest does about it comes after.
        if let Some((alarm, device)) = self.alarm.get() {
            alarm.link_lost(device);
        }
        self.link_changed();
    }

    fn link_changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if let Some(driver) = self.driver().as_ref() {
            wake(driver);
            driver.interrupt.signal_config();
        }
    }

    /// Asks the driver to tell the network where it is now (virtio 1.2 §5.1.6.5.4). `false`: there is none that knows how, or
    /// no frame of it would pass.
    pub(super) fn ask_to_announce(&self) -> bool {
        let held = self.driver();
        let Some(driver) = held.as_ref().filter(|driver| driver.announces && self.is_link_up()) else {
            return false;
        };
        self.announce.store(true, Ordering::SeqCst);
        self.metrics.announcements.increment();
        driver.interrupt.signal_config();
        true
    }

    /// The driver did; `false` if it was not asked.
    pub(super) fn announced(&self) -> bool {
        self.announce.swap(false, Ordering::SeqCst)
    }

    pub(super) fn is_announcement_due(&self) -> bool {
        self.announce.load(Ordering::SeqCst)
    }

    /// `status` of the configuration space.
    pub(super) fn status(&self) -> u16 {
        let bit = |set: bool, bit: u16| if set { bit } else { 0 };
        bit(self.is_link_up(), LINK_UP) | bit(self.is_announcement_due(), ANNOUNCE)
    }

    fn driver(&self) -> MutexGuard<'_, Option<Driver>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(driver: &Driver) {
    for doorbell in &driver.wake {
        // A full counter means that it rings already.
        let _ = doorbell.write(1);
    }
}

/// A thread's own copy of what is looked at for each frame.
pub(super) struct View {
    pub(super) agreement: Agreement,
    pub(super) link_up: bool,
    seen: u64,
}

impl View {
    pub(super) fn of(shared: &Shared, agreement: Agreement) -> Self {
        Self { agreement, link_up: shared.is_link_up(), seen: 0 }
    }

    /// Brings the copy up to date.
    pub(super) fn refresh(&mut self, shared: &Shared) {
        let now = shared.changes();
        if now == self.seen {
            return;
        }
        self.seen = now;
        self.link_up = shared.is_link_up();
        if let Some(agreement) = shared.agreement() {
            self.agreement = agreement;
        }
    }
}
