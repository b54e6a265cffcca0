// SPDX-License-Identifier: Apache-2.0
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flotilla_device_model::console::{PortHost, TerminalSize};
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{ActivateError, Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::{FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use flotilla_testing::ports::FakePort;
use proptest::prelude::*;

use super::control::{Heard, Message, News, Talk, Wish};
use super::device::{ConsoleDevice, Port, VIRTIO_CONSOLE_F_MULTIPORT};
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const DEVICE_READY: u16 = 0;
const DEVICE_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const CONSOLE_PORT: u16 = 4;
const RESIZE: u16 = 5;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

const RINGS: u64 = F_EVENT_IDX | F_INDIRECT_DESC;
const ALL: u64 = RINGS | VIRTIO_CONSOLE_F_MULTIPORT;
/// Queues by what they are for: the terminal, control, the port.
const TO_0: usize = 0;
const FROM_0: usize = 1;
const NEWS: usize = 2;
const WORDS: usize = 3;
const TO_1: usize = 4;
const FROM_1: usize = 5;
/// Where the driver of these tests has its buffers: a region for each queue.
const BUFFERS: u64 = 0x4_0000;
const REGION: u64 = 0x2_0000;
const SLOT: u64 = 0x200;
const SLOT_LEN: u32 = 0x200;

struct Bench {
    memory: Arc<GuestMemory>,
    queues: Vec<FakeQueue>,
    interrupt: Arc<FakeVirtioInterrupt>,
    terminal: Arc<FakePort>,
    stream: Arc<FakePort>,
    device: ConsoleDevice,
    next: u64,
}

fn device(terminal: &Arc<FakePort>, stream: &Arc<FakePort>, name: &str) -> ConsoleDevice {
    let host: Arc<dyn PortHost> = Arc::<FakePort>::clone(stream);
    let ports = vec![Port { name: name.to_owned(), host }];
    ConsoleDevice::new("console", Arc::<FakePort>::clone(terminal), ports).unwrap()
}

/// A device that has no driver yet.
fn idle() -> Bench {
    let memory = guest_memory(0x20_0000);
    let queues = (0..6).map(|index| FakeQueue::new(&memory, 0x1000 * (index + 1), 16)).collect();
    let (terminal, stream) = (Arc::<FakePort>::default(), Arc::<FakePort>::default());
    let device = device(&terminal, &stream, "agent");
    Bench { memory, queues, interrupt: Arc::default(), terminal, stream, device, next: 0 }
}

/// A device whose driver has agreed to several ports, and has offered buffers for control messages.
fn bench() -> Bench {
    let mut bench = idle();
    bench.activate(ALL).unwrap();
    bench.offer(NEWS, 15);
    bench
}

/// The same, with both ports taken on, opened by the guest, and with buffers for input.
fn talking() -> Bench {
    let mut bench = bench();
    bench.say(0, DEVICE_READY, 1);
    for port in 0..2 {
        bench.say(port, PORT_READY, 1);
        bench.say(port, PORT_OPEN, 1);
    }
    for queue in [TO_0, TO_1] {
        bench.offer(queue, 8);
    }
    bench.news(4);
    bench
}

fn region(queue: usize) -> u64 {
    BUFFERS + REGION * u64::try_from(queue).unwrap()
}

impl Bench {
    fn activate(&self, features: u64) -> Result<(), ActivateError> {
        self.device.activate(Activation {
            memory: Arc::clone(&self.memory),
            features,
            queues: self.queues.iter().map(|queue| Some(queue.activate())).collect(),
            interrupt: self.interrupt.clone(),
        })
    }

    /// Offers buffers of a queue to the guest.
    fn offer(&mut self, queue: usize, count: u64) {
        for slot in 0..count {
            self.queues[queue].add(&[Writable(region(queue) + SLOT * slot, SLOT_LEN)]);
        }
        self.queues[queue].ring();
    }

    /// Sends bytes from the guest; the next place is another one.
    fn send(&mut self, queue: usize, bytes: &[u8]) {
        let at = region(queue) + 0x1_0000 + (self.next % 64) * SLOT;
        self.next += 1;
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
        self.queues[queue].add(&[Readable(at, u32::try_from(bytes.len()).unwrap())]);
        self.queues[queue].ring();
    }

    /// Says something of a port and waits until it was heard.
    fn say(&mut self, port: u32, event: u16, value: u16) {
        self.send(WORDS, &Message { port, event, value }.bytes());
        self.queues[WORDS].wait_used();
    }

    /// What came in the next used buffer of a queue, which is offered again.
    fn receive(&mut self, queue: usize) -> Vec<u8> {
        let (head, len) = self.queues[queue].wait_used();
        let at = region(queue) + SLOT * u64::from(head);
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        self.queues[queue].offer(head);
        self.queues[queue].ring();
        bytes
    }

    /// The next control messages: port, event, value, and what follows.
    fn news(&mut self, count: usize) -> Vec<(u32, u16, u16, Vec<u8>)> {
        let one = |bytes: Vec<u8>| {
            let Message { port, event, value } = Message::parse(bytes[..8].try_into().unwrap());
            (port, event, value, bytes[8..].to_vec())
        };
        (0..count).map(|_| one(self.receive(NEWS))).collect()
    }

    /// Nothing more is said for a while.
    fn is_silent(&mut self, queue: usize) -> bool {
        thread::sleep(Duration::from_millis(30));
        self.queues[queue].take_used().is_none()
    }

    fn metric(&self, name: &str) -> u64 {
        self.device.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }
}

fn none() -> Vec<u8> {
    Vec::new()
}

#[test]
fn it_says_what_it_is() {
    let bench = idle();
    assert_eq!(bench.device.device_type(), 3);
    assert_eq!(bench.device.device_features() & 3, 3);
    assert_eq!(bench.device.queue_max_sizes().len(), 6);
    bench.terminal.resize(132, 43);
    let mut config = [0xff; 14];
    bench.device.read_config(0, &mut config);
    assert_eq!(config, [132, 0, 43, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_declared("console", &bench.device.metrics());
}

#[test]
fn without_a_further_port_it_is_a_terminal_at_once() {
    let mut bench = idle();
    bench.device =
        ConsoleDevice::new("console", Arc::<FakePort>::clone(&bench.terminal), Vec::new()).unwrap();
    bench.queues.truncate(2);
    assert_eq!(bench.device.device_features() & 3, 1);
    assert_eq!(bench.device.queue_max_sizes().len(), 2);
    bench.activate(bench.device.device_features()).unwrap();
    bench.offer(TO_0, 1);
    bench.terminal.send(b"a");
    assert_eq!(bench.receive(TO_0), b"a");
}

#[test]
fn a_driver_hears_of_each_port_as_far_as_it_has_come_itself() {
    let mut bench = bench();
    assert!(bench.is_silent(NEWS), "it has not asked");
    bench.say(0, DEVICE_READY, 1);
    assert_eq!(bench.news(2), [(0, DEVICE_ADD, 0, none()), (1, DEVICE_ADD, 0, none())]);
    assert!(bench.is_silent(NEWS), "it has not taken them on");
    bench.say(1, PORT_READY, 1);
    assert_eq!(bench.news(1), [(1, PORT_NAME, 1, b"agent".to_vec())]);
    bench.terminal.open(true);
    bench.terminal.resize(80, 25);
    bench.say(0, PORT_READY, 1);
    let expected =
        [(0, CONSOLE_PORT, 1, none()), (0, PORT_OPEN, 1, none()), (0, RESIZE, 0, vec![80, 0, 25, 0])];
    assert_eq!(bench.news(3), expected);
    assert_eq!((bench.metric("control_received"), bench.metric("control_sent")), (3, 6));
}

#[test]
fn a_size_is_told_once_by_message_and_by_configuration() {
    let mut bench = talking();
    let before = bench.interrupt.config();
    bench.terminal.resize(300, 2);
    assert_eq!(bench.news(1), [(0, RESIZE, 0, vec![44, 1, 2, 0])]);
    bench.terminal.resize(300, 2);
    // Another port has no size.
    bench.stream.resize(1, 1);
    assert!(bench.is_silent(NEWS));
    assert_eq!(bench.interrupt.config(), before + 1);
}

#[test]
fn bytes_pass_both_ways_on_each_port() {
    let mut bench = talking();
    bench.terminal.send(b"ls\n");
    assert_eq!(bench.receive(TO_0), b"ls\n");
    bench.stream.send(b"ping");
    assert_eq!(bench.receive(TO_1), b"ping");
    bench.send(FROM_0, b"total 0\n");
    bench.send(FROM_1, b"pong");
    bench.send(FROM_1, b"!");
    wait_until("all was sent", || bench.stream.output() == b"pong!");
    assert_eq!(bench.terminal.output(), b"total 0\n");
    assert_eq!((bench.metric("rx_bytes"), bench.metric("tx_bytes")), (7, 13));
}

#[test]
fn input_waits_for_a_guest_that_opens_the_port_and_has_buffers() {
    let mut bench = bench();
    bench.say(0, DEVICE_READY, 1);
    bench.say(1, PORT_READY, 1);
    bench.offer(TO_1, 2);
    bench.stream.open(true);
    bench.stream.send(&[b'x'; 600]);
    assert!(bench.is_silent(TO_1), "a driver drops what comes for a port that nobody reads");
    bench.say(1, PORT_OPEN, 1);
    assert_eq!((bench.receive(TO_1).len(), bench.receive(TO_1).len()), (512, 88));
    bench.stream.send(&vec![b'y'; 20_000]);
    let mut seen = 0;
    while seen < 20_000 {
        seen += bench.receive(TO_1).len();
    }
    assert_eq!(bench.stream.waiting(), 0);
}

#[test]
fn a_port_closes_after_its_last_input_and_what_nobody_reads_is_forgotten() {
    let mut bench = talking();
    bench.stream.open(true);
    assert_eq!(bench.news(1), [(1, PORT_OPEN, 1, none())]);
    // More than there are buffers for.
    bench.stream.send(&vec![b'x'; 512 * 9]);
    bench.stream.open(false);
    assert!(bench.is_silent(NEWS), "its last input has not come");
    for _ in 0..9 {
        bench.receive(TO_1);
    }
    assert_eq!(bench.news(1), [(1, PORT_OPEN, 0, none())]);
    bench.say(1, PORT_OPEN, 0);
    bench.stream.send(b"left");
    assert_eq!(bench.stream.waiting(), 4);
    bench.say(1, PORT_OPEN, 0);
    assert_eq!(bench.stream.waiting(), 0);
    bench.stream.open(true);
    bench.stream.send(b"kept");
    bench.say(1, PORT_OPEN, 0);
    assert_eq!(bench.stream.waiting(), 4);
}

#[test]
fn output_waits_in_the_guest_until_the_host_has_room() {
    let mut bench = talking();
    bench.stream.fill(true);
    bench.send(FROM_1, b"one");
    bench.send(FROM_1, b"two");
    wait_until("the guest waits", || bench.metric("tx_waits") > 0);
    assert_eq!((bench.stream.output(), bench.queues[FROM_1].used_index()), (none(), 0));
    // The other one does not.
    bench.send(FROM_0, b"three");
    wait_until("the terminal goes on", || bench.terminal.output() == b"three");
    bench.stream.fill(false);
    wait_until("everything came", || bench.stream.output() == b"onetwo");
}

#[test]
fn a_driver_that_knows_one_port_has_a_terminal_without_further_ado() {
    let mut bench = idle();
    bench.activate(RINGS).unwrap();
    bench.offer(TO_0, 2);
    bench.terminal.send(b"a");
    assert_eq!(bench.receive(TO_0), b"a");
    bench.send(FROM_0, b"b");
    wait_until("it came", || bench.terminal.output() == b"b");
    let before = bench.interrupt.config();
    bench.terminal.resize(10, 10);
    wait_until("it hears of the size", || bench.interrupt.config() > before);
    assert!(bench.device.queues()[2..].iter().all(Option::is_none));
}

#[test]
fn a_driver_may_leave_ports_alone_and_nothing_else() {
    let bench = idle();
    let with = |missing: usize| {
        let queues = bench.queues.iter().enumerate();
        let queues = queues.map(|(index, queue)| (index != missing).then(|| queue.activate())).collect();
        let (memory, interrupt) = (Arc::clone(&bench.memory), bench.interrupt.clone());
        let activated = bench.device.activate(Activation { memory, features: ALL, queues, interrupt });
        bench.device.deactivate();
        activated
    };
    for index in [TO_0, FROM_0, NEWS, WORDS] {
        let index = u16::try_from(index).unwrap();
        assert!(matches!(with(index.into()), Err(ActivateError::QueueMissing { index: at }) if at == index));
    }
    assert!(with(TO_1).is_ok() && with(FROM_1).is_ok());
}

#[test]
fn nonsense_is_counted_and_forgotten() {
    let mut bench = talking();
    for (port, event, value) in
        [(2, PORT_OPEN, 1), (u32::MAX, PORT_READY, 1), (0, 99, 1), (0, RESIZE, 0), (0, PORT_OPEN, 2)]
    {
        bench.say(port, event, value);
    }
    bench.send(WORDS, &[0; 7]);
    bench.queues[WORDS].wait_used();
    assert_eq!(bench.metric("control_errors"), 6);
    // More than a message is one.
    bench.send(WORDS, &[1, 0, 0, 0, 6, 0, 0, 0, 9, 9]);
    bench.queues[WORDS].wait_used();
    bench.stream.send(b"x");
    assert!(bench.is_silent(TO_1), "the guest has closed it");
    assert!(!bench.interrupt.is_reset_needed());
}

#[test]
fn a_flood_of_messages_costs_one_state_and_is_answered_as_far_as_there_are_buffers() {
    let mut bench = idle();
    bench.activate(ALL).unwrap();
    for _ in 0..2000 {
        bench.say(0, DEVICE_READY, 1);
        bench.say(1, PORT_READY, 1);
    }
    assert_eq!(bench.metric("control_sent"), 0, "there is no buffer");
    bench.offer(NEWS, 15);
    assert_eq!(bench.news(2), [(0, DEVICE_ADD, 0, none()), (1, PORT_NAME, 1, b"agent".to_vec())]);
    assert!(bench.is_silent(NEWS));
}

#[test]
fn buffers_that_cannot_be_used_break_the_queue() {
    let mut bench = idle();
    bench.activate(RINGS).unwrap();
    bench.queues[TO_0].add(&[Readable(region(TO_0), 8)]);
    bench.terminal.send(b"x");
    wait_until("input has no place", || bench.interrupt.is_reset_needed());
    assert_eq!((bench.metric("broken_queues"), bench.terminal.waiting()), (1, 1));
    let mut bench = idle();
    bench.activate(ALL).unwrap();
    // A name would not fit.
    for slot in 0..4 {
        bench.queues[NEWS].add(&[Writable(region(NEWS) + SLOT * slot, 8)]);
    }
    bench.say(0, DEVICE_READY, 1);
    for _ in 0..2 {
        assert_eq!(bench.queues[NEWS].wait_used().1, 8);
    }
    bench.say(1, PORT_READY, 1);
    wait_until("the name has no place", || bench.interrupt.is_reset_needed());
    assert_eq!((bench.metric("broken_queues"), bench.metric("control_sent")), (1, 2));
}

#[test]
fn more_than_one_buffer_may_hold_is_dropped() {
    let mut bench = talking();
    // The same bytes again and again.
    let buffers: Vec<_> = (0..4).map(|_| Readable(region(FROM_1), 0x1_8000)).collect();
    bench.queues[FROM_1].add(&buffers);
    bench.queues[FROM_1].ring();
    bench.queues[FROM_1].wait_used();
    assert_eq!(bench.stream.output().len(), 256 << 10);
    assert_eq!(bench.metric("dropped_bytes"), (4 * 0x1_8000) - (256 << 10));
}

#[test]
fn a_driver_that_starts_anew_is_told_everything_anew() {
    let mut bench = talking();
    bench.device.deactivate();
    bench.queues = (0..6).map(|index| FakeQueue::new(&bench.memory, 0x1000 * (index + 1), 16)).collect();
    bench.activate(ALL).unwrap();
    bench.offer(NEWS, 15);
    bench.offer(TO_1, 2);
    bench.stream.send(b"x");
    assert!(bench.is_silent(TO_1), "its guest has not opened the port");
    bench.say(0, DEVICE_READY, 1);
    assert_eq!(bench.news(2), [(0, DEVICE_ADD, 0, none()), (1, DEVICE_ADD, 0, none())]);
}

#[test]
fn a_restored_driver_hears_only_what_is_different() {
    let mut bench = talking();
    bench.terminal.open(true);
    bench.stream.open(true);
    bench.terminal.resize(80, 25);
    bench.news(3);
    bench.device.pause();
    let (state, queues) = (bench.device.save().unwrap(), bench.device.queues());
    assert!(queues.iter().all(Option::is_some));
    bench.device.resume();
    bench.device.deactivate();
    // On another host nobody is at the port yet, and the terminal has another size.
    let (terminal, stream) = (Arc::<FakePort>::default(), Arc::<FakePort>::default());
    terminal.open(true);
    terminal.resize(100, 30);
    bench.device = device(&terminal, &stream, "agent");
    (bench.terminal, bench.stream) = (terminal, stream);
    bench.device.restore(&state).unwrap();
    let active = |queue: &FakeQueue| {
        let mut active = queue.activate();
        let place = queues.iter().flatten().find(|state| state.desc_table == active.queue.state().desc_table);
        active.queue = place.copied().unwrap().try_into().unwrap();
        Some(active)
    };
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: ALL,
        queues: bench.queues.iter().map(active).collect(),
        interrupt: bench.interrupt.clone(),
    };
    bench.device.activate(activation).unwrap();
    assert_eq!(bench.news(2), [(0, RESIZE, 0, vec![100, 0, 30, 0]), (1, PORT_OPEN, 0, none())]);
    bench.stream.send(b"still open");
    assert_eq!(bench.receive(TO_1), b"still open");
}

#[test]
fn a_saved_form_is_for_a_device_with_the_same_ports() {
    let bench = talking();
    bench.device.pause();
    let state = bench.device.save().unwrap();
    let other = device(&bench.terminal, &bench.stream, "other");
    assert!(other.restore(&state).unwrap_err().to_string().contains("names"));
    let text = serde_json::to_string(&state).unwrap();
    for (from, to, field) in [
        (
            "\\\"ports\\\":[",
            "\\\"ports\\\":[{\\\"added\\\":true,\\\"ready\\\":true,\\\"introduced\\\":true,\\\"guest_open\\\":true,\\\"host_open\\\":true,\\\"size\\\":null},",
            "talk",
        ),
        ("\\\"features\\\":", "\\\"features\\\":9", "features"),
    ] {
        // The body may be text or a value.
        let (plain_from, plain_to) = (from.replace('\\', ""), to.replace('\\', ""));
        let changed = text.replacen(from, to, 1).replacen(&plain_from, &plain_to, 1);
        assert_ne!(changed, text, "{text}");
        let same = device(&bench.terminal, &bench.stream, "agent");
        let error = same.restore(&serde_json::from_str(&changed).unwrap()).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}

/// A driver and a host that do anything in any order.
#[derive(Debug, Clone, Copy)]
enum Act {
    Say(u32, u16, u16),
    Open(usize, bool),
    Resize(u16),
    Listen,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4_u32, 0..9_u16, 0..3_u16).prop_map(|(port, event, value)| Act::Say(port, event, value)),
        2 => (0..3_usize, any::<bool>()).prop_map(|(port, open)| Act::Open(port, open)),
        1 => any::<u16>().prop_map(Act::Resize),
        4 => Just(Act::Listen),
    ]
}

proptest! {
    #[test]
    fn whatever_is_said_the_driver_learns_how_things_are_in_few_words(acts in proptest::collection::vec(act(), 0..200)) {
        let (mut talk, mut open, mut size) = (Talk::new(3), [false; 3], None);
        let wishes = |open: [bool; 3], size| {
            [None, Some("a"), Some("b")].into_iter().zip(open).map(move |(name, open)| Wish { name, open, size }).collect::<Vec<_>>()
        };
        for act in acts {
            match act {
                Act::Say(port, event, value) => {
                    let before = talk.clone();
                    let heard = talk.hear(Message { port, event, value });
                    prop_assert!(heard != Heard::Nonsense || talk == before, "nonsense changes nothing");
                }
                Act::Open(port, now) => open[port] = now,
                Act::Resize(to) => size = Some(TerminalSize { columns: to, rows: to / 2 }),
                Act::Listen => {
                    if let Some(news) = talk.news(&wishes(open, size)) {
                        prop_assert!(news.bytes().len() <= 8 + 64);
                        talk.told(&news);
                    }
                }
            }
        }
        // Adding, introducing, opening and the size: four for each of three ports at most, and then silence.
        let mut left: Vec<News> = Vec::new();
        while let Some(news) = talk.news(&wishes(open, size)) {
            talk.told(&news);
            left.push(news);
            prop_assert!(left.len() <= 12, "{left:?}");
        }
    }

    #[test]
    fn a_message_is_its_bytes(bytes in any::<[u8; 8]>()) {
        prop_assert_eq!(Message::parse(bytes).bytes(), bytes);
    }
}
