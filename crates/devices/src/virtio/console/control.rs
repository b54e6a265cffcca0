// SPDX-License-Identifier: Apache-2.0
//! What driver and device tell each other about ports (virtio 1.2 §5.3.6.2).

use flotilla_device_model::console::TerminalSize;
use serde::{Deserialize, Serialize};

/// Bytes of a message without what may follow it.
pub(super) const MESSAGE_LEN: usize = 8;

const VIRTIO_CONSOLE_DEVICE_READY: u16 = 0;
const VIRTIO_CONSOLE_DEVICE_ADD: u16 = 1;
const VIRTIO_CONSOLE_PORT_READY: u16 = 3;
const VIRTIO_CONSOLE_CONSOLE_PORT: u16 = 4;
const VIRTIO_CONSOLE_RESIZE: u16 = 5;
const VIRTIO_CONSOLE_PORT_OPEN: u16 = 6;
const VIRTIO_CONSOLE_PORT_NAME: u16 = 7;

/// `struct virtio_console_control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) port: u32,
    pub(super) event: u16,
    pub(super) value: u16,
}

impl Message {
    pub(super) fn parse(bytes: [u8; MESSAGE_LEN]) -> Self {
        let [p0, p1, p2, p3, e0, e1, v0, v1] = bytes;
        Self {
            port: u32::from_le_bytes([p0, p1, p2, p3]),
            event: u16::from_le_bytes([e0, e1]),
            value: u16::from_le_bytes([v0, v1]),
        }
    }

    pub(super) fn bytes(self) -> [u8; MESSAGE_LEN] {
        let ([p0, p1, p2, p3], [e0, e1], [v0, v1]) =
            (self.port.to_le_bytes(), self.event.to_le_bytes(), self.value.to_le_bytes());
        [p0, p1, p2, p3, e0, e1, v0, v1]
    }
}

/// What a message of the driver means for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that anybody waits for.
    Noted,
    /// The guest has opened it.
    Opened(usize),
    /// The guest has closed it.
    Closed(usize),
    /// It makes no sense.
    Nonsense,
}

/// What the driver was told of a port, and what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortTalk {
    /// It knows that the port is there.
    added: bool,
    /// It has taken the port on.
    ready: bool,
    /// It knows whether the port is the terminal, or what it is called.
    introduced: bool,
    /// The guest has the port open.
    guest_open: bool,
    /// It knows that somebody on the host has.
    host_open: bool,
    /// The size of the terminal that it knows, columns and rows.
    size: Option<(u16, u16)>,
}

/// How a port is on the host at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish<'a> {
    /// Its name; the terminal has none.
    pub(super) name: Option<&'a str>,
    /// Whether somebody has it open.
    pub(super) open: bool,
    /// The size of the terminal.
    pub(super) size: Option<TerminalSize>,
}

/// One message to the driver, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    what: What,
    message: Message,
    /// What follows the message.
    payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Added,
    Introduced,
    Open(bool),
    Size((u16, u16)),
}

impl News {
    pub(super) fn bytes(&self) -> Vec<u8> {
        [self.message.bytes().as_slice(), &self.payload].concat()
    }
}

/// The whole conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Talk {
    /// The driver wants to know of ports.
    ready: bool,
    ports: Vec<PortTalk>,
}

impl Talk {
    pub(super) fn new(ports: usize) -> Self {
        Self { ready: false, ports: vec![PortTalk::default(); ports] }
    }

    /// How many ports it is about.
    pub(super) fn ports(&self) -> usize {
        self.ports.len()
    }

    /// Whether the guest has a port open.
    pub(super) fn is_guest_open(&self, port: usize) -> bool {
        self.ports.get(port).is_some_and(|port| port.guest_open)
    }

    /// Whether the driver believes that somebody on the host has a port open.
    pub(super) fn is_host_open(&self, port: usize) -> bool {
        self.ports.get(port).is_some_and(|port| port.host_open)
    }

    /// Takes a message of the driver. Whatever it says again, and in whatever order, costs no more than one state.
    pub(super) fn hear(&mut self, message: Message) -> Heard {
        let yes = message.value == 1;
        if message.value > 1 {
            return Heard::Nonsense;
        }
        if message.event == VIRTIO_CONSOLE_DEVICE_READY {
            // It begins anew, or has failed.
            *self = Self { ready: yes, ..Self::new(self.ports.len()) };
            return Heard::Noted;
        }
        let index = usize::try_from(message.port).unwrap_or(usize::MAX);
        let Some(port) = self.ports.get_mut(index) else { return Heard::Nonsense };
        match message.event {
            VIRTIO_CONSOLE_PORT_READY => {
                *port = PortTalk {
                    added: true,
                    ready: yes,
                    guest_open: port.guest_open && yes,
                    ..PortTalk::default()
                };
                Heard::Noted
            }
            VIRTIO_CONSOLE_PORT_OPEN => {
                port.guest_open = yes;
                if yes { Heard::Opened(index) } else { Heard::Closed(index) }
            }
            _ => Heard::Nonsense,
        }
    }

    /// The next thing that the driver does not know yet.
    pub(super) fn news(&self, wishes: &[Wish<'_>]) -> Option<News> {
        if !self.ready {
            return None;
        }
        (0..).zip(self.ports.iter().zip(wishes)).find_map(|(number, (port, wish))| port.news(number, wish))
    }

    /// The driver has been told.
    pub(super) fn told(&mut self, news: &News) {
        let index = usize::try_from(news.message.port).unwrap_or(usize::MAX);
        let Some(port) = self.ports.get_mut(index) else { return };
        match news.what {
            What::Added => port.added = true,
            What::Introduced => port.introduced = true,
            What::Open(open) => port.host_open = open,
            What::Size(size) => port.size = Some(size),
        }
    }
}

impl PortTalk {
    fn news(&self, port: u32, wish: &Wish<'_>) -> Option<News> {
        let news = |what, event, value, payload: &[u8]| {
            Some(News { what, message: Message { port, event, value }, payload: payload.to_vec() })
        };
        let size = wish.size.map(|size| (size.columns, size.rows)).filter(|_| wish.name.is_none());
        match (self, wish.name, size) {
            (Self { added: false, .. }, _, _) => news(What::Added, VIRTIO_CONSOLE_DEVICE_ADD, 0, &[]),
            (Self { ready: false, .. }, _, _) => None,
            (Self { introduced: false, .. }, None, _) => {
                news(What::Introduced, VIRTIO_CONSOLE_CONSOLE_PORT, 1, &[])
            }
            (Self { introduced: false, .. }, Some(name), _) => {
                news(What::Introduced, VIRTIO_CONSOLE_PORT_NAME, 1, name.as_bytes())
            }
            _ if self.host_open != wish.open => {
                news(What::Open(wish.open), VIRTIO_CONSOLE_PORT_OPEN, u16::from(wish.open), &[])
            }
            (_, _, Some((columns, rows))) if self.size != size => {
                // Linux took the rows for the columns until it was mended in 2025, in its stable series too.
                let ([c0, c1], [r0, r1]) = (columns.to_le_bytes(), rows.to_le_bytes());
                news(What::Size((columns, rows)), VIRTIO_CONSOLE_RESIZE, 0, &[c0, c1, r0, r1])
            }
            _ => None,
        }
    }
}
