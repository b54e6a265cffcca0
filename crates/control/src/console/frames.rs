// SPDX-License-Identifier: Apache-2.0
//! What the writer of a port sends: input, and how large its terminal is.
//!
//! ```text
//!   kind u8 (0 input, 1 size) · zero u8 · length u16 · input, or columns u16 · rows u16
//! ```

const HEAD: usize = 4;
const INPUT: u8 = 0;
const SIZE: u8 = 1;
/// Bytes after the head of a size.
const SIZE_LEN: u16 = 4;

/// A part of what the writer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Input for the guest.
    Input(&'a [u8]),
    /// The size of the writer's terminal.
    Size { columns: u16, rows: u16 },
}

/// No frame begins so.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFrame;

/// Takes frames apart, however they are cut. It keeps eight bytes at most.
#[derive(Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// Bytes of input that are still to come.
    input: usize,
}

impl Frames {
    /// The next part of `bytes`, which then begin after it; `None` once they are used up.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<Piece<'a>>, BadFrame> {
        loop {
            if self.input > 0 {
                let (now, later) = bytes.split_at(self.input.min(bytes.len()));
                *bytes = later;
                self.input -= now.len();
                return Ok((!now.is_empty()).then_some(Piece::Input(now)));
            }
            let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
            self.head.push(*first);
            *bytes = rest;
            match *self.head.as_slice() {
                [kind, zero, low, high] => {
                    let len = u16::from_le_bytes([low, high]);
                    match (kind, zero) {
                        (INPUT, 0) => {
                            self.input = len.into();
                            self.head.clear();
                        }
                        (SIZE, 0) if len == SIZE_LEN => {}
                        _ => return Err(BadFrame),
                    }
                }
                [_, _, _, _, c0, c1, r0, r1] => {
                    self.head.clear();
                    let (columns, rows) = (u16::from_le_bytes([c0, c1]), u16::from_le_bytes([r0, r1]));
                    return Ok(Some(Piece::Size { columns, rows }));
                }
                _ => {}
            }
        }
    }
}

/// Input as frames.
pub(super) fn input(bytes: &[u8]) -> Vec<u8> {
    let frame = |part: &[u8]| {
        let len = u16::try_from(part.len()).unwrap_or(u16::MAX);
        [head(INPUT, len).as_slice(), part].concat()
    };
    bytes.chunks(usize::from(u16::MAX)).flat_map(frame).collect()
}

/// A size as a frame.
pub(super) fn size(columns: u16, rows: u16) -> Vec<u8> {
    [head(SIZE, SIZE_LEN).as_slice(), &columns.to_le_bytes(), &rows.to_le_bytes()].concat()
}

fn head(kind: u8, len: u16) -> [u8; HEAD] {
    let [low, high] = len.to_le_bytes();
    [kind, 0, low, high]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Input, and sizes.
    type Seen = (Vec<u8>, Vec<(u16, u16)>);

    /// Everything in `bytes`, which come in parts of `step`; input that belongs together is joined.
    fn parse(bytes: &[u8], step: usize) -> Result<Seen, BadFrame> {
        let (mut frames, mut input, mut sizes) = (Frames::default(), Vec::new(), Vec::new());
        for mut part in bytes.chunks(step) {
            while let Some(piece) = frames.next(&mut part)? {
                match piece {
                    Piece::Input(bytes) => input.extend_from_slice(bytes),
                    Piece::Size { columns, rows } => sizes.push((columns, rows)),
                }
            }
            assert!(part.is_empty() && frames.head.len() < HEAD + 4);
        }
        Ok((input, sizes))
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bad in [&[2, 0, 0, 0], &[0, 1, 0, 0], &[1, 0, 3, 0], &[1, 1, 4, 0]] {
            assert_eq!(parse(bad, 1), Err(BadFrame), "{bad:?}");
        }
        assert_eq!(parse(&[0, 0, 0, 0], 4), Ok((vec![], vec![])), "input of no bytes");
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_they_are_cut(
            text in proptest::collection::vec(any::<u8>(), 0..70_000),
            sizes in proptest::collection::vec(any::<(u16, u16)>(), 0..4),
            step in 1_usize..5000,
        ) {
            let mut bytes = input(&text);
            bytes.extend(sizes.iter().flat_map(|(columns, rows)| size(*columns, *rows)));
            prop_assert_eq!(parse(&bytes, step), Ok((text, sizes)));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), step in 1_usize..50) {
            let _ = parse(&bytes, step);
        }
    }
}
