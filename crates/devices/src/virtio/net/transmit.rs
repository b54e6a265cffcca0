// SPDX-License-Identifier: Apache-2.0
//! Driver to back-end (virtio 1.2 §5.1.6.2).

use std::io;

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{FRAME_HEADER_LEN, PacketQueue};
use flotilla_memory::{Bytes, GuestMemory};

use super::filter::Mac;
use super::metrics::NetMetrics;
use crate::virtio::chain::{Chain, QueueError, usize_from};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::DeviceQueue;

/// Bytes in the header.
pub(super) const HEADER_LEN: u32 = 12;
const _: () = assert!(HEADER_LEN as usize == FRAME_HEADER_LEN);

/// Longest frame to send: header, Ethernet header with a VLAN tag, the largest IP packet. Without a limit, segments
/// that overlap would make a small guest send 4 GiB at once.
const MAX_FRAME: u32 = HEADER_LEN + 18 + 65_535;

/// The header and both addresses of a frame: what is copied before it is checked.
const CHECKED_LEN: usize = FRAME_HEADER_LEN + 12;
/// Where the sender's address begins.
const SENDER: usize = FRAME_HEADER_LEN + 6;

/// Which frames may leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    pub(super) link_up: bool,
    /// The one address that a frame may come from, if others are spoofed.
    pub(super) pinned_mac: Option<Mac>,
}

/// Sends all that waits and may go, at most one queue's worth of frames.
pub(super) fn serve(
    queue: &mut DeviceQueue,
    packets: &mut dyn PacketQueue,
    gate: Gate,
    limiter: &Limiter,
    metrics: &NetMetrics,
) -> Result<(), QueueError> {
    limiter.serve(queue, &metrics.tx_throttle_waits, |chain, memory| {
        limiter.charge(chain.readable_len().saturating_sub(HEADER_LEN).into());
        send(chain, memory, packets, gate, metrics);
        Ok(0)
    })
}

/// Sends one frame. Whatever happens to it, its chain is used up: a network may lose frames.
///
/// The header's offload fields go to the back-end as the guest wrote them. A check here would prove nothing, since
/// the guest can change them afterwards: it is the reader of the frame who must check, and the kernel does.
fn send(
    chain: &Chain,
    memory: &GuestMemory,
    packets: &mut dyn PacketQueue,
    gate: Gate,
    metrics: &NetMetrics,
) {
    let len = chain.readable_len();
    if len <= HEADER_LEN || len > MAX_FRAME {
        metrics.tx_errors.increment();
        return;
    }
    if !gate.link_up {
        metrics.tx_dropped.increment();
        return;
    }
    let mut head = [0; CHECKED_LEN];
    let head: &[u8] = match gate.pinned_mac {
        None => &[],
        Some(mac) => {
            if !copy_start(&chain.readable, memory, &mut head) {
                metrics.tx_errors.increment();
                return;
            }
            if head.get(SENDER..) != Some(&mac[..]) {
                metrics.tx_spoofed.increment();
                return;
            }
            // What was looked at is what goes out, whatever the guest writes there meanwhile.
            &head
        }
    };
    match packets.send(memory, head, &chain.readable) {
        Ok(_) => {
            metrics.tx_frames.increment();
            metrics.tx_bytes.add(u64::from(len - HEADER_LEN));
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => metrics.tx_dropped.increment(),
        Err(error) => {
            tracing::trace!(%error, "frame not sent");
            metrics.tx_errors.increment();
        }
    }
}

/// Copies the first bytes behind the segments; `false` if there are fewer.
pub(super) fn copy_start(segments: &[Segment], memory: &GuestMemory, place: &mut [u8]) -> bool {
    let mut rest = place;
    for segment in segments {
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
