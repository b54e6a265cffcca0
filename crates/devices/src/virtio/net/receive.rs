// SPDX-License-Identifier: Apache-2.0
//! Back-end to driver (virtio 1.2 §5.1.6.4).
//!
//! The back-end writes a frame straight into the driver's buffers, and only afterwards do we know how long it is. So
//! buffers are collected ahead, enough for the longest frame if the driver has offered that much, and those that a
//! frame left unused wait for the next one. Before a pause they go back to the queue.

use std::collections::VecDeque;
use std::io;

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Offloads, PacketQueue, Receipt};
use flotilla_memory::{Bytes, GuestMemory, mark_dirty};

use super::metrics::NetMetrics;
use super::shared::{Agreement, View};
use super::transmit::HEADER_LEN;
use crate::virtio::chain::{Chain, QueueError, usize_from};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::DeviceQueue;

/// The longest frame with its header: a segment of 64 KiB (virtio 1.2 §5.1.6.3.1).
const MAX_FRAME: u32 = 65_562;

/// Most buffers to hold; the kernel takes 1024 in one call.
const MAX_BUFFERS: usize = 1000;
/// Frames received before the other queue, a pause or a stop has its turn.
const BATCH: usize = 64;
/// Failures in a row after which the back-end counts as gone.
pub(super) const MAX_FAILURES: u32 = 16;

/// Offsets of `flags`, `gso_type` and `num_buffers` in the header, and of the receiver's address behind it.
const FLAGS: u32 = 0;
const GSO_TYPE: usize = 1;
const NUM_BUFFERS: u32 = 10;
const RECEIVER: usize = 12;
/// Bytes of a frame that are looked at.
const LOOKED_AT: usize = 18;

/// `gso_type`: no segment (`VIRTIO_NET_HDR_GSO_NONE`), TCP over IPv4, UDP fragments, TCP over IPv6, UDP datagrams; and
/// the bit for ECN.
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What the receiver wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// To be told when a frame waits, when the driver has offered buffers, or when the limiter is due.
    Event,
    /// To be called again soon: others have their turn first.
    Turn,
    /// Nothing: the back-end is gone.
    Nothing,
}

/// Whether a frame with this `gso_type` may reach the driver (virtio 1.2 §5.1.6.4.1).
fn allows(offloads: Offloads, gso_type: u8) -> bool {
    let segment = match gso_type & !GSO_ECN {
        GSO_NONE => true,
        GSO_TCPV4 => offloads.tso4,
        GSO_UDP => offloads.ufo,
        GSO_TCPV6 => offloads.tso6,
        GSO_UDP_L4 => offloads.uso,
        _ => false,
    };
    segment && (gso_type & GSO_ECN == 0 || offloads.ecn)
}

/// A chain that waits for a frame, and how many buffers of the host it is.
struct Held {
    chain: Chain,
    buffers: usize,
}

/// Serves the receive queue.
pub(super) struct Receiver {
    /// A frame may be spread over several chains (`VIRTIO_NET_F_MRG_RXBUF`).
    mergeable: bool,
    held: VecDeque<Held>,
    held_len: u64,
    held_buffers: usize,
    failures: u32,
}

/// The queue and the back-end that a receiver works between.
pub(super) struct Ends<'a> {
    pub(super) queue: &'a mut DeviceQueue,
    pub(super) packets: &'a mut dyn PacketQueue,
    pub(super) limiter: &'a Limiter,
    pub(super) metrics: &'a NetMetrics,
}

impl Receiver {
    pub(super) fn new(mergeable: bool) -> Self {
        Self { mergeable, held: VecDeque::new(), held_len: 0, held_buffers: 0, failures: 0 }
    }

    /// Gives the driver frames until none waits, no buffer is left or others must have their turn. `in_use` says whether
    /// the back-end's queue still is, should it fail.
    pub(super) fn serve(
        &mut self,
        mut ends: Ends<'_>,
        view: &View,
        in_use: &dyn Fn() -> bool,
    ) -> Result<Next, QueueError> {
        let result = self.receive_batch(&mut ends, &view.agreement, in_use);
        ends.queue.publish()?;
        result
    }

    /// Gives the buffers back that no frame has used.
    pub(super) fn put_back(&mut self, queue: &mut DeviceQueue, packets: &mut dyn PacketQueue) {
        packets.retire(self.held_buffers);
        let heads: Vec<u16> = self.held.drain(..).map(|held| held.chain.head).collect();
        queue.put_back(&heads);
        (self.held_len, self.held_buffers) = (0, 0);
    }

    fn receive_batch(
        &mut self,
        ends: &mut Ends<'_>,
        agreement: &Agreement,
        in_use: &dyn Fn() -> bool,
    ) -> Result<Next, QueueError> {
        let offloads = agreement.guest_offloads();
        for _ in 0..BATCH {
            if self.failures >= MAX_FAILURES {
                return Ok(Next::Nothing);
            }
            if !ends.limiter.is_open() {
                ends.metrics.rx_throttle_waits.increment();
                return Ok(Next::Event);
            }
            if !self.collect(ends)? {
                ends.metrics.rx_no_buffers.increment();
                return Ok(Next::Event);
            }
            match ends.packets.receive() {
                Ok(Receipt::Nothing) => return Ok(Next::Event),
                Ok(Receipt::Frame(len)) => {
                    self.failures = 0;
                    ends.limiter
                        .charge(u64::try_from(len).unwrap_or(u64::MAX).saturating_sub(HEADER_LEN.into()));
                    self.take(u64::try_from(len).unwrap_or(u64::MAX), ends, agreement, offloads)?;
                }
                Ok(Receipt::Cut) => {
                    self.failures = 0;
                    self.mark_written(self.held_len, ends.queue.memory());
                    ends.metrics.rx_dropped.increment();
                }
                Err(_) if !in_use() => return Ok(Next::Event),
                Err(error) => self.fail(&error, ends.metrics),
            }
        }
        Ok(Next::Turn)
    }

    /// Takes buffers from the queue until there are enough for any frame; `false` if there is none at all. The
    /// driver rings when it adds some only after that.
    fn collect(&mut self, ends: &mut Ends<'_>) -> Result<bool, QueueError> {
        loop {
            while !self.has_enough() {
                let Some(chain) = ends.queue.pop()? else { break };
                if chain.writable_len() < HEADER_LEN {
                    ends.queue.mark_broken();
                    return Ok(false);
                }
                let memory = ends.queue.memory();
                // The chain was checked against this memory a moment ago.
                let Ok(buffers) = ends.packets.offer(memory, &chain.writable) else {
                    ends.queue.mark_broken();
                    return Ok(false);
                };
                self.held_len += u64::from(chain.writable_len());
                self.held_buffers += buffers;
                self.held.push_back(Held { chain, buffers });
            }
            if !self.held.is_empty() {
                ends.queue.disable_notifications()?;
                return Ok(true);
            }
            if !ends.queue.enable_notifications()? {
                return Ok(false);
            }
        }
    }

    fn has_enough(&self) -> bool {
        if self.mergeable {
            self.held_len >= u64::from(MAX_FRAME) || self.held_buffers >= MAX_BUFFERS
        } else {
            !self.held.is_empty()
        }
    }

    /// Gives a frame of `len` bytes, header included, to the driver, if it is for it. Else its buffers wait for the next.
    fn take(
        &mut self,
        len: u64,
        ends: &mut Ends<'_>,
        agreement: &Agreement,
        offloads: Offloads,
    ) -> Result<(), QueueError> {
        let (queue, metrics) = (&mut *ends.queue, ends.metrics);
        self.mark_written(len, queue.memory());
        let mut seen = [0; LOOKED_AT];
        let whole = len >= LOOKED_AT as u64 && self.copy_start(queue.memory(), &mut seen);
        // Too short, or queued for an earlier driver that took more.
        if !whole || !seen.get(GSO_TYPE).is_some_and(|gso_type| allows(offloads, *gso_type)) {
            metrics.rx_dropped.increment();
            return Ok(());
        }
        let receiver = seen.get(RECEIVER..).and_then(|mac| mac.try_into().ok());
        if !receiver.is_some_and(|mac| agreement.filter.accepts(mac, agreement.mac)) {
            metrics.rx_filtered.increment();
            return Ok(());
        }
        self.complete_header(len, offloads, queue)?;
        let (mut rest, mut buffers) = (len, 0);
        while rest > 0 {
            let Some(held) = self.held.pop_front() else { break };
            let room = u64::from(held.chain.writable_len());
            self.held_len -= room;
            buffers += held.buffers;
            let part = rest.min(room);
            queue.complete(held.chain.head, u32::try_from(part).unwrap_or(u32::MAX))?;
            rest -= part;
        }
        self.held_buffers -= buffers;
        ends.packets.retire(buffers);
        metrics.rx_frames.increment();
        metrics.rx_bytes.add(len - u64::from(HEADER_LEN));
        Ok(())
    }

    /// Fills in what the back-end does not know: how many chains the frame is spread over (1 without merging), and
    /// that a driver which takes no checksum flags must see none.
    fn complete_header(&self, len: u64, offloads: Offloads, queue: &DeviceQueue) -> Result<(), QueueError> {
        let mut end = 0;
        let chains = self.held.iter().take_while(|held| {
            let begins_inside = end < len;
            end += u64::from(held.chain.writable_len());
            begins_inside
        });
        let count = u16::try_from(chains.count()).unwrap_or(u16::MAX);
        let Some(first) = self.held.front() else { return Ok(()) };
        write_header(&first.chain, queue.memory(), NUM_BUFFERS, &count.to_le_bytes())?;
        if !offloads.checksum {
            write_header(&first.chain, queue.memory(), FLAGS, &[0])?;
        }
        Ok(())
    }

    /// Copies the beginning of the frame in the held buffers; `false` if they are shorter.
    fn copy_start(&self, memory: &GuestMemory, place: &mut [u8]) -> bool {
        let mut rest = place;
        for segment in self.held.iter().flat_map(|held| &held.chain.writable) {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at_mut(usize_from(segment.len).min(rest.len()));
            if memory.read_slice(now, segment.address).is_err() {
                return false;
            }
            rest = later;
        }
        rest.is_empty()
    }

    /// Records that the back-end wrote so many bytes into the held buffers.
    fn mark_written(&self, len: u64, memory: &GuestMemory) {
        let mut rest = usize::try_from(len).unwrap_or(usize::MAX);
        for segment in self.held.iter().flat_map(|held| &held.chain.writable) {
            let part = rest.min(usize_from(segment.len));
            if part == 0 {
                break;
            }
            mark_dirty(memory, segment.address, part);
            rest -= part;
        }
    }

    fn fail(&mut self, error: &io::Error, metrics: &NetMetrics) {
        metrics.rx_errors.increment();
        self.failures += 1;
        if self.failures == MAX_FAILURES {
            tracing::error!(%error, "network back-end is gone: the guest receives nothing until the device is reset");
        }
    }
}

/// Writes into the header at the beginning of a chain; nearly always in its first segment.
fn write_header(chain: &Chain, memory: &GuestMemory, offset: u32, data: &[u8]) -> Result<(), QueueError> {
    let first = chain.writable.first().filter(|segment| segment.len >= HEADER_LEN);
    match first {
        Some(Segment { address, .. }) => {
            let place = flotilla_memory::GuestAddress(address.0.saturating_add(u64::from(offset)));
            memory.write_slice(data, place).map_err(|_| QueueError::Ring { address: place.0 })
        }
        None => chain.write(memory, offset, data).map(drop),
    }
}
