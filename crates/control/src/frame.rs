// SPDX-License-Identifier: Apache-2.0
//! Frames: a length as u32 little-endian, then that many bytes.

use thiserror::Error;

use crate::wire;

/// The most bytes of a frame's payload.
pub const MAX_FRAME: usize = 1 << 20;
/// The most descriptors that ride on one frame.
pub const MAX_DESCRIPTORS: usize = 64;
/// Bytes of the length before each payload.
pub const HEADER: usize = 4;

/// A frame that cannot be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// The payload is empty.
    #[error("Frame is empty: send one JSON-RPC message in each frame")]
    Empty,
    /// The payload is longer than [`MAX_FRAME`].
    #[error("Frame of {len} bytes is longer than 1 MiB: send less at once")]
    TooLong {
        /// Length in bytes.
        len: usize,
    },
}

/// The header of a payload of `len` bytes.
pub fn header(len: usize) -> Result<[u8; HEADER], FrameError> {
    check(len)?;
    u32::try_from(len).map(u32::to_le_bytes).map_err(|_| FrameError::TooLong { len })
}

/// The length that a header announces. Nothing may be allocated for it before this check: a hostile peer
/// announces 4 GiB as easily as 40 bytes.
pub fn payload_len(header: [u8; HEADER]) -> Result<usize, FrameError> {
    let len = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    check(len)?;
    Ok(len)
}

/// A payload and what follows its frame.
pub type Split<'a> = (&'a [u8], &'a [u8]);

/// Takes the first whole frame off `input`: its payload and the rest. `None` while it is incomplete.
pub fn split(input: &[u8]) -> Result<Option<Split<'_>>, FrameError> {
    let Some((header, rest)) = input.split_first_chunk::<HEADER>() else { return Ok(None) };
    Ok(rest.split_at_checked(payload_len(*header)?))
}

/// Header and payload in one buffer.
pub fn encode(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut frame = header(payload.len())?.to_vec();
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// Takes arbitrary bytes as a client's stream and parses every frame as far as the server does. Must never panic.
pub fn fuzz_frame(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((payload, after))) = split(rest) {
        if let Ok(request) = wire::Request::parse(payload) {
            let _ = crate::message::Call::parse(&request.method, request.params.clone());
            let _ = crate::message::Handshake::parse(&request.method, request.params);
        }
        let _ = wire::Incoming::parse(payload);
        rest = after;
    }
}

fn check(len: usize) -> Result<(), FrameError> {
    match len {
        0 => Err(FrameError::Empty),
        len if len > MAX_FRAME => Err(FrameError::TooLong { len }),
        _ => Ok(()),
    }
}
