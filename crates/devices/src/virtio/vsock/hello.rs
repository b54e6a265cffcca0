// SPDX-License-Identifier: Apache-2.0
//! The line with which a host program says what it wants: `CONNECT <port>` to reach the guest, `ACCEPT <port>` to be
//! reached. The answer, `OK <port of the other end>`, comes when the connection stands; everything after it is the
//! connection's. An end of the stream in its place means that it did not come about.

use std::os::fd::BorrowedFd;

use super::socket::{self, Received};

/// Longest line, with its end.
const MAX_LINE: usize = 32;

/// What a host program wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To reach this port of the guest.
    Connect(u32),
    /// To be reached by the guest at this port.
    Accept(u32),
}

impl Wish {
    /// Reads a line without its end.
    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (verb, port) = text.split_once(' ')?;
        // `parse` alone would take a sign.
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = digits.then(|| port.parse().ok()).flatten().filter(|port| *port != u32::MAX)?;
        match verb.to_ascii_uppercase().as_str() {
            "CONNECT" => Some(Self::Connect(port)),
            "ACCEPT" => Some(Self::Accept(port)),
            _ => None,
        }
    }
}

/// How far a line has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More must come.
    Waiting,
    /// It is here.
    Wish(Wish),
    /// It will not come, or makes no sense.
    Nonsense,
}

/// A line that is being read.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<u8>);

impl Line {
    /// Reads on. Not a byte beyond the end of the line, for those belong to the connection.
    pub(super) fn read(&mut self, stream: BorrowedFd<'_>) -> Progress {
        while self.0.len() < MAX_LINE {
            let mut byte = [0];
            match socket::receive(stream, &mut byte) {
                Received::Bytes(_) => {}
                Received::Nothing => return Progress::Waiting,
                Received::End => return Progress::Nonsense,
            }
            if byte == *b"\n" {
                return Wish::parse(&self.0).map_or(Progress::Nonsense, Progress::Wish);
            }
            self.0.extend_from_slice(&byte);
        }
        Progress::Nonsense
    }
}

/// The answer to a wish that came true.
pub(super) fn answer(port: u32) -> String {
    format!("OK {port}\n")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Progress {
        let (mut far, near) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.write_all(bytes).unwrap();
        Line::default().read(near.as_fd())
    }

    #[test]
    fn reads_the_two_verbs() {
        assert_eq!(read(b"CONNECT 52\n"), Progress::Wish(Wish::Connect(52)));
        assert_eq!(read(b"connect 0\n"), Progress::Wish(Wish::Connect(0)));
        assert_eq!(read(b"ACCEPT 4294967294\nxyz"), Progress::Wish(Wish::Accept(4_294_967_294)));
    }

    #[test]
    fn leaves_what_follows_to_the_connection() {
        let (mut far, near) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.write_all(b"CONN").unwrap();
        let mut line = Line::default();
        assert_eq!(line.read(near.as_fd()), Progress::Waiting);
        far.write_all(b"ECT 7\nhello").unwrap();
        assert_eq!(line.read(near.as_fd()), Progress::Wish(Wish::Connect(7)));
        let mut rest = [0; 8];
        assert!(matches!(socket::receive(near.as_fd(), &mut rest), Received::Bytes(5)));
    }

    #[test]
    fn refuses_the_rest() {
        for bytes in [
            &b"\n"[..],
            b"CONNECT\n",
            b"CONNECT \n",
            b"CONNECT -1\n",
            b"CONNECT +1\n",
            b"CONNECT 1 2\n",
            b"CONNECT 4294967295\n",
            b"CONNECT 4294967296\n",
            b"LISTEN 1\n",
            b"CONNECT 1\r\n",
            b"\xff\xff 1\n",
            &[b'A'; 40],
        ] {
            assert_eq!(read(bytes), Progress::Nonsense, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn survives_any_line(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
