// SPDX-License-Identifier: Apache-2.0
//! Frames on a stream of bytes: before each its length as four bytes, the highest first, as QEMU's `-netdev stream` has it.

use thiserror::Error;

/// Bytes of a length.
pub(crate) const LENGTH_LEN: usize = 4;
/// The longest frame that may come: the largest IP packet behind an Ethernet header. Without a limit whoever is at the
/// other end would choose how much memory we take.
pub(crate) const MAX_FRAME: usize = 65_550;
/// Room for two of the longest, so that one read takes in many short ones.
const CAPACITY: usize = 2 * (MAX_FRAME + LENGTH_LEN);

/// A length that no frame has: what follows in the stream means nothing any more.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Peer announces a frame of {len} bytes, which is not within 1 to {MAX_FRAME}")]
pub(crate) struct WrongLength {
    /// What it said.
    pub(crate) len: u32,
}

/// Takes frames out of a stream that arrives in pieces of any length.
pub(crate) struct Deframer {
    buffer: Box<[u8]>,
    /// What was read and not yet taken.
    start: usize,
    end: usize,
}

impl Deframer {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; CAPACITY].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Where the next bytes of the stream go. Never empty after [`Deframer::next`] found no whole frame.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < MAX_FRAME + LENGTH_LEN {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the room.
    pub(crate) fn filled(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.buffer.len());
    }

    /// Takes the next frame, if all of it is there.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, WrongLength> {
        let held = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((length, rest)) = held.split_first_chunk::<LENGTH_LEN>() else { return Ok(None) };
        let announced = u32::from_be_bytes(*length);
        let len = usize::try_from(announced).unwrap_or(usize::MAX);
        if !(1..=MAX_FRAME).contains(&len) {
            return Err(WrongLength { len: announced });
        }
        let Some(frame) = rest.get(..len) else { return Ok(None) };
        self.start += LENGTH_LEN + len;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream_of(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            stream.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
            stream.extend(frame);
        }
        stream
    }

    /// Feeds the stream in pieces of these lengths, again and again, until it ends or a length is wrong.
    fn feed(mut stream: &[u8], pieces: &[usize]) -> (Vec<Vec<u8>>, Result<(), WrongLength>) {
        let (mut deframer, mut frames) = (Deframer::new(), Vec::new());
        for piece in pieces.iter().cycle() {
            loop {
                match deframer.next() {
                    Ok(Some(frame)) => frames.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (frames, Err(error)),
                }
            }
            let room = deframer.room();
            assert!(!room.is_empty(), "nothing more can come in, and no frame is whole");
            let len = (*piece).min(room.len()).min(stream.len());
            if len == 0 {
                break;
            }
            room[..len].copy_from_slice(&stream[..len]);
            deframer.filled(len);
            stream = &stream[len..];
        }
        (frames, Ok(()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            lens in prop::collection::vec(prop_oneof![1..64_usize, 1..=MAX_FRAME], 1..12),
            pieces in prop::collection::vec(prop_oneof![1..9_usize, 1..200_000_usize], 1..8),
        ) {
            let frames: Vec<Vec<u8>> = (0..).zip(&lens).map(|(at, len)| vec![at; *len]).collect();
            let (found, result) = feed(&stream_of(&frames), &pieces);
            prop_assert_eq!(result, Ok(()));
            prop_assert!(found == frames);
        }

        #[test]
        fn hostile_bytes_end_in_an_error_or_in_frames_that_are_within_bounds(
            stream in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..4096),
            piece in 1..4096_usize,
        ) {
            let (found, result) = feed(&stream, &[piece]);
            prop_assert!(found.iter().all(|frame| (1..=MAX_FRAME).contains(&frame.len())));
            if let Err(WrongLength { len }) = result {
                prop_assert!(len == 0 || usize::try_from(len).unwrap() > MAX_FRAME);
            }
        }
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused() {
        for (len, fits) in [(0, false), (1, true), (65_550, true), (65_551, false), (u32::MAX, false)] {
            let (_, result) = feed(&len.to_be_bytes(), &[3, 1]);
            assert_eq!(result, if fits { Ok(()) } else { Err(WrongLength { len }) });
        }
    }
}
