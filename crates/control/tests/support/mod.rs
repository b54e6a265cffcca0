// SPDX-License-Identifier: Apache-2.0
//! A worker without a machine, and raw sockets to be rude to it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flotilla_control::message::{Announce, Call, GrowDisk, RefreshDisk, SetBalloon};
use flotilla_control::server::Limits;
use flotilla_control::{Client, ClientOptions, EventLog, Failure, Server, Service};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use serde_json::{Value, json};

#[derive(Default)]
pub struct FakeWorker {
    pub calls: Mutex<Vec<String>>,
    pub held: Mutex<Vec<OwnedFd>>,
}

impl Service for FakeWorker {
    fn machine(&self) -> Option<MachineId> {
        "m1".parse().ok()
    }

    fn call(&self, call: Call, descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        self.calls.lock().unwrap().push(format!("{call:?}").chars().take(9).collect());
        self.held.lock().unwrap().extend(descriptors);
        match call {
            Call::Metrics => Ok(json!({ "exits": 7 })),
            Call::RefreshDisk(RefreshDisk { disk }) if disk.as_str() == "root" => Ok(json!(4096)),
            Call::GrowDisk(GrowDisk { size, .. }) => Ok(json!(size)),
            Call::SetBalloon(SetBalloon { target: 4096 }) => Ok(Value::Null),
            Call::SetBalloon(_) => Err(Failure::new(ErrorCode::SpecBalloonInvalid, "Target is wrong")),
            Call::Balloon => {
                Ok(json!({ "target": 4096, "actual": 0, "statistics": { "ageMs": 1, "freeMemory": 2 } }))
            }
            Call::Announce(Announce { interface }) if interface != "eth0" => {
                Err(Failure::new(ErrorCode::InterfaceNoAnnouncement, "No driver"))
            }
            Call::ReclaimMemory => Ok(json!({ "released": 8192, "complete": true })),
            Call::Resume => Err(Failure::new(ErrorCode::MachineState, "Machine is not paused").at("$.state")),
            _ => Ok(Value::Null),
        }
    }
}

pub struct Lab {
    pub directory: tempfile::TempDir,
    pub worker: Arc<FakeWorker>,
    pub events: Arc<EventLog>,
    pub server: Option<Server>,
}

/// How long a test waits for what comes at once, unless the host has much to do.
pub const LIMIT: Duration = Duration::from_mins(1);

impl Lab {
    pub fn new() -> Self {
        let milliseconds = Duration::from_millis;
        Self::with(Limits { handshake: milliseconds(300), frame: milliseconds(300), send: milliseconds(500) })
    }

    pub fn with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
        let (worker, events) = (Arc::new(FakeWorker::default()), Arc::new(EventLog::new()));
        let server = Server::start(listener, worker.clone(), events.clone(), limits).unwrap();
        Self { directory, worker, events, server: Some(server) }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    pub fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// A client; tries again while the server still lets go of the one before.
    pub fn client(&self, events_after: Option<u64>) -> Client {
        let options = ClientOptions { name: "test".into(), timeout: LIMIT, events_after };
        for _ in 0..100 {
            match Client::connect(&self.path(), &options) {
                Ok(client) => return client,
                Err(error) if error.code() == ErrorCode::WorkerBusy => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the worker stays busy");
    }
}

pub fn framed(text: &str) -> Vec<u8> {
    flotilla_control::frame::encode(text.as_bytes()).unwrap()
}

pub const HELLO: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"handshake","params":{"protocol":{"min":1,"max":1},"client":"raw"}}"#;

/// Reads one frame as JSON.
pub fn read_frame(stream: &mut UnixStream) -> Value {
    let mut header = [0; 4];
    stream.read_exact(&mut header).unwrap();
    let mut payload = vec![0; u32::from_le_bytes(header) as usize];
    stream.read_exact(&mut payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// Sends bytes and gives all that comes back until the server closes.
pub fn talk(mut stream: UnixStream, bytes: &[u8]) -> Vec<u8> {
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
