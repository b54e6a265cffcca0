// SPDX-License-Identifier: Apache-2.0
//! A console of a machine, the serial one or a port of the console device: the last output in a ring, and a bounded queue of input.
//!
//! Offsets count bytes since the machine was built and never wrap, so a reader that comes back knows what it missed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use flotilla_device_model::console::{PortHost, TerminalSize, Wake};

/// Bytes of output kept.
pub const RING_LEN: usize = 1 << 20;
/// Bytes of input kept until the guest takes them.
pub const INPUT_LEN: usize = 64 << 10;

/// How long a reader that was waiting leaves the guest to write more: a serial port writes byte by byte, and a reader that is woken for
/// each, and wakes the next one, takes more time than the guest. Shorter than anybody sees.
const GATHERING: Duration = Duration::from_millis(1);

/// Takes console input into the machine.
pub trait InputSink: Send + Sync {
    /// Takes as many of the first bytes as fit, and returns how many.
    fn accept(&self, bytes: &[u8]) -> usize;
}

/// Keeps the output somewhere else as well. Called in order, on the thread that writes: it must be quick.
pub trait OutputLog: Send + Sync {
    /// Takes output.
    fn append(&self, bytes: &[u8]);
    /// No more output comes.
    fn finish(&self);
}

/// What a read of the ring gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Offset of the first byte read; later than asked for when the ring has lost bytes.
    pub offset: u64,
    /// Number of bytes read.
    pub len: usize,
    /// Whether no more output will come after these bytes.
    pub ended: bool,
}

#[derive(Default)]
struct Output {
    ring: VecDeque<u8>,
    end: u64,
    closed: bool,
    /// Up to where the writer has read, while there is one.
    writer: Option<u64>,
    /// The guest has output for which there was no room.
    starved: bool,
    /// Readers that wait for output.
    waiting: usize,
}

#[derive(Default)]
struct Input {
    waiting: VecDeque<u8>,
    sink: Option<Weak<dyn InputSink>>,
    delivering: bool,
    again: bool,
}

/// What a console is for, which decides what its guest sees of the host's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    /// Somebody may look at any time: it is always open, and its guest never waits for a reader.
    #[default]
    Terminal,
    /// For one program at a time, the writer: open while there is one, whose output is kept back until it has read on.
    Stream,
}

/// One console of a machine. Shared by what the guest has of it, its readers and a writer.
#[derive(Default)]
pub struct Console {
    kind: Kind,
    output: Mutex<Output>,
    grown: Condvar,
    input: Mutex<Input>,
    log: Option<Arc<dyn OutputLog>>,
    size: Mutex<Option<TerminalSize>>,
    wake: Mutex<Option<Wake>>,
}

impl Console {
    /// An empty console.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An empty console whose output is also given to `log`.
    pub fn logged(log: Arc<dyn OutputLog>) -> Arc<Self> {
        Arc::new(Self { log: Some(log), ..Self::default() })
    }

    /// An empty byte stream: a port with a name.
    pub fn stream() -> Arc<Self> {
        Arc::new(Self { kind: Kind::Stream, ..Self::default() })
    }

    /// A writer has come, who is given output from `offset` on.
    pub fn enter_writer(&self, offset: u64) {
        lock(&self.output).writer = Some(offset);
        self.wake();
    }

    /// The writer has been given output up to `offset`.
    pub fn writer_has(&self, offset: u64) {
        let mut output = lock(&self.output);
        output.writer = output.writer.map(|before| before.max(offset));
        let starved = std::mem::take(&mut output.starved);
        drop(output);
        if starved {
            self.wake();
        }
    }

    /// The writer has gone. What it wrote stays for the guest.
    pub fn leave_writer(&self) {
        lock(&self.output).writer = None;
        self.wake();
    }

    /// Tells the guest how large the terminal is. A serial port knows no size.
    pub fn set_size(&self, columns: u16, rows: u16) {
        *lock(&self.size) = Some(TerminalSize { columns, rows });
        self.wake();
    }

    fn wake(&self) {
        let wake = lock(&self.wake).clone();
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Appends output; the oldest is forgotten when the ring is full. Never waits for a reader.
    pub fn write_output(&self, bytes: &[u8]) {
        let mut output = lock(&self.output);
        output.end = output.end.saturating_add(bytes.len() as u64);
        output.ring.extend(bytes);
        let surplus = output.ring.len().saturating_sub(RING_LEN);
        output.ring.drain(..surplus);
        if let Some(log) = &self.log {
            log.append(bytes);
        }
        let waited_for = output.waiting > 0;
        drop(output);
        // Waking is a system call, and a serial port writes byte by byte.
        if waited_for {
            self.grown.notify_all();
        }
    }

    /// Tells readers that no more output will come.
    pub fn close(&self) {
        let mut output = lock(&self.output);
        if let Some(log) = &self.log {
            log.finish();
        }
        output.closed = true;
        drop(output);
        self.grown.notify_all();
    }

    /// The offset after the last byte of output.
    pub fn end(&self) -> u64 {
        lock(&self.output).end
    }

    /// The offset of the oldest byte still kept.
    pub fn start(&self) -> u64 {
        let output = lock(&self.output);
        output.end.saturating_sub(output.ring.len() as u64)
    }

    /// Reads output from `offset` on, or from the oldest byte kept if that is later. With nothing to read it waits
    /// up to `wait` and then gives a chunk of length 0. Who waited gets what the guest writes within [`GATHERING`].
    pub fn read_from(&self, offset: u64, buffer: &mut [u8], wait: Duration) -> Chunk {
        let deadline = Instant::now().checked_add(wait);
        let mut output = lock(&self.output);
        let mut gather = false;
        while output.end <= offset && !output.closed {
            let left = deadline.map_or(wait, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            output.waiting += 1;
            output = self.grown.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
            output.waiting -= 1;
            gather = output.end > offset && !output.closed;
        }
        if gather {
            drop(output);
            thread::sleep(GATHERING);
            output = lock(&self.output);
        }
        output.copy(offset, buffer)
    }

    /// Queues input for the guest and returns how many of the first bytes were taken: less than all of them while
    /// the guest does not read.
    pub fn send_input(&self, bytes: &[u8]) -> usize {
        let taken = {
            let mut input = lock(&self.input);
            let room = INPUT_LEN.saturating_sub(input.waiting.len());
            let taken = room.min(bytes.len());
            input.waiting.extend(bytes.iter().take(taken));
            taken
        };
        self.deliver_input();
        self.wake();
        taken
    }

    /// Hands waiting input to the machine, as far as it takes it. Called again whenever the machine has room.
    /// Holds no lock while the machine takes bytes; a call that comes meanwhile makes the first one go round again.
    pub fn deliver_input(&self) {
        let mut input = lock(&self.input);
        if input.delivering {
            input.again = true;
            return;
        }
        input.delivering = true;
        loop {
            input.again = false;
            let sink = input.sink.as_ref().and_then(Weak::upgrade);
            let next: Vec<u8> = input.waiting.iter().take(256).copied().collect();
            drop(input);
            let taken = match sink {
                Some(sink) if !next.is_empty() => sink.accept(&next).min(next.len()),
                Some(_) | None => 0,
            };
            input = lock(&self.input);
            input.waiting.drain(..taken);
            if taken == 0 && !input.again {
                input.delivering = false;
                return;
            }
        }
    }

    /// Connects the serial port that takes the input.
    pub fn connect_input(&self, sink: Weak<dyn InputSink>) {
        lock(&self.input).sink = Some(sink);
        self.deliver_input();
    }
}

/// The console device fetches what waits, instead of having it delivered.
impl PortHost for Console {
    fn take_input(&self, buffer: &mut [u8]) -> usize {
        let mut input = lock(&self.input);
        let len = buffer.len().min(input.waiting.len());
        for (place, byte) in buffer.iter_mut().zip(input.waiting.drain(..len)) {
            *place = byte;
        }
        len
    }

    fn has_input(&self) -> bool {
        !lock(&self.input).waiting.is_empty()
    }

    fn drop_stale_input(&self) {
        if self.kind == Kind::Stream && !self.is_open() {
            lock(&self.input).waiting.clear();
        }
    }

    fn has_room(&self, len: usize) -> bool {
        let mut output = lock(&self.output);
        let Some(read) = output.writer.filter(|_| self.kind == Kind::Stream) else { return true };
        let unread = output.end.saturating_sub(read).saturating_add(len as u64);
        output.starved = unread > RING_LEN as u64;
        !output.starved
    }

    fn write_output(&self, bytes: &[u8]) {
        Self::write_output(self, bytes);
    }

    fn is_open(&self) -> bool {
        self.kind == Kind::Terminal || lock(&self.output).writer.is_some()
    }

    fn size(&self) -> Option<TerminalSize> {
        *lock(&self.size)
    }

    fn watch(&self, wake: Wake) {
        *lock(&self.wake) = Some(wake);
    }
}

impl Output {
    fn copy(&self, offset: u64, buffer: &mut [u8]) -> Chunk {
        let oldest = self.end.saturating_sub(self.ring.len() as u64);
        let from = offset.clamp(oldest, self.end);
        let skip = usize::try_from(from - oldest).unwrap_or(usize::MAX);
        let mut len = 0;
        for (slot, byte) in buffer.iter_mut().zip(self.ring.iter().skip(skip)) {
            *slot = *byte;
            len += 1;
        }
        Chunk { offset: from, len, ended: self.closed && from.saturating_add(len as u64) == self.end }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn read(console: &Console, offset: u64) -> (u64, Vec<u8>) {
        let mut buffer = [0; 64];
        let chunk = console.read_from(offset, &mut buffer, NOW);
        (chunk.offset, buffer[..chunk.len].to_vec())
    }

    #[test]
    fn gives_output_from_any_offset() {
        let console = Console::new();
        console.write_output(b"hello ");
        console.write_output(b"world");
        assert_eq!(read(&console, 0), (0, b"hello world".to_vec()));
        assert_eq!(read(&console, 6), (6, b"world".to_vec()));
        assert_eq!(read(&console, 11), (11, Vec::new()));
        assert_eq!(read(&console, u64::MAX), (11, Vec::new()));
    }

    #[test]
    fn keeps_the_last_mebibyte_and_says_what_is_lost() {
        let console = Console::new();
        console.write_output(&vec![b'a'; RING_LEN]);
        console.write_output(b"end");
        assert_eq!(console.start(), 3);
        assert_eq!(console.end(), RING_LEN as u64 + 3);
        assert_eq!(read(&console, 0).0, 3);
        assert_eq!(read(&console, RING_LEN as u64), (RING_LEN as u64, b"end".to_vec()));
    }

    #[test]
    fn wakes_a_reader_that_waits() {
        let console = Console::new();
        let writer = Arc::clone(&console);
        let thread = std::thread::spawn(move || writer.write_output(b"x"));
        let chunk = console.read_from(0, &mut [0; 4], Duration::from_secs(10));
        thread.join().unwrap();
        assert_eq!(chunk, Chunk { offset: 0, len: 1, ended: false });
    }

    #[test]
    fn tells_a_reader_that_nothing_more_comes() {
        let console = Console::new();
        console.write_output(b"x");
        console.close();
        assert!(console.read_from(0, &mut [0; 4], Duration::from_secs(10)).ended);
        assert!(console.read_from(1, &mut [0; 4], Duration::from_secs(10)).ended);
    }

    #[derive(Default)]
    struct Log(Mutex<Vec<u8>>);

    impl OutputLog for Log {
        fn append(&self, bytes: &[u8]) {
            lock(&self.0).extend(bytes);
        }

        fn finish(&self) {
            lock(&self.0).extend(b"$");
        }
    }

    #[test]
    fn gives_all_output_to_its_log_in_order_and_then_the_end() {
        let log = Arc::new(Log::default());
        let console = Console::logged(log.clone());
        console.write_output(b"one ");
        console.write_output(b"two");
        console.close();
        assert_eq!(*lock(&log.0), b"one two$");
    }

    struct Fifo(Mutex<Vec<u8>>, usize);

    impl InputSink for Fifo {
        fn accept(&self, bytes: &[u8]) -> usize {
            let mut fifo = lock(&self.0);
            let taken = (self.1 - fifo.len()).min(bytes.len());
            fifo.extend(&bytes[..taken]);
            taken
        }
    }

    #[test]
    fn hands_input_over_in_order_as_the_guest_makes_room() {
        let console = Console::new();
        assert_eq!(console.send_input(b"abc"), 3);
        let fifo = Arc::new(Fifo(Mutex::default(), 4));
        let sink: Arc<dyn InputSink> = fifo.clone();
        console.connect_input(Arc::downgrade(&sink));
        console.send_input(b"defg");
        assert_eq!(*lock(&fifo.0), b"abcd");
        lock(&fifo.0).clear();
        console.deliver_input();
        assert_eq!(*lock(&fifo.0), b"efg");
    }

    #[test]
    fn a_stream_is_open_while_it_has_a_writer_who_is_not_overtaken() {
        let stream = Console::stream();
        let woken = Arc::new(Mutex::new(0));
        let count = Arc::clone(&woken);
        stream.watch(Arc::new(move || *lock(&count) += 1));
        assert!(!stream.is_open() && stream.has_room(RING_LEN + 1), "nobody to wait for");
        stream.enter_writer(0);
        stream.write_output(&vec![b'x'; RING_LEN]);
        assert!(stream.is_open() && !stream.has_room(1));
        assert_eq!(*lock(&woken), 1);
        stream.writer_has(10);
        assert_eq!(*lock(&woken), 2, "somebody waited for that");
        assert!(stream.has_room(10) && !stream.has_room(11));
        stream.leave_writer();
        assert!(!stream.is_open() && stream.has_room(11));
    }

    #[test]
    fn what_a_writer_left_is_for_who_reads_it_and_nobody_else() {
        let (stream, mut buffer) = (Console::stream(), [0; 4]);
        stream.enter_writer(0);
        stream.send_input(b"abcdef");
        stream.drop_stale_input();
        assert_eq!((stream.take_input(&mut buffer), &buffer), (4, b"abcd"));
        stream.leave_writer();
        assert!(stream.has_input());
        stream.drop_stale_input();
        assert!(!stream.has_input());
        let terminal = Console::new();
        terminal.send_input(b"x");
        terminal.drop_stale_input();
        assert!(terminal.is_open() && terminal.has_input());
    }

    #[test]
    fn bounds_the_input_a_guest_does_not_take() {
        let console = Console::new();
        assert_eq!(console.send_input(&vec![0; INPUT_LEN + 5]), INPUT_LEN);
        assert_eq!(console.send_input(b"x"), 0);
    }
}
