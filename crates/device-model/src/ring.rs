// SPDX-License-Identifier: Apache-2.0
//! Rings that a back-end serves by itself, in the kernel or in another process.

use virtio_queue::QueueState;
use vmm_sys_util::eventfd::EventFd;

/// A ring for a back-end that serves it by itself.
#[derive(Clone, Copy)]
pub struct Ring<'a> {
    /// Addresses and positions.
    pub state: QueueState,
    /// The driver signals it when chains wait.
    pub kick: &'a EventFd,
    /// To be signalled when chains were used and the driver wants to know.
    pub call: &'a EventFd,
    /// To be signalled when the driver broke the ring.
    pub error: &'a EventFd,
}
