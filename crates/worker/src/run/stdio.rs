// SPDX-License-Identifier: Apache-2.0
//! The console of the guest on the terminal.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flotilla_vmm::{Console, named};

use super::escape::{Command, Escape};
use super::terminal::RawMode;
use crate::signals::Request;

/// A terminal that a machine has.
pub struct Attached {
    output: JoinHandle<()>,
    _raw: RawMode,
}

impl Attached {
    /// Waits until everything the guest wrote is out, and gives the terminal back. The console must have ended.
    /// A reader may take its time (`less`), so this asks `give_up` again and again, which waits a little each time.
    pub fn finish(self, mut give_up: impl FnMut() -> bool) {
        while !self.output.is_finished() {
            if give_up() {
                tracing::warn!("nobody reads the standard output: the last of it is lost");
                return;
            }
        }
    }
}

/// Connects the console to the standard input and output.
pub fn attach<M: Send + 'static>(
    console: &Arc<Console>,
    requests: &Sender<M>,
    message: fn(Request) -> M,
) -> io::Result<Attached> {
    let raw = RawMode::enter()?;
    let source = Arc::clone(console);
    let output = named("stdout").spawn(move || write_output(&source))?;
    let (sink, requests) = (Arc::clone(console), requests.clone());
    let input = move || read_input(&sink, |request| requests.send(message(request)).is_ok());
    // Nothing can end a read of the standard input: the thread ends with the process.
    named("stdin").spawn(input)?;
    Ok(Attached { output, _raw: raw })
}

fn write_output(console: &Console) {
    let mut stdout = io::stdout();
    let mut buffer = vec![0; 16 << 10];
    let mut offset = 0;
    loop {
        let chunk = console.read_from(offset, &mut buffer, Duration::from_secs(1));
        if chunk.offset > offset {
            tracing::warn!(bytes = chunk.offset - offset, "the terminal was too slow: output is lost");
        }
        let bytes = buffer.get(..chunk.len).unwrap_or_default();
        // A reader that closed the pipe does not end the machine.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
        offset = chunk.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or_default());
        if chunk.ended {
            return;
        }
    }
}

fn read_input(console: &Console, request: impl Fn(Request) -> bool) {
    let mut escape = Escape::default();
    let mut buffer = [0; 1024];
    loop {
        let typed = match io::stdin().read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => buffer.get(..len).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let (input, commands) = escape.filter(typed);
        send(console, &input);
        for command in commands {
            let wish = match command {
                Command::Stop => Request::Stop,
                Command::PowerButton => Request::PowerOff,
            };
            if !request(wish) {
                return;
            }
        }
    }
}

/// Sends all of it while the guest reads. A guest that does not read for long loses it, so that ^] always works.
fn send(console: &Console, mut input: &[u8]) {
    for _ in 0..100 {
        let taken = console.send_input(input);
        input = input.get(taken..).unwrap_or_default();
        if input.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
