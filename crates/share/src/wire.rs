// SPDX-License-Identifier: Apache-2.0
//! Messages of vhost-user, as far as a front end needs them: a header of request, flags and length, then the payload, all in
//! the byte order of the host, and descriptors beside it.
//!
//! The program at the other end is not trusted with this process: what it answers has one length and one type, and a limit of
//! time.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Version 1 of the protocol, and the mark of an answer.
const VERSION: u32 = 1;
const ANSWER: u32 = 1 << 2;
const HEADER: usize = 12;

/// The most descriptors beside one message: one for each region of memory.
pub(crate) const MAX_DESCRIPTORS: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Request {
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    SetMemoryTable = 5,
    SetRingSize = 8,
    SetRingAddresses = 9,
    SetRingBase = 10,
    GetRingBase = 11,
    SetRingKick = 12,
    SetRingCall = 13,
    SetRingError = 14,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    SetRingEnable = 18,
}

impl Request {
    fn number(self) -> u32 {
        self as u32
    }
}

/// Numbers one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Payload(Vec<u8>);

impl Payload {
    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_ne_bytes());
        self
    }
}

/// Sends a message.
pub(crate) fn send(
    socket: &UnixStream,
    request: Request,
    payload: &Payload,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let len = u32::try_from(payload.0.len()).map_err(io::Error::other)?;
    let mut message: Vec<u8> =
        [request.number(), VERSION, len].into_iter().flat_map(u32::to_ne_bytes).collect();
    message.extend(&payload.0);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = loop {
        match rustix::net::sendmsg(socket, &[IoSlice::new(&message)], &mut beside, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => break sent?,
        }
    };
    // Messages are short, and the other end reads them all: a part of one is left only where that does not.
    if sent == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives the answer, which has so many bytes of payload.
pub(crate) fn answer<const LEN: usize>(socket: &UnixStream, request: Request) -> io::Result<[u8; LEN]> {
    let header = receive::<HEADER>(socket)?;
    let [asked, flags, len] = numbers(&header);
    if asked != request.number()
        || flags & (ANSWER | 3) != ANSWER | VERSION
        || usize::try_from(len) != Ok(LEN)
    {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "answer is not one to what was asked"));
    }
    receive(socket)
}

/// Receives so many bytes. The limit of time of the socket holds for all of them together: reads that have it each would let the
/// other end keep us with a byte now and then.
fn receive<const LEN: usize>(socket: &UnixStream) -> io::Result<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let (len, _) = loop {
        match rustix::net::recv(socket, &mut bytes[..], RecvFlags::WAITALL) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    if len == LEN { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// So many numbers of 32 bits.
pub(crate) fn numbers<const COUNT: usize>(bytes: &[u8]) -> [u32; COUNT] {
    let mut numbers = [0; COUNT];
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = u32::from_ne_bytes(*bytes);
    }
    numbers
}
