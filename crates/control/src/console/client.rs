// SPDX-License-Identifier: Apache-2.0
//! A small blocking client of the console socket.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::frames;
use super::hello::{HELLO, Hello, Status, Welcome};

/// A connection to a console. Reads give the guest's output, writes are its input.
pub struct ConsoleClient {
    stream: UnixStream,
    welcome: Welcome,
    /// Whether what is written goes in frames.
    framed: bool,
}

impl ConsoleClient {
    /// Connects to the console socket at `path`, for the serial console.
    ///
    /// # Errors
    /// `AddrInUse` when another client is the writer, `ResourceBusy` when as many read as may, otherwise what the socket says.
    pub fn connect(path: &Path, hello: Hello) -> io::Result<Self> {
        Self::connect_port(path, hello, "")
    }

    /// The same for the port `name`.
    ///
    /// # Errors
    /// As those of [`ConsoleClient::connect`], and `NotFound` when there is no such port.
    pub fn connect_port(path: &Path, hello: Hello, name: &str) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&hello.encode(name))?;
        let mut answer = [0; HELLO];
        stream.read_exact(&mut answer)?;
        stream.set_read_timeout(None)?;
        let welcome =
            Welcome::decode(answer).ok_or_else(|| io::Error::other("Console gave an unknown answer"))?;
        match welcome.status {
            Status::Ok => Ok(Self { stream, welcome, framed: !name.is_empty() }),
            Status::WriterTaken => {
                Err(io::Error::new(io::ErrorKind::AddrInUse, "Another client is the writer"))
            }
            Status::Full => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "As many clients as may are connected: close another one first",
            )),
            Status::NoPort => {
                Err(io::Error::new(io::ErrorKind::NotFound, "The machine has no console of this name"))
            }
            Status::BadHello => Err(io::Error::other("Console does not know this protocol")),
        }
    }

    /// What the server answered: the offset of the first byte, and the size of the ring.
    pub fn welcome(&self) -> Welcome {
        self.welcome
    }

    /// Says how large the terminal is. Only the writer of a named port can.
    pub fn resize(&mut self, columns: u16, rows: u16) -> io::Result<()> {
        if !self.framed {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.stream.write_all(&frames::size(columns, rows))
    }

    /// Limits how long a read waits.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(limit)
    }

    /// Ends the connection; reads under way return.
    pub fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Read for ConsoleClient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for ConsoleClient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.framed {
            return self.stream.write(bytes);
        }
        self.stream.write_all(&frames::input(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
