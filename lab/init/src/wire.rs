// SPDX-License-Identifier: Apache-2.0
//! Frames on the virtio-serial port: one type byte, a little-endian 32-bit length, the payload.
//! The host's side is `lab/lib/wire.mjs`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Doing, Failure};

/// No frame from the host is longer: standard input comes in smaller pieces, a command line is limited by the kernel.
const MAX_PAYLOAD: u32 = 4 << 20;

/// A message for or from the host.
#[derive(Debug)]
pub enum Frame {
    /// Host: what to run.
    Config(Vec<u8>),
    /// Host: bytes for standard input; none means end of file.
    Input(Vec<u8>),
    /// Host: a signal number for the command's process group.
    Signal(i32),
    /// Host: the terminal has this many rows and columns.
    Window(u16, u16),
    /// Host: nothing. What counts is the interrupt that comes with it (docs/notes/lab.md).
    Tick,
    /// Guest: the command runs.
    Started,
    /// Guest: bytes from standard output.
    Output(Vec<u8>),
    /// Guest: bytes from standard error.
    Error(Vec<u8>),
    /// Guest: the command ended with this status (128 + n for signal n). Always the last frame.
    Exit(u8),
    /// Guest: the lab could not run the command. Always the last frame.
    Failure(String),
}

/// The port, shared by the threads that send; reading belongs to one thread at a time.
#[derive(Clone)]
pub struct Port {
    reader: Arc<File>,
    writer: Arc<Mutex<File>>,
}

impl Port {
    /// Waits for the kernel to announce the port and opens it.
    pub fn open() -> Result<Self, Failure> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let path = loop {
            if let Some(path) = find_port() {
                break path;
            }
            if Instant::now() > deadline {
                return Err("The virtio-serial port never appeared".into());
            }
            thread::sleep(Duration::from_millis(2));
        };
        let file = OpenOptions::new().read(true).write(true).open(&path).doing(path.display())?;
        let writer = file.try_clone().doing("Cannot duplicate the port's descriptor")?;
        Ok(Self { reader: Arc::new(file), writer: Arc::new(Mutex::new(writer)) })
    }

    /// Sends one frame whole.
    pub fn send(&self, frame: &Frame) -> Result<(), Failure> {
        let (kind, payload): (u8, &[u8]) = match frame {
            Frame::Started => (b'R', &[]),
            Frame::Output(bytes) => (b'O', bytes),
            Frame::Error(bytes) => (b'E', bytes),
            Frame::Exit(status) => (b'X', std::slice::from_ref(status)),
            Frame::Failure(text) => (b'F', text.as_bytes()),
            Frame::Config(_) | Frame::Input(_) | Frame::Signal(_) | Frame::Window(..) | Frame::Tick => {
                return Ok(());
            }
        };
        let length = u32::try_from(payload.len()).doing("Frame too long")?;
        let mut message = Vec::with_capacity(payload.len() + 5);
        message.push(kind);
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(payload);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(&message).doing("Cannot write to the host")
    }

    /// Reads the next frame of the host; `None` when the host has gone away.
    pub fn receive(&self) -> io::Result<Option<Frame>> {
        let mut header = [0; 5];
        match (&*self.reader).read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let [kind, length @ ..] = header;
        let length = u32::from_le_bytes(length);
        if length > MAX_PAYLOAD {
            return Err(io::Error::other(format!("Frame of {length} bytes")));
        }
        let mut payload = Vec::new();
        (&*self.reader).take(u64::from(length)).read_to_end(&mut payload)?;
        decode(kind, payload).map(Some)
    }

    /// The payload of the first frame.
    pub fn receive_config(&self) -> Result<Vec<u8>, Failure> {
        match self.receive().doing("Cannot read from the host")? {
            Some(Frame::Config(bytes)) => Ok(bytes),
            other => Err(format!("Expected the command, got {other:?}")),
        }
    }

    /// Returns when the host has closed its end or `limit` has passed. The reader thread of the session may be the one
    /// that sees the end of file, so this looks by polling.
    pub fn wait_for_host_to_leave(&self, limit: Duration) {
        let port = self.clone();
        let watcher = thread::spawn(move || while let Ok(Some(_)) = port.receive() {});
        let deadline = Instant::now() + limit;
        while !watcher.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn decode(kind: u8, payload: Vec<u8>) -> io::Result<Frame> {
    match (kind, payload.as_slice()) {
        (b'C', _) => Ok(Frame::Config(payload)),
        (b'I', _) => Ok(Frame::Input(payload)),
        (b'S', &[number]) => Ok(Frame::Signal(number.into())),
        (b'W', &[r0, r1, c0, c1]) => {
            Ok(Frame::Window(u16::from_le_bytes([r0, r1]), u16::from_le_bytes([c0, c1])))
        }
        (b'T', []) => Ok(Frame::Tick),
        _ => Err(io::Error::other(format!("Unknown frame {kind:#x}"))),
    }
}

fn find_port() -> Option<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports").ok()?.flatten() {
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        let device = PathBuf::from("/dev").join(entry.file_name());
        if name.trim() == "flotilla.lab" && device.exists() {
            return Some(device);
        }
    }
    None
}
