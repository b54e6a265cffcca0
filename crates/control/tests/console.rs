// SPDX-License-Identifier: Apache-2.0
//! The console socket over a ring of 64 bytes.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use flotilla_control::console::{Chunk, ConsoleClient, ConsoleServer, Endpoint, Hello, LIVE, Purpose};

#[derive(Default)]
struct Ring {
    output: Mutex<(Vec<u8>, bool)>,
    grown: Condvar,
    input: Mutex<Vec<u8>>,
    /// The guest takes no input.
    deaf: AtomicBool,
    kept: usize,
    /// What it was told of its writer.
    writer: Mutex<Vec<String>>,
    /// Done for the next client that has been let in, before it is given anything.
    held_up: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Ring {
    fn note(&self, what: String) {
        self.writer.lock().unwrap().push(what);
    }

    fn say(&self, text: &[u8]) {
        self.output.lock().unwrap().0.extend(text);
        self.grown.notify_all();
    }

    fn end(&self) {
        self.output.lock().unwrap().1 = true;
        self.grown.notify_all();
    }
}

impl Endpoint for Ring {
    fn capacity(&self) -> u32 {
        u32::try_from(self.kept).unwrap()
    }

    fn bounds(&self) -> (u64, u64) {
        let held_up = self.held_up.lock().unwrap().take();
        if let Some(wait) = held_up {
            wait();
        }
        let end = self.output.lock().unwrap().0.len();
        (end.saturating_sub(self.kept) as u64, end as u64)
    }

    fn snapshot(&self, offset: u64) -> (u64, Vec<u8>) {
        let (oldest, end) = self.bounds();
        let from = offset.clamp(oldest, end);
        let skip = usize::try_from(from).unwrap();
        (from, self.output.lock().unwrap().0[skip..].to_vec())
    }

    fn read(&self, offset: u64, buffer: &mut [u8], wait: Duration) -> Chunk {
        let offset = usize::try_from(offset).unwrap();
        let output = self.output.lock().unwrap();
        let quiet = |state: &mut (Vec<u8>, bool)| state.0.len() <= offset && !state.1;
        let (output, _) = self.grown.wait_timeout_while(output, wait, quiet).unwrap();
        let (bytes, ended) = &*output;
        if offset < bytes.len().saturating_sub(self.kept) {
            return Chunk::Missed;
        }
        let len = (bytes.len() - offset).min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[offset..offset + len]);
        if len == 0 && *ended { Chunk::Ended } else { Chunk::Bytes(len) }
    }

    fn enter_writer(&self, offset: u64) {
        self.note(format!("enters at {offset}"));
    }

    fn writer_has(&self, offset: u64) {
        self.note(format!("has {offset}"));
    }

    fn leave_writer(&self) {
        self.note("leaves".to_owned());
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.note(format!("{columns} x {rows}"));
    }

    fn write(&self, bytes: &[u8], _wait: Duration) -> usize {
        if self.deaf.load(Ordering::Relaxed) {
            return 0;
        }
        // A slow UART takes a few bytes at a time.
        let taken = bytes.len().min(3);
        self.input.lock().unwrap().extend(&bytes[..taken]);
        taken
    }
}

struct Lab {
    _directory: tempfile::TempDir,
    path: PathBuf,
    ring: Arc<Ring>,
    /// Of the port `agent`.
    port: Arc<Ring>,
    server: ConsoleServer,
}

fn lab(kept: usize) -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("console.sock");
    let ring = Arc::new(Ring { kept, ..Ring::default() });
    let port = Arc::new(Ring { kept, ..Ring::default() });
    let endpoint: Arc<dyn Endpoint> = port.clone();
    let ports = BTreeMap::from([("agent".to_owned(), endpoint)]);
    let server = ConsoleServer::start(UnixListener::bind(&path).unwrap(), ring.clone(), ports).unwrap();
    Lab { _directory: directory, path, ring, port, server }
}

impl Lab {
    fn open(&self, offset: u64, writer: bool) -> std::io::Result<ConsoleClient> {
        ConsoleClient::connect(&self.path, hello(offset, writer))
    }
}

fn hello(offset: u64, writer: bool) -> Hello {
    Hello { purpose: if writer { Purpose::Write } else { Purpose::Read }, offset }
}

fn read(client: &mut ConsoleClient, len: usize) -> String {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn readers_get_the_same_bytes_from_where_they_ask() {
    let lab = lab(64);
    lab.ring.say(b"0123456789");
    let mut all = lab.open(0, false).unwrap();
    let mut some = lab.open(6, false).unwrap();
    let mut live = lab.open(LIVE, false).unwrap();
    assert_eq!((all.welcome().offset, some.welcome().offset, live.welcome().offset), (0, 6, 10));
    assert_eq!(all.welcome().ring, 64);
    lab.ring.say(b"abc");
    assert_eq!(read(&mut all, 13), "0123456789abc");
    assert_eq!(read(&mut some, 7), "6789abc");
    assert_eq!(read(&mut live, 3), "abc");
}

#[test]
fn an_offset_that_is_gone_or_not_yet_there_is_answered_with_what_there_is() {
    let lab = lab(4);
    lab.ring.say(b"0123456789");
    assert_eq!(lab.open(2, false).unwrap().welcome().offset, 6);
    assert_eq!(lab.open(2000, false).unwrap().welcome().offset, 10);
}

#[test]
fn one_client_writes_until_it_goes() {
    let lab = lab(64);
    let mut writer = lab.open(LIVE, true).unwrap();
    assert_eq!(lab.open(LIVE, true).err().unwrap().kind(), ErrorKind::AddrInUse);
    let mut reader = lab.open(LIVE, false).unwrap();
    reader.write_all(b"ignored").unwrap();
    writer.write_all(b"echo hello\n").unwrap();
    wait(|| *lab.ring.input.lock().unwrap() == b"echo hello\n");
    drop(writer);
    wait(|| lab.open(LIVE, true).is_ok());
}

#[test]
fn a_reader_that_does_not_read_is_dropped_and_stops_neither_guest_nor_others() {
    let lab = lab(1 << 16);
    let mut slow = lab.open(0, false).unwrap();
    for _ in 0..64 {
        lab.ring.say(&vec![b'x'; 1 << 16]);
    }
    let mut other = lab.open(LIVE, false).unwrap();
    lab.ring.say(b"here");
    assert_eq!(read(&mut other, 4), "here");
    // What the slow one gets is without gaps, then the connection ends.
    let mut taken = Vec::new();
    slow.read_to_end(&mut taken).unwrap();
    assert!(taken.len() < 4 << 20 && taken.iter().all(|byte| *byte == b'x'));
}

#[test]
fn the_last_output_is_sent_before_the_end() {
    let lab = lab(64);
    let mut client = lab.open(0, false).unwrap();
    lab.ring.say(b"reboot: Power down\n");
    lab.ring.end();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "reboot: Power down\n");
    drop(client);
    assert!(lab.server.finish(Duration::from_mins(1)), "a reader that has it all is still waited for");
}

#[test]
fn a_writer_that_went_makes_room_at_once_however_quiet_the_guest_is() {
    let lab = lab(64);
    for _ in 0..20 {
        drop(lab.open(LIVE, true).expect("the writer before has closed its connection"));
    }
}

#[test]
fn a_writer_that_went_while_the_guest_took_nothing_makes_room_and_writes_no_more() {
    let lab = lab(64);
    lab.ring.deaf.store(true, Ordering::Relaxed);
    let mut first = lab.open(LIVE, true).unwrap();
    first.write_all(b"never taken").unwrap();
    // Until the thread of the server has it and tries to hand it on.
    std::thread::sleep(Duration::from_millis(100));
    drop(first);
    let mut second = lab.open(LIVE, true).expect("the first has closed its connection");
    std::thread::sleep(Duration::from_millis(100));
    lab.ring.deaf.store(false, Ordering::Relaxed);
    second.write_all(b"hello").unwrap();
    wait(|| lab.ring.input.lock().unwrap().len() >= 5);
    assert_eq!(*lab.ring.input.lock().unwrap(), b"hello");
}

#[test]
fn a_snapshot_is_what_is_kept_with_its_length_and_then_the_end() {
    let lab = lab(8);
    lab.ring.say(b"0123456789");
    let snapshot = |offset| {
        let mut client =
            ConsoleClient::connect(&lab.path, Hello { purpose: Purpose::Snapshot, offset }).unwrap();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), client.welcome().ring as usize);
        (client.welcome().offset, String::from_utf8(bytes).unwrap())
    };
    assert_eq!(snapshot(0), (2, "23456789".to_owned()));
    assert_eq!(snapshot(7), (7, "789".to_owned()));
    assert_eq!(snapshot(LIVE), (10, String::new()));
}

#[test]
fn a_server_that_finishes_waits_for_readers_and_not_for_ever() {
    let lab = lab(1 << 20);
    let mut reader = lab.open(0, false).unwrap();
    lab.ring.say(&vec![b'x'; 1 << 19]);
    lab.ring.end();
    let start = Instant::now();
    assert!(!lab.server.finish(Duration::from_millis(200)), "nobody has read");
    assert!(start.elapsed() >= Duration::from_millis(200));
    let taking = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map(|_| bytes.len()).unwrap()
    });
    assert!(lab.server.finish(Duration::from_mins(1)));
    drop(lab.server);
    assert_eq!(taking.join().unwrap(), 1 << 19);
}

#[test]
fn a_server_that_finishes_serves_everybody_whom_the_kernel_let_in_and_nobody_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let early: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(&hello(0, false).encode("")).unwrap();
            stream
        })
        .collect();
    let ring = Arc::new(Ring { kept: 64, ..Ring::default() });
    ring.say(b"reboot: Power down\n");
    ring.end();
    let server = ConsoleServer::start(listener, ring, BTreeMap::new()).unwrap();
    assert!(server.finish(Duration::from_mins(1)));
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    drop(server);
    for mut stream in early {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.get(16..), Some(b"reboot: Power down\n".as_slice()));
    }
}

#[test]
fn what_was_typed_last_holds_up_no_end() {
    let lab = lab(64);
    lab.ring.deaf.store(true, Ordering::Relaxed);
    let mut writer = lab.open(0, true).unwrap();
    writer.write_all(b"never taken").unwrap();
    // Until the thread of the server has it and tries to hand it on.
    std::thread::sleep(Duration::from_millis(100));
    lab.ring.end();
    assert!(lab.server.finish(Duration::from_mins(1)));
}

#[test]
fn readers_in_all_their_places_keep_no_writer_out_and_the_next_one_is_told() {
    let lab = lab(64);
    lab.ring.say(b"login: ");
    let mut readers: Vec<ConsoleClient> = (0..32).map(|_| lab.open(LIVE, false).unwrap()).collect();
    for _ in 0..3 {
        assert_eq!(lab.open(LIVE, false).map(drop).unwrap_err().kind(), ErrorKind::ResourceBusy);
    }
    let mut writer = lab.open(0, true).expect("a writer has a place of its own");
    let mut shown = [0; 7];
    writer.read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"login: ");
    assert_eq!(lab.open(LIVE, true).map(drop).unwrap_err().kind(), ErrorKind::AddrInUse);
    // Who leaves makes place at once.
    readers.pop();
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(error) = lab.open(LIVE, false) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn a_client_that_comes_to_a_crowd_is_told() {
    let lab = lab(64);
    let silent: Vec<UnixStream> = (0..41).map(|_| UnixStream::connect(&lab.path).unwrap()).collect();
    let mut late = UnixStream::connect(&lab.path).unwrap();
    let mut answer = Vec::new();
    late.read_to_end(&mut answer).unwrap();
    assert_eq!((answer.len(), answer[0]), (16, 3));
    late.write_all(&[0; 16]).expect("a hello that comes after the answer meets an open socket");
    drop(silent);
}

#[test]
fn another_protocol_is_refused() {
    let lab = lab(64);
    for hello in [[0; 16], *b"GET / HTTP/1.1\r\n", *b"FCON\xff\0\0\0\0\0\0\0\0\0\0\0"] {
        let mut stream = UnixStream::connect(&lab.path).unwrap();
        stream.write_all(&hello).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(&answer[..4], [2, 0, 0, 0]);
    }
}

#[test]
fn a_client_may_hesitate_before_it_says_hello() {
    let lab = lab(64);
    let mut slow = UnixStream::connect(&lab.path).unwrap();
    // On a busy host it is not run for so long.
    std::thread::sleep(Duration::from_secs(3));
    slow.write_all(&hello(0, false).encode("")).unwrap();
    let mut answer = [0; 16];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 0);
}

#[test]
fn silent_connections_are_bounded_and_end() {
    let lab = lab(64);
    let silent: Vec<_> = (0..64).map(|_| UnixStream::connect(&lab.path).unwrap()).collect();
    wait(|| lab.open(LIVE, false).is_ok());
    drop(silent);
}

fn wait(mut until: impl FnMut() -> bool) {
    let start = Instant::now();
    while !until() {
        assert!(start.elapsed() < Duration::from_mins(1), "waited too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_port_is_another_console_with_a_writer_of_its_own() {
    let lab = lab(64);
    lab.ring.say(b"serial");
    lab.port.say(b"agent");
    let open = |writer| ConsoleClient::connect_port(&lab.path, hello(0, writer), "agent");
    let (mut serial, mut writer, mut reader) =
        (lab.open(0, true).unwrap(), open(true).unwrap(), open(false).unwrap());
    assert_eq!((read(&mut serial, 6), read(&mut writer, 5)), ("serial".to_owned(), "agent".to_owned()));
    assert_eq!(read(&mut reader, 5), "agent");
    assert_eq!(open(true).err().unwrap().kind(), ErrorKind::AddrInUse);
    writer.write_all(b"hello").unwrap();
    writer.resize(132, 43).unwrap();
    writer.write_all(b"!").unwrap();
    reader.resize(1, 1).unwrap();
    assert_eq!(serial.resize(1, 1).unwrap_err().kind(), ErrorKind::Unsupported);
    wait(|| *lab.port.input.lock().unwrap() == b"hello!");
    drop((writer, reader));
    wait(|| lab.port.writer.lock().unwrap().last().is_some_and(|last| last == "leaves"));
    assert_eq!(*lab.port.writer.lock().unwrap(), ["enters at 0", "has 5", "132 x 43", "leaves"]);
    assert!(lab.ring.input.lock().unwrap().is_empty());
}

#[test]
fn a_writer_that_was_followed_before_it_began_does_not_enter() {
    let lab = lab(64);
    let ((reached, is_there), (go_on, held_up)) = (mpsc::channel(), mpsc::channel());
    *lab.port.held_up.lock().unwrap() = Some(Box::new(move || {
        reached.send(()).unwrap();
        held_up.recv().unwrap();
    }));
    let mut first = UnixStream::connect(&lab.path).unwrap();
    first.write_all(&hello(0, true).encode("agent")).unwrap();
    is_there.recv().unwrap();
    drop(first);
    drop(ConsoleClient::connect_port(&lab.path, hello(0, true), "agent").unwrap());
    wait(|| lab.port.writer.lock().unwrap().last().is_some_and(|last| last == "leaves"));
    go_on.send(()).unwrap();
    assert!(lab.server.finish(Duration::from_mins(1)));
    assert_eq!(*lab.port.writer.lock().unwrap(), ["enters at 0", "leaves"], "nobody is there");
}

#[test]
fn there_is_no_other_port() {
    let lab = lab(64);
    for name in ["x", "agent2", "\u{1}"] {
        let refused = ConsoleClient::connect_port(&lab.path, hello(0, false), name).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{name}");
    }
    let long = ConsoleClient::connect_port(&lab.path, hello(0, false), &"x".repeat(1000)).err().unwrap();
    assert_eq!(long.kind(), ErrorKind::Other);
}

#[test]
fn a_writer_that_sends_no_frames_is_cut_off() {
    let lab = lab(64);
    let mut stream = UnixStream::connect(&lab.path).unwrap();
    stream.write_all(&hello(0, true).encode("agent")).unwrap();
    stream.write_all(b"no frame").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len(), 16, "the welcome alone");
    assert!(lab.port.input.lock().unwrap().is_empty());
}
