// SPDX-License-Identifier: Apache-2.0
//! Ports of the console device at UNIX sockets: one program at a time, the next one waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flotilla_control::Failure;
use flotilla_spec::code::ErrorCode;
use flotilla_vmm::{Console, Machine, named};

use crate::args::Port;

/// How long a read of output waits before it looks whether the program is still there.
const STEP: Duration = Duration::from_millis(200);

/// The sockets, which are gone with it.
pub struct Ports {
    paths: Vec<PathBuf>,
    listeners: Vec<(String, UnixListener)>,
}

impl Ports {
    /// Makes the sockets. One that is there already is refused, as for `--vsock`.
    pub fn listen(ports: Vec<Port>) -> Result<Self, Failure> {
        let mut made = Self { paths: Vec::new(), listeners: Vec::new() };
        for (index, Port { name, path }) in ports.into_iter().enumerate() {
            let listener = UnixListener::bind(&path).map_err(|error| {
                let message = format!("Cannot listen at {}: {error}", path.display());
                Failure::new(ErrorCode::Io, message).at(format!("$.console.ports[{index}]"))
            })?;
            made.paths.push(path);
            made.listeners.push((name, listener));
        }
        Ok(made)
    }

    /// Connects programs to the ports of a machine. The threads end with the process.
    pub fn serve(&mut self, machine: &Machine) -> io::Result<()> {
        for (name, listener) in self.listeners.drain(..) {
            let Some(console) = machine.consoles().get(&name).map(Arc::clone) else { continue };
            let accept = move || listener.incoming().flatten().for_each(|stream| join(&console, &stream));
            named("port").spawn(accept)?;
        }
        Ok(())
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Passes bytes both ways until either side ends.
fn join(console: &Arc<Console>, stream: &UnixStream) {
    let start = console.end();
    console.enter_writer(start);
    thread::scope(|scope| {
        let input = named("port-in").spawn_scoped(scope, || {
            bring_input(console, stream);
            let _ = stream.shutdown(Shutdown::Both);
        });
        if let Ok(input) = input {
            let _ = send_output(console, stream, start, || input.is_finished());
        }
        let _ = stream.shutdown(Shutdown::Both);
    });
    console.leave_writer();
}

fn bring_input(console: &Console, mut stream: &UnixStream) {
    let mut buffer = [0; 4096];
    loop {
        let mut bytes = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => buffer.get(..len).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        while !bytes.is_empty() {
            let taken = console.send_input(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            if taken == 0 {
                if is_closed(stream) {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn send_output(
    console: &Console,
    mut stream: &UnixStream,
    mut offset: u64,
    gone: impl Fn() -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    while !gone() {
        let chunk = console.read_from(offset, &mut buffer, STEP);
        let bytes = buffer.get(..chunk.len).unwrap_or_default();
        stream.write_all(bytes)?;
        offset = chunk.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or_default());
        console.writer_has(offset);
        if chunk.ended {
            break;
        }
    }
    Ok(())
}

/// Whether the program has gone altogether.
fn is_closed(stream: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(stream, PollFlags::empty())];
    let _ = poll(&mut polled, Some(&Timespec::default()));
    let [polled] = polled;
    polled.revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
