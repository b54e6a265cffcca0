// SPDX-License-Identifier: Apache-2.0
//! Back-end to driver (virtio 1.2 §5.1.6.4).
//!
//! The back-end writes a frame straight into the driver's buffers, and only afterwards do we know how long it is. So
//! buffers are collected ahead, enough for the longest frame if the driver has offered that much, and those that a
//! frame left unused wait for the next one. Before a pause they go back to the queue.

use std::collections::VecDeque;
use std::io;

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Offloads, PacketBackend};
use flotilla_memory::{Bytes, GuestMemory};

use super::metrics::NetMetrics;
use super::transmit::HEADER_LEN;
use crate::virtio::chain::{Chain, QueueError, pieces};
use crate::virtio::queue::DeviceQueue;

/// The longest frame with its header: a segment of 64 KiB (virtio 1.2 §5.1.6.3.1).
const MAX_FRAME: u32 = 65_562;

/// Most segments that a back-end gets at once; the kernel takes 1024 buffers in one call.
const MAX_SEGMENTS: usize = 1000;
/// Frames received before the other queue, a pause or a stop has its turn.
const BATCH: usize = 64;
/// Failures in a row after which the back-end counts as gone.
const MAX_FAILURES: u32 = 16;

/// Offsets of `flags`, `gso_type` and `num_buffers` in the header.
const FLAGS: u32 = 0;
const GSO_TYPE: u32 = 1;
const NUM_BUFFERS: u32 = 10;

/// `gso_type`: no segment (`VIRTIO_NET_HDR_GSO_NONE`), TCP over IPv4 or IPv6, and the bit for ECN.
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_ECN: u8 = 0x80;

/// What the receiver wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Tell when a frame waits.
    Frame,
    /// Tell when the driver has offered buffers.
    Buffer,
    /// Nothing: the back-end is gone.
    Nothing,
}

/// What was negotiated about received frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreement {
    /// A frame may be spread over several chains (`VIRTIO_NET_F_MRG_RXBUF`).
    pub(super) mergeable: bool,
    /// What the driver takes beside plain frames.
    pub(super) offloads: Offloads,
}

impl Agreement {
    /// Whether a frame with this `gso_type` may reach the driver (virtio 1.2 §5.1.6.4.1).
    fn allows(self, gso_type: u8) -> bool {
        let segment = match gso_type & !GSO_ECN {
            GSO_NONE => true,
            GSO_TCPV4 => self.offloads.tso4,
            GSO_TCPV6 => self.offloads.tso6,
            _ => false,
        };
        segment && (gso_type & GSO_ECN == 0 || self.offloads.ecn)
    }
}

/// Serves the receive queue.
pub(super) struct Receiver {
    agreement: Agreement,
    held: VecDeque<Chain>,
    held_len: u64,
    held_segments: usize,
    failures: u32,
}

impl Receiver {
    pub(super) fn new(agreement: Agreement) -> Self {
        Self { agreement, held: VecDeque::new(), held_len: 0, held_segments: 0, failures: 0 }
    }

    /// Gives the driver frames until none waits, no buffer is left or others must have their turn.
    pub(super) fn serve(
        &mut self,
        queue: &mut DeviceQueue,
        backend: &dyn PacketBackend,
        metrics: &NetMetrics,
    ) -> Result<Next, QueueError> {
        let result = self.receive_batch(queue, backend, metrics);
        queue.publish()?;
        result
    }

    /// Gives the buffers back that no frame has used.
    pub(super) fn put_back(&mut self, queue: &mut DeviceQueue) {
        let heads: Vec<u16> = self.held.drain(..).map(|chain| chain.head).collect();
        queue.put_back(&heads);
        (self.held_len, self.held_segments) = (0, 0);
    }

    fn receive_batch(
        &mut self,
        queue: &mut DeviceQueue,
        backend: &dyn PacketBackend,
        metrics: &NetMetrics,
    ) -> Result<Next, QueueError> {
        for _ in 0..BATCH {
            if self.failures >= MAX_FAILURES {
                return Ok(Next::Nothing);
            }
            if !self.collect(queue)? {
                metrics.rx_no_buffers.increment();
                return Ok(Next::Buffer);
            }
            let segments = self.segments();
            let capacity: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
            match backend.receive(queue.memory(), &segments) {
                Ok(None) => return Ok(Next::Frame),
                Ok(Some(len)) => {
                    self.failures = 0;
                    self.take(u64::try_from(len).unwrap_or(u64::MAX), capacity, queue, metrics)?;
                }
                Err(error) => self.fail(&error, metrics),
            }
        }
        Ok(Next::Frame)
    }

    /// Takes buffers from the queue until there are enough for any frame; `false` if there is none at all. The
    /// driver rings when it adds some only after that.
    fn collect(&mut self, queue: &mut DeviceQueue) -> Result<bool, QueueError> {
        loop {
            while !self.has_enough() {
                let Some(chain) = queue.pop()? else { break };
                if chain.writable_len() < HEADER_LEN {
                    queue.mark_broken();
                    return Ok(false);
                }
                self.held_len += u64::from(chain.writable_len());
                self.held_segments += chain.writable.len();
                self.held.push_back(chain);
            }
            if !self.held.is_empty() {
                queue.disable_notifications()?;
                return Ok(true);
            }
            if !queue.enable_notifications()? {
                return Ok(false);
            }
        }
    }

    fn has_enough(&self) -> bool {
        if self.agreement.mergeable {
            self.held_len >= u64::from(MAX_FRAME) || self.held_segments >= MAX_SEGMENTS
        } else {
            !self.held.is_empty()
        }
    }

    /// Where the next frame may go.
    fn segments(&self) -> Vec<Segment> {
        let chains = if self.agreement.mergeable { self.held.len() } else { 1 };
        let segments = self.held.iter().take(chains).flat_map(|chain| &chain.writable);
        segments.take(MAX_SEGMENTS).copied().collect()
    }

    /// Gives a frame of `len` bytes, header included, to the driver.
    fn take(
        &mut self,
        len: u64,
        capacity: u64,
        queue: &mut DeviceQueue,
        metrics: &NetMetrics,
    ) -> Result<(), QueueError> {
        // Too short, cut, or queued for an earlier driver that took more. Its buffers wait for the next frame.
        if len < u64::from(HEADER_LEN) || len > capacity || !self.may_pass(queue.memory()) {
            metrics.rx_dropped.increment();
            return Ok(());
        }
        self.complete_header(len, queue)?;
        let mut rest = len;
        while rest > 0 {
            let Some(chain) = self.held.pop_front() else { break };
            self.held_len -= u64::from(chain.writable_len());
            self.held_segments -= chain.writable.len();
            let part = rest.min(u64::from(chain.writable_len()));
            queue.complete(chain.head, u32::try_from(part).unwrap_or(u32::MAX))?;
            rest -= part;
        }
        metrics.rx_frames.increment();
        metrics.rx_bytes.add(len - u64::from(HEADER_LEN));
        Ok(())
    }

    /// Whether the driver agreed to what the header of the frame in the held buffers asks of it.
    fn may_pass(&self, memory: &GuestMemory) -> bool {
        let first = self.held.front().map(|chain| pieces(&chain.writable, GSO_TYPE, 1)).unwrap_or_default();
        let gso_type = first.first().and_then(|place| memory.read_obj(place.address).ok());
        gso_type.is_some_and(|gso_type| self.agreement.allows(gso_type))
    }

    /// Fills in what the back-end does not know: how many chains the frame is spread over (1 without merging), and
    /// that a driver which takes no checksum flags must see none.
    fn complete_header(&self, len: u64, queue: &DeviceQueue) -> Result<(), QueueError> {
        let mut end = 0;
        let chains = self.held.iter().take_while(|chain| {
            let begins_inside = end < len;
            end += u64::from(chain.writable_len());
            begins_inside
        });
        let count = u16::try_from(chains.count()).unwrap_or(u16::MAX);
        let Some(first) = self.held.front() else { return Ok(()) };
        first.write(queue.memory(), NUM_BUFFERS, &count.to_le_bytes())?;
        if !self.agreement.offloads.checksum {
            first.write(queue.memory(), FLAGS, &[0])?;
        }
        Ok(())
    }

    fn fail(&mut self, error: &io::Error, metrics: &NetMetrics) {
        metrics.rx_errors.increment();
        self.failures += 1;
        if self.failures == MAX_FAILURES {
            tracing::error!(%error, "network back-end is gone: the guest receives nothing until the device is reset");
        }
    }
}
