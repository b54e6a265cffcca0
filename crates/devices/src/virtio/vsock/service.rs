// SPDX-License-Identifier: Apache-2.0
//! The thread of the socket device: which event leads to which queue.
//!
//! After a restore the guest believes in connections that are gone. It is told so by an event, and hears nothing else
//! until it has put the buffer of that event back, which is how it says that it has dealt with it, or until a limit has
//! passed. A pause alone changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use virtio_queue::QueueState;

use super::metrics::VsockMetrics;
use super::muxer::Muxer;
use super::packet::{HEADER_LEN, HEADER_SIZE, Header};
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// Index of the queue to the guest (virtio 1.2 §5.10.2).
pub(super) const RX: u16 = 0;
/// Index of the queue from the guest.
pub(super) const TX: u16 = 1;
/// Index of the queue of events.
pub(super) const EVENT: u16 = 2;

/// Most bytes in a packet, in either direction.
pub(super) const MAX_PAYLOAD: usize = 64 * 1024;
/// `VIRTIO_VSOCK_EVENT_TRANSPORT_RESET`, as it stands in an event.
const TRANSPORT_RESET: [u8; 4] = [0; 4];
/// How long a guest may take to deal with that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the guest may hear of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// It is to be told of the reset, as soon as it has a buffer for that.
    Reset(Instant),
    /// It was told, while so many more of its buffers waited.
    Told(Instant, u16),
}

/// Serves the three queues.
pub struct VsockService {
    rx: DeviceQueue,
    tx: DeviceQueue,
    event: DeviceQueue,
    muxer: Muxer,
    gate: Gate,
    /// Since when the machine is paused.
    paused: Option<Instant>,
    /// The bytes of one packet.
    scratch: Vec<u8>,
    metrics: Arc<VsockMetrics>,
}

impl VsockService {
    /// `restored`: the driver had connections that are gone.
    pub(super) fn new(
        [rx, tx, event]: [DeviceQueue; 3],
        muxer: Muxer,
        metrics: Arc<VsockMetrics>,
        restored: bool,
    ) -> Self {
        let gate = if restored { Gate::Reset(Instant::now() + PATIENCE) } else { Gate::Open };
        Self { rx, tx, event, muxer, gate, paused: None, scratch: vec![0; MAX_PAYLOAD], metrics }
    }

    /// Guest to host.
    fn transmit(&mut self) {
        let Self { tx, muxer, scratch, metrics, .. } = self;
        if tx.is_broken() {
            return;
        }
        let served = tx.serve(|chain, memory| {
            let mut header = [0; HEADER_LEN];
            if chain.read(memory, 0, &mut header)? < HEADER_LEN {
                metrics.tx_errors.increment();
                return Ok(0);
            }
            let header = Header::parse(&header);
            let len = usize::try_from(header.len).unwrap_or(usize::MAX);
            let Some(payload) = scratch.get_mut(..len) else {
                // More than any packet may hold, however many bytes are there.
                metrics.tx_errors.increment();
                return Ok(0);
            };
            if chain.read(memory, HEADER_SIZE, payload)? < len {
                metrics.tx_errors.increment();
                return Ok(0);
            }
            muxer.on_packet(&header, payload);
            Ok(0)
        });
        if served.is_err() {
            metrics.broken_queues.increment();
        }
    }

    /// Host to guest.
    fn receive(&mut self) {
        if self.rx.is_broken() || self.gate != Gate::Open {
            return;
        }
        if self.fill().is_err() || self.rx.is_broken() {
            self.metrics.broken_queues.increment();
        }
    }

    fn fill(&mut self) -> Result<(), QueueError> {
        let mut served = 0;
        while self.muxer.has_turn() {
            if served >= self.rx.size() {
                // The other queues have their turn, then this one again.
                self.rx.reschedule();
                break;
            }
            self.rx.disable_notifications()?;
            let Some(chain) = self.rx.pop_or_rest()? else { break };
            if chain.writable_len() < HEADER_SIZE {
                self.rx.mark_broken();
                break;
            }
            match self.send(&chain)? {
                Some(len) => self.rx.complete(chain.head, len)?,
                None => self.rx.put_back(&[chain.head]),
            }
            served += 1;
        }
        self.rx.publish()
    }

    /// Writes the next packet into a chain, if there is one; its length.
    fn send(&mut self, chain: &Chain) -> Result<Option<u32>, QueueError> {
        let room =
            usize::try_from(chain.writable_len() - HEADER_SIZE).unwrap_or(MAX_PAYLOAD).min(MAX_PAYLOAD);
        let place = self.scratch.get_mut(..room).unwrap_or_default();
        let Some(header) = self.muxer.next_packet(place) else { return Ok(None) };
        let payload = usize::try_from(header.len).ok().and_then(|len| place.get(..len)).unwrap_or_default();
        chain.write(self.rx.memory(), 0, &header.bytes())?;
        if !payload.is_empty() {
            chain.write(self.rx.memory(), HEADER_SIZE, payload)?;
        }
        self.metrics.rx_packets.increment();
        self.metrics.rx_bytes.add(u64::from(header.len));
        Ok(Some(HEADER_SIZE + header.len))
    }

    /// Tells of a reset, and sees whether the guest has dealt with it.
    fn on_event_queue(&mut self) -> Result<(), QueueError> {
        match self.gate {
            Gate::Open => {}
            Gate::Reset(until) => {
                let Some(chain) = self.event.pop()? else {
                    if self.event.enable_notifications()? {
                        // It came without a doorbell just now.
                        self.event.reschedule();
                    }
                    return Ok(());
                };
                let written = chain.write(self.event.memory(), 0, &TRANSPORT_RESET)?;
                self.event.complete(chain.head, u32::try_from(written).unwrap_or_default())?;
                self.gate = Gate::Told(until, self.event.waiting()?);
                self.metrics.transport_resets.increment();
                self.event.publish()?;
                self.event.enable_notifications()?;
            }
            Gate::Told(_, waiting) => {
                if self.event.waiting()? > waiting {
                    self.gate = Gate::Open;
                } else {
                    self.event.enable_notifications()?;
                }
            }
        }
        Ok(())
    }
}

impl Service for VsockService {
    fn doorbell(&mut self, queue: u16, _watches: &Watches) {
        match queue {
            TX => self.transmit(),
            EVENT if self.on_event_queue().is_err() => self.metrics.broken_queues.increment(),
            _ => {}
        }
        self.receive();
    }

    fn ready(&mut self, _token: u32, _watches: &Watches) {
        self.muxer.poll();
        self.receive();
    }

    fn deadline(&self) -> Option<Instant> {
        let gate = match self.gate {
            Gate::Open => None,
            Gate::Reset(until) | Gate::Told(until, _) => Some(until),
        };
        [gate, self.muxer.deadline()].into_iter().flatten().min()
    }

    fn tick(&mut self, _watches: &Watches) {
        let now = Instant::now();
        if let Gate::Reset(until) | Gate::Told(until, _) = self.gate
            && until <= now
        {
            self.gate = Gate::Open;
        }
        self.muxer.tick(now);
        self.receive();
    }

    fn drain(&mut self) {
        self.paused = Some(Instant::now());
    }

    /// Who waits for the guest has not waited while it could not answer.
    fn resumed(&mut self) {
        let Some(since) = self.paused.take() else { return };
        let pause = since.elapsed();
        self.muxer.delay(pause);
        if let Gate::Reset(until) | Gate::Told(until, _) = &mut self.gate {
            *until += pause;
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        [&self.rx, &self.tx, &self.event].map(|queue| (queue.index(), queue.state())).into()
    }
}
