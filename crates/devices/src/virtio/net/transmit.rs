// SPDX-License-Identifier: Apache-2.0
//! Driver to back-end (virtio 1.2 §5.1.6.2).

use flotilla_device_model::net::{FRAME_HEADER_LEN, PacketBackend};
use flotilla_memory::GuestMemory;

use super::metrics::NetMetrics;
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::queue::DeviceQueue;

/// Bytes in the header.
pub(super) const HEADER_LEN: u32 = 12;
const _: () = assert!(HEADER_LEN as usize == FRAME_HEADER_LEN);

/// Longest frame to send: header, Ethernet header with a VLAN tag, the largest IP packet. Without a limit, segments
/// that overlap would make a small guest send 4 GiB at once.
const MAX_FRAME: u32 = HEADER_LEN + 18 + 65_535;

/// Sends all that waits, at most one queue's worth of frames.
pub(super) fn serve(
    queue: &mut DeviceQueue,
    backend: &dyn PacketBackend,
    metrics: &NetMetrics,
) -> Result<(), QueueError> {
    queue.serve(|chain, memory| {
        send(chain, memory, backend, metrics);
        Ok(0)
    })?;
    Ok(())
}

/// Sends one frame. Whatever happens to it, its chain is used up: a network may lose frames.
///
/// The header's offload fields go to the back-end as the guest wrote them. A check here would prove nothing, since
/// the guest can change them afterwards: it is the reader of the frame who must check, and the kernel does.
fn send(chain: &Chain, memory: &GuestMemory, backend: &dyn PacketBackend, metrics: &NetMetrics) {
    let len = chain.readable_len();
    if len <= HEADER_LEN || len > MAX_FRAME {
        metrics.tx_errors.increment();
        return;
    }
    match backend.send(memory, &chain.readable) {
        Ok(_) => {
            metrics.tx_frames.increment();
            metrics.tx_bytes.add(u64::from(len - HEADER_LEN));
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => metrics.tx_dropped.increment(),
        Err(error) => {
            tracing::trace!(%error, "frame not sent");
            metrics.tx_errors.increment();
        }
    }
}
