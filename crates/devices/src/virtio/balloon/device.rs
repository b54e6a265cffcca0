// SPDX-License-Identifier: Apache-2.0
//! What the balloon is.

use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};
use thiserror::Error;

use super::features::{
    VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_BALLOON_F_PAGE_POISON,
    VIRTIO_BALLOON_F_PAGE_REPORTING, VIRTIO_BALLOON_F_STATS_VQ,
};
use super::frames::PAGE;
use super::hints::Hinted;
use super::roles::roles;
use super::service::{BalloonService, Role};
use super::shared::{Driver, Shared};
use super::state::BalloonState;
use super::statistics::Statistics;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.5.
const VIRTIO_ID_BALLOON: u32 = 5;
/// Entries of a queue. With the limit of frames in a chain it bounds what one ring of a doorbell makes us do.
const QUEUE_MAX_SIZE: u16 = 64;
/// Queues there are always, with hints, and with reports, which are the last.
const QUEUES: usize = 3;
const QUEUES_WITH_HINTS: usize = 4;
const QUEUES_WITH_REPORTS: usize = 5;

/// A target is no multiple of a page, or more than the balloon may hold.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Balloon of {bytes} bytes is not whole pages of 4096 bytes, or more than {limit} bytes")]
pub struct TargetError {
    /// What was asked for.
    pub bytes: u64,
    /// The most that may be.
    pub limit: u64,
}

/// What a balloon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalloonOptions {
    /// Bytes it shall hold at first, in whole pages of 4096.
    pub target: u64,
    /// The most bytes that it may ever be asked to hold.
    pub limit: u64,
    /// Whether the guest may take pages out by itself before it runs out of memory.
    pub deflate_on_oom: bool,
    /// Whether the guest names pages that nobody uses, unasked.
    pub free_page_reporting: bool,
    /// Whether it names them when it is asked to.
    pub free_page_hinting: bool,
    /// Between two times that the guest is asked for statistics. `None`: only when somebody wants them.
    pub statistics_interval: Option<Duration>,
}

/// A memory balloon.
///
/// ```
/// use flotilla_device_model::virtio::VirtioDevice;
/// use flotilla_devices::virtio::balloon::device::{Balloon, BalloonOptions};
///
/// let balloon = Balloon::new("balloon", BalloonOptions {
///     target: 0, limit: 64 << 20, deflate_on_oom: true, free_page_reporting: false, free_page_hinting: false,
///     statistics_interval: None,
/// })?;
/// assert_eq!(balloon.device_type(), 5);
/// balloon.set_target(16 << 20)?;
/// assert_eq!((balloon.target(), balloon.actual()), (16 << 20, 0));
/// # Ok::<(), flotilla_devices::virtio::balloon::device::TargetError>(())
/// ```
pub type Balloon = Device<Pages>;

/// What is particular about it.
pub struct Pages {
    limit: u64,
    interval: Option<Duration>,
    pub(super) shared: Arc<Shared>,
}

impl Balloon {
    /// A balloon that no driver has filled yet.
    pub fn new(name: impl Into<String>, options: BalloonOptions) -> Result<Self, TargetError> {
        let bit = |wanted: bool, bits: u64| if wanted { bits } else { 0 };
        let (reporting, hinting) = (options.free_page_reporting, options.free_page_hinting);
        let features = RING_FEATURES
            | VIRTIO_BALLOON_F_STATS_VQ
            | bit(options.deflate_on_oom, VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
            | bit(reporting || hinting, VIRTIO_BALLOON_F_PAGE_POISON)
            | bit(reporting, VIRTIO_BALLOON_F_PAGE_REPORTING)
            | bit(hinting, VIRTIO_BALLOON_F_FREE_PAGE_HINT);
        let queues = match (reporting, hinting) {
            (true, _) => QUEUES_WITH_REPORTS,
            (false, true) => QUEUES_WITH_HINTS,
            (false, false) => QUEUES,
        };
        let common = VirtioCommon::new(name, features, vec![QUEUE_MAX_SIZE; queues]);
        let target = pages(options.target, options.limit)?;
        let shared = Arc::new(Shared::new(target));
        Ok(Self::with(common, Pages { limit: options.limit, interval: options.statistics_interval, shared }))
    }

    /// Sets the bytes that the balloon shall hold; the driver hears of it. What follows is up to the guest.
    pub fn set_target(&self, bytes: u64) -> Result<(), TargetError> {
        self.model().shared.set_target(pages(bytes, self.model().limit)?);
        Ok(())
    }

    /// Bytes that it shall hold.
    pub fn target(&self) -> u64 {
        u64::from(self.model().shared.config().num_pages) * PAGE
    }

    /// Bytes that it holds, as the guest says, which cannot be more than it was ever asked for.
    pub fn actual(&self) -> u64 {
        (u64::from(self.model().shared.config().actual) * PAGE).min(self.model().limit)
    }

    /// What the guest told last about its memory, and how long ago.
    pub fn statistics(&self) -> Option<(Statistics, Duration)> {
        self.model().shared.statistics()
    }

    /// Asks the guest for new statistics and waits for them, up to `limit`; whether they came. At once when it has no driver
    /// for them.
    pub fn refresh_statistics(&self, limit: Duration) -> bool {
        self.model().shared.refresh(limit)
    }

    /// Asks the guest for what nothing in it uses now, gives it back to the host and waits until there is no more, up to
    /// `limit`. Then the guest may have the pages again, which it finds empty. `None` when it has no driver for that. Who comes
    /// while the guest is at it has a part in the same round.
    pub fn hint(&self, limit: Duration) -> Option<Hinted> {
        let shared = &self.model().shared;
        shared.begin_hints().map(|id| shared.wait_for_hints(id, limit))
    }
}

impl Model for Pages {
    type Service = BalloonService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_BALLOON;
    const DOORBELLS_WAIT: bool = true;

    fn config(&self) -> Vec<u8> {
        self.shared.config().bytes().into()
    }

    fn write_config(&self, offset: u64, data: &[u8]) {
        self.shared.write_config(offset, data);
    }

    fn takes_doorbells(&self) -> bool {
        self.shared.takes_hints()
    }

    fn activate(
        &self,
        common: &VirtioCommon<BalloonService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let (mut served, mut doorbells) = (Vec::new(), Vec::new());
        let mut statistics = None;
        let used: Vec<u16> =
            (0..).zip(&queues).filter_map(|(index, queue)| queue.is_some().then_some(index)).collect();
        let roles = roles(&used, features)?;
        for (index, active) in (0..).zip(queues) {
            let Some((active, role)) = active.zip(roles.get(&index).copied()) else { continue };
            if role == Role::Statistics {
                statistics = Some(Arc::clone(&active.doorbell));
            }
            doorbells.push((index, Arc::clone(&active.doorbell)));
            let queue =
                DeviceQueue::new(index, active, Arc::clone(&memory), features, Arc::clone(&interrupt));
            served.push((role, queue));
        }
        let hints = roles.values().any(|role| *role == Role::Hints);
        self.shared.attach(Driver { interrupt, statistics, hints });
        let service = BalloonService::new(served, Arc::clone(&self.shared), self.interval);
        common.start("virtio-balloon", service, Sources { doorbells, descriptors: Vec::new() })?;
        Ok(())
    }

    fn stopped(&self, _services: Vec<BalloonService>) {
        self.shared.detach();
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        BalloonState::of(features, self.shared.config(), self.shared.last_hint()).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        BalloonState::unpack(state, features, most_pages(self.limit)).map(drop)
    }

    fn restore(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        let (config, last_hint) = BalloonState::unpack(state, features, most_pages(self.limit))?;
        self.shared.restore(config, last_hint);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let config = self.shared.config();
        let mut values = self.shared.metrics.values();
        values.push(("target_bytes", u64::from(config.num_pages) * PAGE));
        values.push(("actual_bytes", (u64::from(config.actual) * PAGE).min(self.limit)));
        values
    }
}

fn most_pages(limit: u64) -> u32 {
    u32::try_from(limit / PAGE).unwrap_or(u32::MAX)
}

fn pages(bytes: u64, limit: u64) -> Result<u32, TargetError> {
    let whole = bytes.is_multiple_of(PAGE) && bytes <= limit;
    let pages = u32::try_from(bytes / PAGE).ok().filter(|_| whole);
    pages.ok_or(TargetError { bytes, limit })
}
