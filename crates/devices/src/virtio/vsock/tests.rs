// SPDX-License-Identifier: Apache-2.0
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::Buffer::{Readable, Writable};
use flotilla_testing::driver::{FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use flotilla_testing::sockets::FakeSocketHost;
use proptest::prelude::*;

use super::connection::BUFFER;
use super::device::Vsock;
use super::packet::{HEADER_LEN, Header, Operation, TYPE_STREAM};
use crate::declared::assert_declared;
use crate::virtio::queue::{F_EVENT_IDX, F_INDIRECT_DESC};

const CID: u32 = 52;
/// What the driver says its buffer is, unless a test says something else.
const GUEST_BUFFER: u32 = 0x4_0000;
const TX: u64 = 0x2_0000;
const RX: u64 = 0x8_0000;
const EVENTS: u64 = 0x6000;
const RX_SLOT: u64 = 0x1000;
const RX_SLOTS: u16 = 16;

struct Bench {
    memory: Arc<GuestMemory>,
    rx: FakeQueue,
    tx: FakeQueue,
    event: FakeQueue,
    interrupt: Arc<FakeVirtioInterrupt>,
    host: Arc<FakeSocketHost>,
    device: Vsock,
    /// Packets that came and were not looked at.
    seen: VecDeque<(Header, Vec<u8>)>,
}

fn bench_of(limit: usize, features: u64) -> Bench {
    let memory = guest_memory(0x20_0000);
    let (rx, tx) = (FakeQueue::new(&memory, 0x1000, RX_SLOTS), FakeQueue::new(&memory, 0x2000, 64));
    let event = FakeQueue::new(&memory, 0x4000, 8);
    let host = Arc::new(FakeSocketHost::new(&[1024]));
    let device = Vsock::new("vsock", CID, limit, host.clone());
    let mut bench =
        Bench { memory, rx, tx, event, interrupt: Arc::default(), host, device, seen: VecDeque::new() };
    bench.fill_events();
    bench.activate(features);
    bench
}

/// A device whose driver has offered all the buffers it has.
fn bench() -> Bench {
    let mut bench = bench_of(16, F_EVENT_IDX | F_INDIRECT_DESC);
    bench.offer(RX_SLOTS);
    bench
}

fn packet(operation: Operation, host: u32, guest: u32) -> Header {
    Header {
        source_cid: CID.into(),
        destination_cid: 2,
        source_port: guest,
        destination_port: host,
        len: 0,
        kind: TYPE_STREAM,
        operation,
        flags: 0,
        buffer: GUEST_BUFFER,
        forwarded: 0,
    }
}

impl Bench {
    fn activate(&self, features: u64) {
        let queues = [&self.rx, &self.tx, &self.event].map(|queue| Some(queue.activate()));
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features,
            queues: queues.into(),
            interrupt: self.interrupt.clone(),
        };
        self.device.activate(activation).unwrap();
    }

    fn fill_events(&mut self) {
        for slot in 0..4 {
            self.event.add(&[Writable(EVENTS + slot * 8, 4)]);
        }
    }

    /// Offers `count` buffers.
    fn offer(&mut self, count: u16) {
        for _ in 0..count {
            let slot = u64::from(self.rx.available_index() % RX_SLOTS);
            let size = u32::try_from(RX_SLOT).unwrap();
            self.rx.add(&[Writable(RX + slot * RX_SLOT, size)]);
        }
        self.rx.ring();
    }

    /// Sends a packet whose header and bytes lie in `parts` buffers.
    fn send_in(&mut self, header: Header, payload: &[u8], parts: u32) {
        let header = Header { len: u32::try_from(payload.len()).unwrap(), ..header };
        let bytes = [header.bytes(), payload.to_vec()].concat();
        self.memory.write_slice(&bytes, GuestAddress(TX)).unwrap();
        let whole = u32::try_from(bytes.len()).unwrap();
        let cuts: Vec<u32> = (0..=parts).map(|part| whole * part / parts).collect();
        let buffers: Vec<_> =
            cuts.windows(2).map(|cut| Readable(TX + u64::from(cut[0]), cut[1] - cut[0])).collect();
        self.tx.add(&buffers);
        self.tx.ring();
        self.tx.wait_used();
    }

    fn send(&mut self, header: Header, payload: &[u8]) {
        self.send_in(header, payload, 1);
    }

    /// Takes what came, and offers its buffers again.
    fn take(&mut self) {
        while let Some((head, len)) = self.rx.take_used() {
            let at = RX + u64::from(head) * RX_SLOT;
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
            let header = Header::parse(bytes.first_chunk::<HEADER_LEN>().unwrap());
            assert_eq!(usize::try_from(header.len).unwrap(), bytes.len() - HEADER_LEN);
            assert_eq!((header.source_cid, header.destination_cid), (2, u64::from(CID)));
            self.seen.push_back((header, bytes.split_off(HEADER_LEN)));
            self.offer(1);
        }
    }

    /// The next packet of this kind; credit updates before it are passed over.
    fn receive(&mut self, operation: Operation) -> (Header, Vec<u8>) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            self.take();
            while let Some((header, bytes)) = self.seen.pop_front() {
                if header.operation == operation {
                    return (header, bytes);
                }
                assert_eq!(header.operation, Operation::CreditUpdate, "in place of {operation:?}");
            }
            assert!(Instant::now() < deadline, "no {operation:?} came");
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Whether nothing comes for a while.
    fn hears_nothing(&mut self) -> bool {
        thread::sleep(Duration::from_millis(50));
        self.take();
        self.seen.is_empty()
    }

    /// A connection that a host program asked for, and the port it comes from.
    fn connected(&mut self, guest: u32) -> (UnixStream, u32) {
        let mut program = self.host.visit();
        writeln!(program, "CONNECT {guest}").unwrap();
        let (request, _) = self.receive(Operation::Request);
        assert_eq!(request.destination_port, guest);
        self.send(packet(Operation::Response, request.source_port, guest), &[]);
        let answer = format!("OK {}\n", request.source_port);
        assert_eq!(read(&mut program, answer.len()), answer.as_bytes());
        (program, request.source_port)
    }

    fn metric(&self, name: &str) -> u64 {
        self.device.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }
}

fn read(stream: &mut UnixStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn at_end(stream: &mut UnixStream) -> bool {
    stream.read(&mut [0]).unwrap() == 0
}

#[test]
fn tells_the_driver_what_it_is() {
    let bench = bench();
    let mut config = [0xff; 10];
    bench.device.read_config(0, &mut config);
    assert_eq!(config, [52, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((bench.device.device_type(), bench.device.queue_max_sizes().len()), (19, 3));
}

#[test]
fn a_host_program_reaches_the_guest_and_bytes_flow_both_ways() {
    let mut bench = bench();
    let (mut program, port) = bench.connected(80);
    program.write_all(b"ping").unwrap();
    let (header, bytes) = bench.receive(Operation::Data);
    assert_eq!((header.source_port, header.destination_port, &bytes[..]), (port, 80, &b"ping"[..]));
    for parts in [1, 2, 3, 6] {
        bench.send_in(packet(Operation::Data, port, 80), b"pong once more, in pieces", parts);
        assert_eq!(read(&mut program, 25), b"pong once more, in pieces");
    }
    assert_eq!(
        (bench.metric("connections"), bench.metric("tx_bytes"), bench.metric("rx_bytes")),
        (1, 100, 4)
    );
}

#[test]
fn the_guest_reaches_a_program_that_serves_the_port() {
    let mut bench = bench();
    bench.send(packet(Operation::Request, 1024, 7), &[]);
    let (response, _) = bench.receive(Operation::Response);
    assert_eq!((response.source_port, response.destination_port, response.buffer), (1024, 7, BUFFER));
    let mut program = bench.host.take_reached().unwrap();
    bench.send(packet(Operation::Data, 1024, 7), b"hello");
    assert_eq!(read(&mut program, 5), b"hello");
}

#[test]
fn the_guest_reaches_programs_that_wait_for_it_in_their_order() {
    let mut bench = bench();
    let mut waiting: Vec<_> = (0..3).map(|_| bench.host.visit()).collect();
    for program in &mut waiting {
        program.write_all(b"ACCEPT 9\n").unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    // The second goes away again.
    drop(waiting.remove(1));
    thread::sleep(Duration::from_millis(50));
    for (program, guest) in waiting.iter_mut().zip([100, 101]) {
        bench.send(packet(Operation::Request, 9, guest), &[]);
        bench.receive(Operation::Response);
        assert_eq!(read(program, 7), format!("OK {guest}\n").as_bytes());
    }
    bench.send(packet(Operation::Request, 9, 102), &[]);
    bench.receive(Operation::Reset);
    assert_eq!(bench.metric("refused"), 1);
}

#[test]
fn refuses_what_nobody_serves_and_answers_no_reset() {
    let mut bench = bench();
    for operation in [Operation::Request, Operation::Data, Operation::Shutdown, Operation::Unsupported(99)] {
        bench.send(packet(operation, 1, 7), &[]);
        let (reset, _) = bench.receive(Operation::Reset);
        assert_eq!((reset.source_port, reset.destination_port), (1, 7));
    }
    bench.send(packet(Operation::Reset, 1, 7), &[]);
    bench.send(Header { source_cid: 99, ..packet(Operation::Request, 1024, 7) }, &[]);
    assert!(bench.hears_nothing());
    bench.send(Header { kind: 2, ..packet(Operation::Request, 1024, 7) }, &[]);
    assert_eq!(bench.receive(Operation::Reset).0.kind, 2);
    bench.send(packet(Operation::Request, u32::MAX, 7), &[]);
    bench.receive(Operation::Reset);
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    let mut bench = bench();
    let (mut program, port) = bench.connected(80);
    program.write_all(b"question").unwrap();
    program.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.receive(Operation::Data).1, b"question");
    assert_eq!(bench.receive(Operation::Shutdown).0.flags, 2);
    bench.send(packet(Operation::Data, port, 80), b"answer");
    assert_eq!(read(&mut program, 6), b"answer");
    bench.send(Header { flags: 3, ..packet(Operation::Shutdown, port, 80) }, &[]);
    bench.receive(Operation::Reset);
    assert!(at_end(&mut program));

    let (mut program, port) = bench.connected(81);
    bench.send(packet(Operation::Data, port, 81), b"all");
    bench.send(Header { flags: 2, ..packet(Operation::Shutdown, port, 81) }, &[]);
    assert_eq!(read(&mut program, 3), b"all");
    assert!(at_end(&mut program));
    program.write_all(b"still").unwrap();
    assert_eq!(bench.receive(Operation::Data).1, b"still");
    bench.send(packet(Operation::Data, port, 81), b"more");
    bench.receive(Operation::Reset);
}

#[test]
fn a_program_that_goes_away_ends_the_connection_after_its_last_bytes() {
    let mut bench = bench();
    let (mut program, port) = bench.connected(80);
    program.write_all(b"bye").unwrap();
    drop(program);
    assert_eq!(bench.receive(Operation::Data).1, b"bye");
    // First that nothing more comes, then that nothing more is taken.
    let first = bench.receive(Operation::Shutdown).0.flags;
    assert!(first == 3 || (first == 2 && bench.receive(Operation::Shutdown).0.flags == 3));
    bench.send(packet(Operation::Reset, port, 80), &[]);
    bench.send(packet(Operation::Data, port, 80), b"late");
    bench.receive(Operation::Reset);
}

#[test]
fn a_guest_that_does_not_end_what_the_host_gave_up_is_not_waited_for() {
    let mut bench = bench();
    let (program, port) = bench.connected(80);
    drop(program);
    let reset = Instant::now();
    while bench.receive(Operation::Shutdown).0.flags != 3 {}
    assert_eq!(bench.receive(Operation::Reset).0.source_port, port);
    assert!(reset.elapsed() >= Duration::from_millis(1900));
}

#[test]
fn what_the_guest_sent_before_it_left_is_still_read() {
    let mut bench = bench();
    let (mut program, port) = bench.connected(80);
    fill_the_stream(&mut bench, port, 80);
    bench.send(Header { flags: 3, ..packet(Operation::Shutdown, port, 80) }, &[]);
    bench.receive(Operation::Reset);
    let sent = usize::try_from(bench.metric("tx_bytes")).unwrap();
    assert_eq!(read(&mut program, sent), vec![7; sent]);
    assert!(at_end(&mut program));
}

/// Sends until the host's socket is full and the device keeps as much as it may; how much that was.
fn fill_the_stream(bench: &mut Bench, port: u32, guest: u32) -> u32 {
    let mut sent = 0;
    loop {
        bench.send(packet(Operation::CreditRequest, port, guest), &[]);
        let (header, _) = bench.receive(Operation::CreditUpdate);
        if sent - header.forwarded > BUFFER - 4096 {
            return sent;
        }
        bench.send(packet(Operation::Data, port, guest), &[7; 4096]);
        sent += 4096;
    }
}

#[test]
fn a_program_that_does_not_read_stops_the_guest_and_no_more_is_kept_than_promised() {
    let mut bench = bench();
    let (mut program, port) = bench.connected(80);
    let sent = fill_the_stream(&mut bench, port, 80);
    // It reads: the guest is told before it has to ask.
    assert_eq!(read(&mut program, usize::try_from(sent).unwrap()).len(), usize::try_from(sent).unwrap());
    let told = loop {
        let (header, _) = bench.receive(Operation::CreditUpdate);
        if sent - header.forwarded < BUFFER / 2 {
            break header;
        }
    };
    assert_eq!(told.buffer, BUFFER);
    fill_the_stream_from(&mut bench, port, sent);
    bench.send(packet(Operation::Data, port, 80), &[7; 4096]);
    bench.send(packet(Operation::Data, port, 80), &[7; 4096]);
    while bench.take_operation() != Some(Operation::Reset) {}
    assert!(bench.metric("tx_errors") >= 1);
}

/// The same on a connection that has carried bytes before.
fn fill_the_stream_from(bench: &mut Bench, port: u32, mut sent: u32) {
    loop {
        bench.send(packet(Operation::CreditRequest, port, 80), &[]);
        let mut forwarded = bench.receive(Operation::CreditUpdate).0.forwarded;
        while let Some((header, _)) = bench.seen.pop_front() {
            forwarded = header.forwarded;
        }
        if sent - forwarded > BUFFER - 4096 {
            return;
        }
        bench.send(packet(Operation::Data, port, 80), &[7; 4096]);
        sent += 4096;
    }
}

impl Bench {
    /// What the next packet is for, whatever it is.
    fn take_operation(&mut self) -> Option<Operation> {
        wait_until("something comes", || {
            self.take();
            !self.seen.is_empty()
        });
        self.seen.pop_front().map(|(header, _)| header.operation)
    }
}

#[test]
fn sends_no_more_than_the_guest_has_room_for() {
    let mut bench = bench();
    let mut program = bench.host.visit();
    program.write_all(b"CONNECT 80\n").unwrap();
    let (request, _) = bench.receive(Operation::Request);
    let port = request.source_port;
    bench.send(Header { buffer: 10, ..packet(Operation::Response, port, 80) }, &[]);
    program.write_all(b"0123456789abcdef").unwrap();
    assert_eq!(bench.receive(Operation::Data).1, b"0123456789");
    bench.receive(Operation::CreditRequest);
    assert!(bench.hears_nothing());
    bench.send(Header { buffer: 10, forwarded: 4, ..packet(Operation::CreditUpdate, port, 80) }, &[]);
    assert_eq!(bench.receive(Operation::Data).1, b"abcd");
    bench.receive(Operation::CreditRequest);
    // It says it passed on what it never got: no credit, and no overflow.
    bench.send(Header { buffer: 10, forwarded: 400, ..packet(Operation::CreditUpdate, port, 80) }, &[]);
    assert!(bench.hears_nothing());
    bench.send(Header { buffer: 10, forwarded: 14, ..packet(Operation::CreditUpdate, port, 80) }, &[]);
    assert_eq!(bench.receive(Operation::Data).1, b"ef");
}

#[test]
fn a_connection_with_much_to_say_keeps_none_waiting() {
    let mut bench = bench();
    let (mut loud, _) = bench.connected(80);
    let (mut quiet, _) = bench.connected(81);
    bench.device.pause();
    loud.write_all(&vec![1; 40_000]).unwrap();
    quiet.write_all(b"me too").unwrap();
    bench.device.resume();
    let place = (0..4).position(|_| bench.receive(Operation::Data).1 == b"me too");
    assert!(place.is_some(), "it is among the first");
}

#[test]
fn a_guest_that_answers_no_request_is_given_up() {
    let mut bench = bench();
    let mut program = bench.host.visit();
    program.write_all(b"CONNECT 80\n").unwrap();
    let asked = bench.receive(Operation::Request).0;
    assert_eq!(bench.receive(Operation::Reset).0.source_port, asked.source_port);
    assert!(at_end(&mut program));
    // And so is a program that says nothing.
    let mut silent = bench.host.visit();
    silent.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    assert!(at_end(&mut silent));
    assert_eq!(bench.metric("refused"), 2);
}

#[test]
fn a_guest_that_refuses_ends_the_stream() {
    let mut bench = bench();
    let mut program = bench.host.visit();
    program.write_all(b"CONNECT 80\n").unwrap();
    let asked = bench.receive(Operation::Request).0;
    bench.send(packet(Operation::Reset, asked.source_port, 80), &[]);
    assert!(at_end(&mut program));
    for nonsense in ["CONNECT x\n", "GET / HTTP/1.1\r\n", "\n"] {
        let mut program = bench.host.visit();
        program.write_all(nonsense.as_bytes()).unwrap();
        assert!(matches!(program.read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    let mut bench = bench_of(2, 0);
    bench.offer(RX_SLOTS);
    let (_one, port) = bench.connected(80);
    bench.send(packet(Operation::Request, 1024, 7), &[]);
    bench.receive(Operation::Response);
    bench.send(packet(Operation::Request, 1024, 8), &[]);
    bench.receive(Operation::Reset);
    assert!(at_end(&mut bench.host.visit()));
    bench.send(packet(Operation::Reset, port, 80), &[]);
    bench.connected(81);
}

#[test]
fn a_pause_changes_nothing() {
    let mut bench = bench();
    let (mut program, port) = bench.connected(80);
    bench.device.pause();
    program.write_all(b"meanwhile").unwrap();
    assert!(bench.hears_nothing());
    let state = bench.device.save().unwrap();
    assert_eq!(state.fields["active"], true);
    bench.device.resume();
    assert_eq!(bench.receive(Operation::Data).1, b"meanwhile");
    bench.send(packet(Operation::Data, port, 80), b"too");
    assert_eq!(read(&mut program, 3), b"too");
    assert_eq!((bench.event.take_used(), bench.metric("transport_resets")), (None, 0));
}

#[test]
fn nobody_is_given_up_for_the_time_of_a_pause() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let mut bench = bench();
    let (program, port) = bench.connected(80);
    drop(program);
    while bench.receive(Operation::Shutdown).0.flags != 3 {}
    let gave_up = Instant::now();
    bench.device.pause();
    thread::sleep(PAUSE);
    bench.device.resume();
    assert_eq!(bench.receive(Operation::Reset).0.source_port, port);
    assert!(gave_up.elapsed() >= PAUSE + Duration::from_millis(1900));
}

/// A device on the same memory that has taken over the state of this one, with rings where they stand.
fn restored(mut bench: Bench) -> Bench {
    bench.device.pause();
    let state = bench.device.save().unwrap();
    let queues = bench.device.queues();
    let host = Arc::new(FakeSocketHost::new(&[1024]));
    let device = Vsock::new("vsock", CID, 16, host.clone());
    device.restore(&state).unwrap();
    let activation = Activation {
        memory: Arc::clone(&bench.memory),
        features: F_EVENT_IDX | F_INDIRECT_DESC,
        queues: [&bench.rx, &bench.tx, &bench.event]
            .into_iter()
            .zip(queues)
            .map(|(queue, state)| {
                let mut active = queue.activate();
                active.queue = virtio_queue::Queue::try_from(state.unwrap()).unwrap();
                Some(active)
            })
            .collect(),
        interrupt: bench.interrupt.clone(),
    };
    device.activate(activation).unwrap();
    bench.device.deactivate();
    bench.device = device;
    bench.host = host;
    bench
}

#[test]
fn after_a_restore_the_guest_is_told_first_and_hears_the_rest_when_it_has_understood() {
    let mut bench = bench();
    let (_program, first) = bench.connected(80);
    let mut bench = restored(bench);
    let (head, len) = bench.event.wait_used();
    let mut event = [0xff; 4];
    bench.memory.read_slice(&mut event, GuestAddress(EVENTS + u64::from(head) * 8)).unwrap();
    assert_eq!((event, len), ([0; 4], 4));
    let mut program = bench.host.visit();
    program.write_all(b"CONNECT 80\n").unwrap();
    // What it still sends on the connection that is gone is answered later, too.
    bench.send(packet(Operation::Data, first, 80), b"hello?");
    assert!(bench.hears_nothing());
    bench.event.add(&[Writable(EVENTS, 4)]);
    bench.event.ring();
    assert_eq!(bench.receive(Operation::Reset).0.source_port, first);
    let second = bench.receive(Operation::Request).0.source_port;
    assert_ne!(first, second, "a port that the guest may remember");
    assert_eq!(bench.metric("transport_resets"), 1);
    // Later pauses do not close the gate again.
    bench.device.pause();
    bench.device.resume();
    bench.send(packet(Operation::Response, second, 80), &[]);
    read(&mut program, 3);
}

#[test]
fn a_guest_that_never_says_that_it_has_understood_is_heard_all_the_same() {
    let mut bench = restored(bench());
    let mut program = bench.host.visit();
    program.write_all(b"CONNECT 80\n").unwrap();
    assert!(bench.hears_nothing());
    thread::sleep(Duration::from_millis(2100));
    assert_eq!(bench.receive(Operation::Request).0.destination_port, 80);
}

#[test]
fn what_the_guest_sent_before_a_save_is_dealt_with_after_the_restore() {
    let mut bench = bench();
    bench.device.pause();
    let request = packet(Operation::Request, 1024, 7);
    bench.memory.write_slice(&request.bytes(), GuestAddress(TX)).unwrap();
    bench.tx.add(&[Readable(TX, 44)]);
    let mut bench = restored(bench);
    // No doorbell rang on this side.
    bench.tx.wait_used();
    bench.event.add(&[Writable(EVENTS, 4)]);
    bench.event.wait_used();
    bench.event.ring();
    bench.receive(Operation::Response);
}

#[test]
fn refuses_saved_states_it_never_wrote() {
    let bench = bench();
    let good = bench.device.save().unwrap();
    for (field, value) in [
        ("features", serde_json::json!(u64::MAX)),
        ("cid", 2.into()),
        ("cid", u32::MAX.into()),
        ("next_port", 0.into()),
        ("next_port", u32::MAX.into()),
        ("active", "yes".into()),
        ("more", 1.into()),
    ] {
        let mut state = good.clone();
        state.fields[field] = value;
        assert!(bench.device.restore(&state).is_err(), "{field}");
    }
}

#[test]
fn a_reset_ends_all_connections_and_the_next_driver_begins_anew() {
    let mut bench = bench();
    let (mut program, _) = bench.connected(80);
    bench.device.deactivate();
    assert!(at_end(&mut program));
    assert_eq!(bench.device.save().unwrap().fields["active"], false);
    bench.rx = FakeQueue::new(&bench.memory, 0x1000, RX_SLOTS);
    bench.tx = FakeQueue::new(&bench.memory, 0x2000, 64);
    bench.event = FakeQueue::new(&bench.memory, 0x4000, 8);
    bench.activate(0);
    bench.offer(RX_SLOTS);
    bench.connected(80);
}

#[test]
fn hostile_packets_and_buffers_do_no_harm() {
    let mut bench = bench_of(16, F_INDIRECT_DESC);
    for len in [1, 43] {
        bench.tx.add(&[Readable(TX, len)]);
        bench.tx.ring();
        bench.tx.wait_used();
    }
    bench.tx.add(&[Writable(TX, 100)]);
    bench.tx.ring();
    bench.tx.wait_used();
    // More bytes said than there are, and more than any packet holds.
    for len in [1, 65_537, u32::MAX] {
        let header = Header { len, ..packet(Operation::Data, 1, 1) };
        bench.memory.write_slice(&header.bytes(), GuestAddress(TX)).unwrap();
        bench.tx.add(&[Readable(TX, 44)]);
        bench.tx.ring();
        bench.tx.wait_used();
    }
    assert_eq!(bench.metric("tx_errors"), 6);
    // A buffer too small for a header breaks the queue.
    bench.rx.add(&[Writable(RX, 43)]);
    bench.rx.ring();
    bench.send(packet(Operation::Request, 1, 7), &[]);
    wait_until("reset is asked for", || bench.interrupt.is_reset_needed());
    wait_until("it is counted", || bench.metric("broken_queues") > 0);
}

#[test]
fn a_guest_without_buffers_costs_no_memory() {
    let mut bench = bench_of(16, 0);
    let mut program = bench.host.visit();
    program.write_all(b"CONNECT 80\n").unwrap();
    for round in 0..2000 {
        bench.send(packet(Operation::Data, round, 7), b"");
    }
    bench.offer(RX_SLOTS);
    wait_until("the resets that were kept come", || {
        bench.take();
        bench.metric("resets") >= 256
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn survives_any_packets(packets in prop::collection::vec((any::<[u8; 16]>(), 0_u32..3, 0_u32..3, 0_u16..9, any::<u32>()), 1..40)) {
        let mut bench = bench();
        let mut program = bench.host.visit();
        program.write_all(b"CONNECT 1\n").unwrap();
        for (payload, host, guest, operation, number) in packets {
            let host = [1024, 1 << 30 | 1, number].into_iter().nth(usize::try_from(host).unwrap()).unwrap();
            let mut bytes = packet(Operation::Data, host, guest).bytes();
            bytes.splice(30..32, operation.to_le_bytes());
            bytes.splice(32..44, [number.to_le_bytes(), (number >> 3).to_le_bytes(), (number << 5).to_le_bytes()].concat());
            let header = Header::parse(bytes.first_chunk().unwrap());
            bench.send(header, &payload);
            bench.take();
        }
        prop_assert!(!bench.interrupt.is_reset_needed());
    }

    #[test]
    fn survives_any_rings(bytes in prop::collection::vec(any::<u8>(), 1..600), waiting in any::<u16>()) {
        let mut bench = bench_of(4, F_INDIRECT_DESC | F_EVENT_IDX);
        bench.device.pause();
        bench.tx.scribble(&bytes, waiting);
        bench.rx.scribble(&bytes, waiting);
        bench.event.scribble(&bytes, waiting);
        bench.device.resume();
        bench.tx.ring();
        bench.device.pause();
        bench.device.deactivate();
    }
}

#[test]
fn reports_the_metrics_that_are_declared() {
    assert_declared("vsock", &bench().device.metrics());
}
