// SPDX-License-Identifier: Apache-2.0
//! The host's sockets. None of these calls blocks, and none raises `SIGPIPE`.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags};

/// What a socket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing ever again.
    End,
}

/// What a socket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// So many bytes, not always all of them.
    Bytes(usize),
    /// Nothing ever again.
    Gone,
}

/// Receives into `data`, which is not empty.
pub(super) fn receive(stream: BorrowedFd<'_>, data: &mut [u8]) -> Received {
    loop {
        match rustix::net::recv(stream, &mut *data, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Received::End,
            Ok((len, _)) => return Received::Bytes(len),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Received::Nothing,
            Err(_) => return Received::End,
        }
    }
}

/// Sends what fits.
pub(super) fn send(stream: BorrowedFd<'_>, data: &[u8]) -> Sent {
    loop {
        match rustix::net::send(stream, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(len) => return Sent::Bytes(len),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::NOBUFS) => return Sent::Bytes(0),
            Err(_) => return Sent::Gone,
        }
    }
}

/// The next connection that waits at a listening socket.
pub(super) fn accept(listener: BorrowedFd<'_>) -> Option<OwnedFd> {
    loop {
        match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(stream) => return Some(stream),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => return None,
        }
    }
}

/// Tells the other end that no more bytes come.
pub(super) fn end_sending(stream: BorrowedFd<'_>) {
    // Fails only when the other end is gone, which is found out by other means.
    let _ = rustix::net::shutdown(stream, Shutdown::Write);
}

/// Tells the other end that no more bytes are taken.
pub(super) fn end_receiving(stream: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(stream, Shutdown::Read);
}
