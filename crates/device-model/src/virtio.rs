// SPDX-License-Identifier: Apache-2.0
//! The seam between a virtio device and its transport.
//!
//! The transport (virtio-pci, virtio-mmio) owns registers, negotiation, queue addresses and interrupts. The device
//! owns features, configuration space and the meaning of its queues. Neither names the other.

use std::sync::Arc;

use flotilla_memory::GuestMemory;
use thiserror::Error;
use virtio_queue::Queue;
use vmm_sys_util::eventfd::EventFd;

use crate::lifecycle::Lifecycle;

/// A virtio device (virtio 1.2 §5), whatever its transport.
///
/// Order that the transport keeps: `activate` once the driver set `DRIVER_OK`, at most once until `deactivate`;
/// `deactivate` before it answers a device reset. Both come on a vCPU thread; `pause`, `resume`, `save` and
/// `restore` on the thread that drives the machine, through the transport, which saves the common part itself.
pub trait VirtioDevice: Lifecycle {
    /// The device type of virtio 1.2 §5 (2 is a block device).
    fn device_type(&self) -> u32;

    /// The feature bits this device offers, without those of the transport (`VIRTIO_F_VERSION_1` is the transport's).
    fn device_features(&self) -> u64;

    /// The largest size of each queue; its length is the number of queues.
    fn queue_max_sizes(&self) -> &[u16];

    /// Reads the device configuration space. Bytes past its end read as zero.
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// Writes the device configuration space. Writes to read-only fields and past the end are ignored.
    fn write_config(&self, _offset: u64, _data: &[u8]) {}

    /// Whether the vCPU that rings a doorbell shall leave the guest and call [`VirtioDevice::doorbell`], instead of only
    /// signalling the eventfd of the queue from inside the kernel. For devices that answer faster than another thread
    /// wakes up.
    fn takes_doorbells(&self) -> bool {
        false
    }

    /// The driver rang the doorbell of `queue`, on the thread of a vCPU. `false`: this call did nothing, the eventfd of
    /// the queue has to be signalled.
    fn doorbell(&self, _queue: u16) -> bool {
        false
    }

    /// Starts to serve the queues. After an error the transport sets `DEVICE_NEEDS_RESET`.
    fn activate(&self, activation: Activation) -> Result<(), ActivateError>;

    /// Stops serving, waits for what is in flight and drops the queues, giving back their last positions. Idempotent.
    fn deactivate(&self);

    /// The queues as they stand, in order of their index, `None` where a queue is not enabled. Called while paused,
    /// so that the transport can save them.
    fn queues(&self) -> Vec<Option<virtio_queue::QueueState>>;
}

/// What a device gets when its driver is ready.
pub struct Activation {
    /// The machine's RAM.
    pub memory: Arc<GuestMemory>,
    /// The features both sides agreed on.
    pub features: u64,
    /// The queues, in order of their index; `None` where the driver enabled none.
    pub queues: Vec<Option<ActiveQueue>>,
    /// How to reach the driver.
    pub interrupt: Arc<dyn VirtioInterrupt>,
}

/// A queue the driver enabled.
pub struct ActiveQueue {
    /// Ring addresses and positions, already validated by the transport.
    pub queue: Queue,
    /// Signalled when the driver rings the doorbell.
    pub doorbell: Arc<EventFd>,
}

/// How a device reaches its driver. Cheap, from any thread, never blocks.
pub trait VirtioInterrupt: Send + Sync {
    /// Used buffers are in the queue (virtio 1.2 §2.3).
    fn signal_queue(&self, queue: u16);
    /// An eventfd that does the same when it is signalled, so that a back-end outside of this process reaches the driver
    /// by itself. `None` where there is none; then call `signal_queue`. It serves until the device is reset, and the
    /// driver cannot give the queue another vector as long.
    fn queue_event(&self, _queue: u16) -> Option<EventFd> {
        None
    }
    /// The configuration space changed.
    fn signal_config(&self);
    /// The guest broke the device's protocol: sets `DEVICE_NEEDS_RESET` (virtio 1.2 §2.1.2) and signals a
    /// configuration change. The device does nothing more until it is reset.
    fn needs_reset(&self);
}

/// Why a device could not start to serve its queues.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// A queue the device cannot work without is missing.
    #[error("Driver did not enable queue {index}, which the device cannot work without")]
    QueueMissing {
        /// Index of the queue.
        index: u16,
    },
    /// The host refused a resource.
    #[error("Cannot start the device's I/O thread or back-end")]
    Host(#[from] std::io::Error),
}

/// Binds doorbell registers to eventfds, so that ringing one does not leave the kernel. Supplied by the machine.
pub trait Doorbells: Send + Sync {
    /// Signals `event` on each write to the guest physical `address`; with `value`, only on writes of that 32-bit value.
    fn attach(&self, address: u64, value: Option<u32>, event: &EventFd) -> std::io::Result<()>;
    /// Ends what `attach` with the same arguments began.
    fn detach(&self, address: u64, value: Option<u32>, event: &EventFd) -> std::io::Result<()>;
}
