// SPDX-License-Identifier: Apache-2.0
//! What the balloon is.

use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};
use thiserror::Error;

use super::features::{
    VIRTIO_BALLOON_F_DEFLATE_ON_OOM, VIRTIO_BALLOON_F_PAGE_POISON, VIRTIO_BALLOON_F_PAGE_REPORTING,
    VIRTIO_BALLOON_F_STATS_VQ,
};
use super::frames::PAGE;
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
/// Indices of the queues (virtio 1.2 §5.5.2).
const INFLATEQ: u16 = 0;
const DEFLATEQ: u16 = 1;
const STATSQ: u16 = 2;
/// Entries of a queue. With the limit of frames in a chain it bounds what one ring of a doorbell makes us do.
const QUEUE_MAX_SIZE: u16 = 64;
/// Queues with reporting, which is the last, and without.
const QUEUES: [usize; 2] = [3, 5];

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
    /// Whether the guest names pages that nobody uses.
    pub free_page_reporting: bool,
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
///     target: 0, limit: 64 << 20, deflate_on_oom: true, free_page_reporting: false, statistics_interval: None,
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
    shared: Arc<Shared>,
}

impl Balloon {
    /// A balloon that no driver has filled yet.
    pub fn new(name: impl Into<String>, options: BalloonOptions) -> Result<Self, TargetError> {
        let bit = |wanted: bool, bits: u64| if wanted { bits } else { 0 };
        let reporting = VIRTIO_BALLOON_F_PAGE_POISON | VIRTIO_BALLOON_F_PAGE_REPORTING;
        let features = RING_FEATURES
            | VIRTIO_BALLOON_F_STATS_VQ
            | bit(options.deflate_on_oom, VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
            | bit(options.free_page_reporting, reporting);
        let [without, with] = QUEUES;
        let queues = if options.free_page_reporting { with } else { without };
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
}

impl Model for Pages {
    type Service = BalloonService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_BALLOON;

    fn config(&self) -> Vec<u8> {
        self.shared.config().bytes().into()
    }

    fn write_config(&self, offset: u64, data: &[u8]) {
        self.shared.write_config(offset, data);
    }

    fn activate(
        &self,
        common: &VirtioCommon<BalloonService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let (mut served, mut doorbells) = (Vec::new(), Vec::new());
        let mut statistics = None;
        for (index, active) in (0..).zip(queues) {
            let Some(active) = active else {
                if index <= DEFLATEQ {
                    return Err(ActivateError::QueueMissing { index });
                }
                continue;
            };
            let Some(role) = role(index, features) else { continue };
            if role == Role::Statistics {
                statistics = Some(Arc::clone(&active.doorbell));
            }
            doorbells.push((index, Arc::clone(&active.doorbell)));
            let queue =
                DeviceQueue::new(index, active, Arc::clone(&memory), features, Arc::clone(&interrupt));
            served.push((role, queue));
        }
        self.shared.attach(Driver { interrupt, statistics });
        let service = BalloonService::new(served, Arc::clone(&self.shared), self.interval);
        common.start("virtio-balloon", service, Sources { doorbells, descriptors: Vec::new() })?;
        Ok(())
    }

    fn stopped(&self, _services: Vec<BalloonService>) {
        self.shared.detach();
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        BalloonState::of(features, self.shared.config()).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        BalloonState::unpack(state, features, most_pages(self.limit)).map(drop)
    }

    fn restore(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        self.shared.set_config(BalloonState::unpack(state, features, most_pages(self.limit))?);
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

/// What a queue is for. Drivers do not agree on where the queue of reports is without hinting between: some keep its place
/// after the one of hints, as the specification has it, others close up. Nothing else can be there.
fn role(index: u16, features: u64) -> Option<Role> {
    match index {
        INFLATEQ => Some(Role::Inflate),
        DEFLATEQ => Some(Role::Deflate),
        STATSQ if features & VIRTIO_BALLOON_F_STATS_VQ != 0 => Some(Role::Statistics),
        _ if features & VIRTIO_BALLOON_F_PAGE_REPORTING != 0 => Some(Role::Reporting),
        _ => None,
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
