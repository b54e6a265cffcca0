// SPDX-License-Identifier: Apache-2.0
//! What the server does when the host gives it no threads.

use std::path::Path;

use super::*;
use crate::client::{Client, ClientError, ClientOptions};

/// How long a test waits for what comes at once, unless the host has much to do.
const LIMIT: Duration = Duration::from_mins(1);

struct Nothing;

impl Service for Nothing {
    fn machine(&self) -> Option<MachineId> {
        None
    }

    fn call(&self, _call: Call, _descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        Ok(Value::Null)
    }
}

fn without(refused: &str, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    if name == refused { Err(io::ErrorKind::OutOfMemory.into()) } else { named(name).spawn(work) }
}

fn start(path: &Path, spawn: Spawn) -> Server {
    let listener = UnixListener::bind(path).unwrap();
    Server::start_with(listener, Arc::new(Nothing), Arc::new(EventLog::new()), Limits::default(), spawn)
        .unwrap()
}

/// The client hears why, soon, in its first call or the next one, and no trace of it is left.
fn hears_of_it(server: &Server, path: &Path) {
    let options = ClientOptions { timeout: LIMIT, ..ClientOptions::default() };
    let refused = Client::connect(path, &options).and_then(|client| {
        let _ = client.next_event(LIMIT);
        client.call("info", Value::Null, &[])
    });
    match refused {
        Err(ClientError::Refused(failure)) => assert_eq!(failure.code, ErrorCode::HostNoMemory),
        // The answer came before the client had asked.
        Err(ClientError::Gone | ClientError::Send { .. }) => {}
        other => panic!("{other:?}"),
    }
    let deadline = Instant::now() + LIMIT;
    while server.has_client() || !lock(&server.shared.connections).is_empty() {
        assert!(Instant::now() < deadline, "the connection is still there");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(server.shared.handshakes.load(Ordering::Acquire), 0);
}

#[test]
fn a_connection_that_gets_no_thread_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let server = start(&path, |name, work| without("control-client", name, work));
    for _ in 0..2 * MAX_HANDSHAKES {
        hears_of_it(&server, &path);
    }
}

#[test]
fn a_client_that_would_get_no_events_is_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let server = start(&path, |name, work| without("control-events", name, work));
    for _ in 0..3 {
        hears_of_it(&server, &path);
    }
}
