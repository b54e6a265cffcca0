// SPDX-License-Identifier: Apache-2.0
//! The control queue (virtio 1.2 §5.1.6.5): what each command does. One byte of answer, no other effect of a command
//! that is refused.

use std::sync::Arc;

use flotilla_device_model::net::PacketBackend;
use flotilla_memory::GuestMemory;

use super::command::{Command, Written, parse};
use super::features::guest_offloads;
use super::shared::Shared;
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::queue::DeviceQueue;

/// `VIRTIO_NET_OK` and `VIRTIO_NET_ERR`.
const OK: u8 = 0;
const ERR: u8 = 1;

/// Serves the control queue.
pub(super) struct Control {
    pub(super) queue: DeviceQueue,
    pub(super) handler: Handler,
}

/// Carries commands out.
pub(super) struct Handler {
    pub(super) shared: Arc<Shared>,
    pub(super) backend: Arc<dyn PacketBackend>,
    /// What was agreed on.
    pub(super) features: u64,
    /// The one address that the driver may take, if it may take no other.
    pub(super) pinned_mac: Option<[u8; 6]>,
    /// Pairs whose queues the driver enabled.
    pub(super) pairs: u16,
}

impl Control {
    /// Answers all that waits.
    pub(super) fn serve(&mut self) {
        if self.queue.is_broken() {
            return;
        }
        let Self { queue, handler } = self;
        if queue.serve(|chain, memory| handler.answer(chain, memory)).is_err() {
            handler.shared.metrics.broken_queues.increment();
        }
    }
}

impl Handler {
    fn answer(&self, chain: &Chain, memory: &GuestMemory) -> Result<u32, QueueError> {
        let copy = |offset: u32, place: &mut [u8]| {
            chain.read(memory, offset, place).is_ok_and(|copied| copied == place.len())
        };
        let written = Written { len: chain.readable_len(), copy: &copy };
        let done = parse(self.features, &written).is_some_and(|command| self.carry_out(command));
        let metrics = &self.shared.metrics;
        if done {
            metrics.ctrl_commands.increment();
        } else {
            metrics.ctrl_refused.increment();
        }
        if chain.writable_len() == 0 {
            return Ok(0);
        }
        chain.write(memory, 0, &[if done { OK } else { ERR }])?;
        Ok(1)
    }

    fn carry_out(&self, command: Command) -> bool {
        let shared = &self.shared;
        match command {
            Command::Mode(mode, on) => shared.change(|agreement| agreement.filter.set_mode(mode, on)),
            Command::MacTable { unicast, multicast } => {
                shared.change(|agreement| agreement.filter.set_table(unicast, multicast));
            }
            Command::MacAddress(mac) => {
                if self.pinned_mac.is_some_and(|pinned| pinned != mac) {
                    return false;
                }
                shared.change(|agreement| agreement.mac = mac);
            }
            Command::Announced => return shared.announced(),
            Command::Pairs(pairs) => return pairs <= self.pairs && self.use_pairs(pairs),
            Command::Offloads(offloads) => {
                if self.backend.set_guest_offloads(guest_offloads(offloads)).is_err() {
                    return false;
                }
                shared.change(|agreement| agreement.offloads = offloads);
            }
        }
        true
    }

    /// Threads hear of a pair that goes before it goes, and of one that comes when it is there: none of them takes the
    /// descriptor of a pair out of use for one that is broken.
    fn use_pairs(&self, pairs: u16) -> bool {
        let before = self.shared.agreement().map_or(1, |agreement| agreement.pairs);
        if pairs < before {
            self.shared.change(|agreement| agreement.pairs = pairs);
        }
        match self.backend.use_pairs(pairs) {
            Ok(()) => {
                self.shared.change(|agreement| agreement.pairs = pairs);
                true
            }
            Err(error) => {
                tracing::warn!(%error, pairs, "back-end refuses a number of queues");
                self.shared.change(|agreement| agreement.pairs = before);
                false
            }
        }
    }
}
