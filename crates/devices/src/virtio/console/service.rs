// SPDX-License-Identifier: Apache-2.0
//! The thread of the console device.

use std::sync::Arc;

use flotilla_device_model::console::{PortHost, TerminalSize};
use flotilla_device_model::virtio::VirtioInterrupt;
use virtio_queue::QueueState;

use super::control::{Heard, MESSAGE_LEN, Message, News, Wish};
use super::device::{CHANGED, Shared};
use super::metrics::ConsoleMetrics;
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// Indices of the control queues (virtio 1.2 §5.3.2).
const CONTROL_RX: u16 = 2;
const CONTROL_TX: u16 = 3;
/// Most bytes of input in one buffer of the guest.
const MAX_INPUT: usize = 4096;
/// Most bytes of output in one buffer of the guest; Linux sends 32 KiB at once. More, which a hostile guest can claim with
/// buffers that overlap, would keep the thread from all other ports.
const MAX_OUTPUT: u32 = 256 << 10;
/// Output is copied in pieces of so many bytes.
const PIECE: usize = 16 << 10;

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    ControlReceive,
    ControlTransmit,
    Receive(usize),
    Transmit(usize),
}

/// The queues that a driver uses.
pub struct Queues {
    multiport: bool,
    ports: Vec<[Option<DeviceQueue>; 2]>,
    control: [Option<DeviceQueue>; 2],
}

impl Queues {
    /// None yet. Without several ports there is the terminal alone, and no control queue.
    pub(super) fn new(multiport: bool, ports: usize) -> Self {
        let ports = (0..if multiport { ports } else { 1 }).map(|_| [None, None]).collect();
        Self { multiport, ports, control: [None, None] }
    }

    /// Puts a queue where it belongs; whether there is such a place.
    pub(super) fn insert(&mut self, queue: DeviceQueue) -> bool {
        let place = match self.role(queue.index()) {
            Some(Role::ControlReceive) => self.control.first_mut(),
            Some(Role::ControlTransmit) => self.control.last_mut(),
            Some(Role::Receive(port)) => self.ports.get_mut(port).and_then(|queues| queues.first_mut()),
            Some(Role::Transmit(port)) => self.ports.get_mut(port).and_then(|queues| queues.last_mut()),
            None => None,
        };
        place.map(|place| *place = Some(queue)).is_some()
    }

    /// A queue without which nothing works and that the driver does not use. It may do without ports.
    pub(super) fn missing(&self) -> Option<u16> {
        let terminal = self.ports.first().into_iter().flatten().zip(0..);
        let control = self.control.iter().zip(CONTROL_RX..).filter(|_| self.multiport);
        terminal.chain(control).find_map(|(queue, index)| queue.is_none().then_some(index))
    }

    /// The terminal has the queues 0 and 1, the control queues stand between it and the other ports.
    fn role(&self, index: u16) -> Option<Role> {
        match index {
            CONTROL_RX if self.multiport => Some(Role::ControlReceive),
            CONTROL_TX if self.multiport => Some(Role::ControlTransmit),
            CONTROL_RX | CONTROL_TX => None,
            _ => {
                let pair = usize::from(index / 2);
                let port = pair - usize::from(pair > 1);
                let known = port < self.ports.len();
                known.then_some(if index.is_multiple_of(2) {
                    Role::Receive(port)
                } else {
                    Role::Transmit(port)
                })
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &DeviceQueue> {
        self.ports.iter().flatten().chain(&self.control).flatten()
    }
}

/// Serves the queues of a driver.
pub struct ConsoleService {
    queues: Queues,
    shared: Arc<Shared>,
    interrupt: Arc<dyn VirtioInterrupt>,
    /// The size in the configuration space that the driver was told of.
    size: Option<TerminalSize>,
    piece: Vec<u8>,
}

impl ConsoleService {
    pub(super) fn new(queues: Queues, shared: Arc<Shared>, interrupt: Arc<dyn VirtioInterrupt>) -> Self {
        Self { queues, shared, interrupt, size: None, piece: vec![0; PIECE] }
    }

    /// Something is different on the host, whatever it is.
    fn on_change(&mut self) {
        let size = self.shared.hosts.first().and_then(|terminal| terminal.size());
        if size != self.size {
            self.size = size;
            self.interrupt.signal_config();
        }
        for port in 0..self.queues.ports.len() {
            self.receive(port);
            self.transmit(port);
        }
        // After the input: a port closes once the guest has everything.
        self.tell();
    }

    /// Input of the host to the guest.
    fn receive(&mut self, port: usize) {
        let Self { queues: Queues { ports, multiport, .. }, shared, piece, .. } = self;
        let (Some(host), Some([Some(queue), _])) = (shared.hosts.get(port), ports.get_mut(port)) else {
            return;
        };
        let open = !*multiport || shared.talk().is_guest_open(port);
        if open && !queue.is_broken() {
            note(&shared.metrics, fill(queue, host.as_ref(), piece, &shared.metrics));
        }
    }

    /// Output of the guest to the host.
    fn transmit(&mut self, port: usize) {
        let Self { queues: Queues { ports, .. }, shared, piece, .. } = self;
        let (Some(host), Some([_, Some(queue)])) = (shared.hosts.get(port), ports.get_mut(port)) else {
            return;
        };
        if !queue.is_broken() {
            note(&shared.metrics, empty(queue, host.as_ref(), piece, &shared.metrics));
        }
    }

    /// What the driver says of ports.
    fn hear(&mut self) {
        let Self { queues, shared, .. } = self;
        let Some(queue) =
            queues.control.last_mut().and_then(Option::as_mut).filter(|queue| !queue.is_broken())
        else {
            return;
        };
        let mut opened = Vec::new();
        let served = queue.serve(|chain, memory| {
            shared.metrics.control_received.increment();
            let mut message = [0; MESSAGE_LEN];
            let whole = chain.read(memory, 0, &mut message)? == MESSAGE_LEN;
            let heard = if whole { shared.talk().hear(Message::parse(message)) } else { Heard::Nonsense };
            match heard {
                Heard::Noted => {}
                Heard::Opened(port) => opened.push(port),
                Heard::Closed(port) => {
                    if let Some(host) = shared.hosts.get(port) {
                        host.drop_stale_input();
                    }
                }
                Heard::Nonsense => shared.metrics.control_errors.increment(),
            }
            Ok(0)
        });
        note(&shared.metrics, served.map(drop));
        for port in opened {
            self.receive(port);
        }
        self.tell();
    }

    /// Tells the driver what it does not know yet, as far as it has buffers for that.
    fn tell(&mut self) {
        let Self { queues, shared, .. } = self;
        let Some(queue) =
            queues.control.first_mut().and_then(Option::as_mut).filter(|queue| !queue.is_broken())
        else {
            return;
        };
        note(&shared.metrics, tell(queue, shared));
    }
}

impl Service for ConsoleService {
    fn doorbell(&mut self, queue: u16, _watches: &Watches) {
        if queue == CHANGED {
            return self.on_change();
        }
        match self.queues.role(queue) {
            Some(Role::ControlReceive) => self.tell(),
            Some(Role::ControlTransmit) => self.hear(),
            Some(Role::Receive(port)) => {
                self.receive(port);
                // The last input may be what the port waited for to close.
                self.tell();
            }
            Some(Role::Transmit(port)) => self.transmit(port),
            None => {}
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        self.queues.all().map(|queue| (queue.index(), queue.state())).collect()
    }
}

fn note(metrics: &ConsoleMetrics, served: Result<(), QueueError>) {
    if served.is_err() {
        metrics.broken_queues.increment();
    }
}

/// Fills the guest's buffers with input while there are both.
fn fill(
    queue: &mut DeviceQueue,
    host: &dyn PortHost,
    piece: &mut [u8],
    metrics: &ConsoleMetrics,
) -> Result<(), QueueError> {
    let mut served = 0;
    while host.has_input() {
        if served >= queue.size() {
            // The other ports have their turn, then this one again.
            queue.reschedule();
            break;
        }
        queue.disable_notifications()?;
        let Some(chain) = queue.pop_or_rest()? else { break };
        if chain.writable_len() == 0 {
            queue.mark_broken();
            metrics.broken_queues.increment();
            break;
        }
        let room = usize::try_from(chain.writable_len()).unwrap_or(MAX_INPUT).min(MAX_INPUT);
        let place = piece.get_mut(..room).unwrap_or_default();
        let len = host.take_input(place);
        let input = place.get(..len).unwrap_or_default();
        let written = chain.write(queue.memory(), 0, input).inspect_err(|_| queue.mark_broken())?;
        let written = u32::try_from(written).unwrap_or_default();
        queue.complete(chain.head, written)?;
        metrics.rx_bytes.add(u64::from(written));
        served += 1;
    }
    queue.publish()
}

/// Takes what the guest wrote, while the host has room for it.
fn empty(
    queue: &mut DeviceQueue,
    host: &dyn PortHost,
    piece: &mut [u8],
    metrics: &ConsoleMetrics,
) -> Result<(), QueueError> {
    let mut served = 0;
    loop {
        queue.disable_notifications()?;
        while served < queue.size() {
            let Some(chain) = queue.pop()? else { break };
            let len = chain.readable_len().min(MAX_OUTPUT);
            if !host.has_room(usize::try_from(len).unwrap_or(usize::MAX)) {
                // The host wakes us when there is room.
                queue.put_back(&[chain.head]);
                metrics.tx_waits.increment();
                return queue.publish();
            }
            copy_output(queue, &chain, len, host, piece)?;
            metrics.tx_bytes.add(u64::from(len));
            metrics.dropped_bytes.add(u64::from(chain.readable_len() - len));
            queue.complete(chain.head, 0)?;
            served += 1;
        }
        if queue.rests(served)? {
            return Ok(());
        }
    }
}

fn copy_output(
    queue: &mut DeviceQueue,
    chain: &Chain,
    len: u32,
    host: &dyn PortHost,
    piece: &mut [u8],
) -> Result<(), QueueError> {
    let mut at = 0;
    while at < len {
        let want = usize::try_from(len - at).unwrap_or(PIECE).min(piece.len());
        let place = piece.get_mut(..want).unwrap_or_default();
        let read = chain.read(queue.memory(), at, place).inspect_err(|_| queue.mark_broken())?;
        if read == 0 {
            break;
        }
        host.write_output(place.get(..read).unwrap_or_default());
        at = at.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
    }
    Ok(())
}

/// Sends what the driver does not know yet.
fn tell(queue: &mut DeviceQueue, shared: &Shared) -> Result<(), QueueError> {
    let mut served = 0;
    while let Some(news) = next_news(shared) {
        if served >= queue.size() {
            queue.reschedule();
            break;
        }
        let Some(chain) = queue.pop_or_rest()? else { break };
        let bytes = news.bytes();
        if usize::try_from(chain.writable_len()).is_ok_and(|room| room < bytes.len()) {
            // Half a message would be another one.
            queue.mark_broken();
            shared.metrics.broken_queues.increment();
            break;
        }
        let written = chain.write(queue.memory(), 0, &bytes).inspect_err(|_| queue.mark_broken())?;
        queue.complete(chain.head, u32::try_from(written).unwrap_or_default())?;
        shared.talk().told(&news);
        shared.metrics.control_sent.increment();
        served += 1;
    }
    queue.publish()
}

/// What the driver does not know yet of how the ports are on the host at this moment.
fn next_news(shared: &Shared) -> Option<News> {
    let talk = shared.talk();
    let wish = |(index, host): (usize, &Arc<dyn PortHost>)| {
        // Who has gone may have left something for a guest that reads it.
        let lingers = talk.is_host_open(index) && talk.is_guest_open(index) && host.has_input();
        Wish { name: shared.name(index), open: host.is_open() || lingers, size: host.size() }
    };
    let wishes: Vec<_> = shared.hosts.iter().enumerate().map(wish).collect();
    talk.news(&wishes)
}
