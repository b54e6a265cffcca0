// SPDX-License-Identifier: Apache-2.0
//! A UNIX stream socket that carries frames and descriptors.
//!
//! A frame is read exactly to its end and never further, so that descriptors always belong to the frame whose bytes
//! brought them.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use thiserror::Error;

use crate::frame::{self, FrameError, HEADER, MAX_DESCRIPTORS};

/// Why a frame did not come or go.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The peer closed the connection between two frames.
    #[error("Connection is closed")]
    Closed,
    /// The peer closed the connection inside a frame.
    #[error("Connection ended inside a frame")]
    Cut,
    /// The peer was too slow.
    #[error("Peer did not finish its frame in time")]
    TimedOut,
    /// The frame itself is wrong.
    #[error("Frame is wrong")]
    Frame(#[from] FrameError),
    /// More descriptors came than one frame may carry.
    #[error("More than 64 descriptors came with one frame")]
    TooManyDescriptors,
    /// The socket failed.
    #[error("Socket failed")]
    Io(#[from] io::Error),
}

/// A frame and what rode on it.
pub(crate) struct Received {
    pub payload: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

/// Time limits of reading one frame.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Until the first byte; `None` waits for ever.
    pub first: Option<Duration>,
    /// From the first byte to the last, however they drip in.
    pub whole: Duration,
}

/// Receives one frame.
pub(crate) fn receive(stream: &UnixStream, patience: Patience) -> Result<Received, SocketError> {
    let mut reader = Reader {
        stream,
        descriptors: Vec::new(),
        deadline: patience.first.map(|wait| Instant::now() + wait),
    };
    let mut header = [0; HEADER];
    let (first, rest) = header.split_at_mut(1);
    match reader.fill(first) {
        Err(SocketError::Cut) => return Err(SocketError::Closed),
        other => other?,
    }
    reader.deadline = Some(Instant::now() + patience.whole);
    reader.fill(rest)?;
    let mut payload = vec![0; frame::payload_len(header)?];
    reader.fill(&mut payload)?;
    Ok(Received { payload, descriptors: reader.descriptors })
}

struct Reader<'a> {
    stream: &'a UnixStream,
    descriptors: Vec<OwnedFd>,
    deadline: Option<Instant>,
}

impl Reader<'_> {
    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), SocketError> {
        while !buffer.is_empty() {
            self.stream.set_read_timeout(remaining(self.deadline)?)?;
            let taken = match self.read(buffer) {
                Err(SocketError::Io(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Err(SocketError::Io(error)) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(SocketError::Io(error)) if error.kind() == ErrorKind::ConnectionReset => 0,
                other => other?,
            };
            if taken == 0 {
                return Err(SocketError::Cut);
            }
            buffer = buffer.get_mut(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SocketError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg(self.stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
            .map_err(io::Error::from)?;
        for ancillary in control.drain() {
            // Descriptors beyond the limit are closed as they are dropped.
            if let RecvAncillaryMessage::ScmRights(descriptors) = ancillary {
                self.descriptors.extend(descriptors);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > MAX_DESCRIPTORS {
            return Err(SocketError::TooManyDescriptors);
        }
        Ok(message.bytes)
    }
}

/// Sends one frame with descriptors; the peer must take it within `limit`.
pub(crate) fn send(
    stream: &UnixStream,
    payload: &[u8],
    descriptors: &[BorrowedFd<'_>],
    limit: Duration,
) -> Result<(), SocketError> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(SocketError::TooManyDescriptors);
    }
    let frame = frame::encode(payload)?;
    let deadline = Some(Instant::now() + limit);
    let mut unsent = frame.as_slice();
    let mut riding = descriptors;
    while !unsent.is_empty() {
        stream.set_write_timeout(remaining(deadline)?)?;
        match write(stream, unsent, riding) {
            Ok(sent) => {
                unsent = unsent.get(sent..).unwrap_or_default();
                riding = &[];
            }
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(SocketError::Closed),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn write(stream: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// The time left, as a socket takes it: `None` waits for ever, zero is no time.
fn remaining(deadline: Option<Instant>) -> Result<Option<Duration>, SocketError> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(SocketError::TimedOut) } else { Ok(Some(left.max(Duration::from_millis(1)))) }
}
