// SPDX-License-Identifier: Apache-2.0
//! From a chain to a checked request (virtio 1.2 §5.2.6).
//!
//! ```text
//!   readable: | header, 16 bytes | data of a write …   |
//!   writable: | data of a read …          | status, 1  |
//! ```
//!
//! Where a descriptor ends and the next begins means nothing (virtio 1.2 §2.7.4).

use flotilla_device_model::block::{Range, Segment, Segments};
use flotilla_memory::{GuestAddress, GuestMemory};

use super::config::{MAX_RANGE_SECTORS, MAX_RANGES, SECTOR};
use crate::virtio::chain::{Chain, QueueError, pieces};

/// Bytes in the header: type, reserved, sector.
const HEADER_LEN: u32 = 16;
/// Bytes the driver gets for `VIRTIO_BLK_T_GET_ID`.
pub(super) const ID_LEN: usize = 20;

const VIRTIO_BLK_T_IN: u32 = 0;
const VIRTIO_BLK_T_OUT: u32 = 1;
const VIRTIO_BLK_T_FLUSH: u32 = 4;
const VIRTIO_BLK_T_GET_ID: u32 = 8;
const VIRTIO_BLK_T_DISCARD: u32 = 11;
const VIRTIO_BLK_T_WRITE_ZEROES: u32 = 13;

/// Bytes of a range: sector, number of sectors, flags.
const RANGE_LEN: u32 = 16;
/// `VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP`.
const FLAG_UNMAP: u32 = 1;

/// What the parser needs to know of the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Bytes.
    pub(super) size: u64,
    pub(super) read_only: bool,
    /// Bytes of a block, which requests are made of: a power of two, at least a sector.
    pub(super) block_size: u32,
    pub(super) can_discard: bool,
}

/// What the driver asks for. Everything in here is checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Whole blocks inside the disk, at least one.
    Read {
        offset: u64,
        segments: Segments,
    },
    /// Whole blocks inside a writable disk, at least one.
    Write {
        offset: u64,
        segments: Segments,
    },
    Flush,
    /// Ranges of whole blocks inside a writable disk, at least one.
    Discard(Vec<Range>),
    /// The same.
    WriteZeroes(Vec<Range>),
    /// The serial goes to the start of the writable part, which has room for it.
    GetId,
    /// A type we do not know: `VIRTIO_BLK_S_UNSUPP`.
    Unsupported(u32),
    /// A request that we know and refuse: `VIRTIO_BLK_S_IOERR`.
    Refused(Kind),
    /// One with a flag that we do not know: `VIRTIO_BLK_S_UNSUPP` (virtio 1.2 §5.2.6.2).
    UnknownFlag(Kind),
}

/// The type of a request, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Flush,
    Discard,
    WriteZeroes,
    GetId,
    Unsupported,
}

/// How long segments of guest memory are together.
pub(super) fn bytes_of_segments(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.len)).sum()
}

/// How long ranges of the disk are together.
pub(super) fn bytes_of_ranges(ranges: &[Range]) -> u64 {
    ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.len))
}

impl Action {
    /// How many bytes it moves to or from the disk.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Read { segments, .. } | Self::Write { segments, .. } => bytes_of_segments(segments),
            Self::WriteZeroes(ranges) => bytes_of_ranges(ranges),
            Self::Flush
            | Self::Discard(_)
            | Self::GetId
            | Self::Unsupported(_)
            | Self::Refused(_)
            | Self::UnknownFlag(_) => 0,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Read,
            Self::Write { .. } => Kind::Write,
            Self::Flush => Kind::Flush,
            Self::Discard(_) => Kind::Discard,
            Self::WriteZeroes(_) => Kind::WriteZeroes,
            Self::GetId => Kind::GetId,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::Refused(kind) | Self::UnknownFlag(kind) => *kind,
        }
    }
}

/// Where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status byte.
    pub(super) status: GuestAddress,
    /// Bytes in the writable part, with the status.
    pub(super) writable_len: u32,
}

impl Answer {
    /// The length for the used ring when `data` bytes were written from the start, and the status. It counts only
    /// bytes without a gap from the start (virtio 1.2 §2.7.8.2), so the status counts only if it follows the data.
    pub(super) fn used_len(self, data: u32) -> u32 {
        if data + 1 == self.writable_len { self.writable_len } else { data }
    }
}

/// A request and where its answer goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BlockRequest {
    pub(super) action: Action,
    pub(super) answer: Answer,
}

impl BlockRequest {
    /// Takes a chain apart. `Ok(None)`: it has no room for a header or a status, so it cannot even be refused.
    pub(super) fn parse(
        chain: &Chain,
        memory: &GuestMemory,
        geometry: Geometry,
    ) -> Result<Option<Self>, QueueError> {
        let Some(data_len) = chain.writable_len().checked_sub(1) else { return Ok(None) };
        let Some(status) = pieces(&chain.writable, data_len, 1).first().map(|piece| piece.address) else {
            return Ok(None);
        };
        if chain.readable_len() < HEADER_LEN {
            return Ok(None);
        }
        let header = Header::read(chain, memory)?;
        let answer = Answer { status, writable_len: chain.writable_len() };
        let action = match header.request_type {
            VIRTIO_BLK_T_DISCARD if geometry.can_discard => {
                ranges(chain, memory, geometry, 0)?.action(Kind::Discard, Action::Discard)
            }
            VIRTIO_BLK_T_WRITE_ZEROES if geometry.can_discard => {
                ranges(chain, memory, geometry, FLAG_UNMAP)?.action(Kind::WriteZeroes, Action::WriteZeroes)
            }
            _ => header.action(chain, data_len, geometry),
        };
        Ok(Some(Self { action, answer }))
    }
}

/// Our copy of the header: the guest may change its own meanwhile.
struct Header {
    request_type: u32,
    sector: u64,
}

impl Header {
    fn read(chain: &Chain, memory: &GuestMemory) -> Result<Self, QueueError> {
        let mut bytes = [0; HEADER_LEN as usize];
        chain.read(memory, 0, &mut bytes)?;
        let [t0, t1, t2, t3, _, _, _, _, s0, s1, s2, s3, s4, s5, s6, s7] = bytes;
        Ok(Self {
            request_type: u32::from_le_bytes([t0, t1, t2, t3]),
            sector: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        })
    }

    fn action(&self, chain: &Chain, writable_data: u32, geometry: Geometry) -> Action {
        match self.request_type {
            VIRTIO_BLK_T_IN => match self.offset(writable_data, geometry) {
                Some(offset) => Action::Read { offset, segments: cut(&chain.writable, 0, writable_data) },
                None => Action::Refused(Kind::Read),
            },
            VIRTIO_BLK_T_OUT => {
                let len = chain.readable_len() - HEADER_LEN;
                match self.offset(len, geometry) {
                    Some(offset) if !geometry.read_only => {
                        Action::Write { offset, segments: cut(&chain.readable, HEADER_LEN, len) }
                    }
                    _ => Action::Refused(Kind::Write),
                }
            }
            VIRTIO_BLK_T_FLUSH => Action::Flush,
            VIRTIO_BLK_T_GET_ID if writable_data as usize >= ID_LEN => Action::GetId,
            VIRTIO_BLK_T_GET_ID => Action::Refused(Kind::GetId),
            unknown => Action::Unsupported(unknown),
        }
    }

    fn offset(&self, len: u32, geometry: Geometry) -> Option<u64> {
        place(self.sector, len.into(), geometry)
    }
}

/// The offset in bytes of a sector, if `len` bytes from there are whole blocks inside the disk, at least one.
fn place(sector: u64, len: u64, geometry: Geometry) -> Option<u64> {
    let offset = sector.checked_mul(SECTOR)?;
    let inside = offset.checked_add(len)? <= geometry.size;
    let block = u64::from(geometry.block_size);
    (inside && len > 0 && len.is_multiple_of(block) && offset.is_multiple_of(block)).then_some(offset)
}

/// What a list of ranges comes to.
enum Ranges {
    Good(Vec<Range>),
    Bad,
    UnknownFlag,
}

impl Ranges {
    fn action(self, kind: Kind, good: impl FnOnce(Vec<Range>) -> Action) -> Action {
        match self {
            Self::Good(ranges) => good(ranges),
            Self::Bad => Action::Refused(kind),
            Self::UnknownFlag => Action::UnknownFlag(kind),
        }
    }
}

/// Reads the ranges behind the header and checks every one before any is used.
fn ranges(
    chain: &Chain,
    memory: &GuestMemory,
    geometry: Geometry,
    flags_known: u32,
) -> Result<Ranges, QueueError> {
    let len = chain.readable_len() - HEADER_LEN;
    let count = len / RANGE_LEN;
    if geometry.read_only || count == 0 || count > MAX_RANGES || !len.is_multiple_of(RANGE_LEN) {
        return Ok(Ranges::Bad);
    }
    let mut ranges = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for index in 0..count {
        let mut bytes = [0; RANGE_LEN as usize];
        chain.read(memory, HEADER_LEN + index * RANGE_LEN, &mut bytes)?;
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, f0, f1, f2, f3] = bytes;
        let sector = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let sectors = u32::from_le_bytes([n0, n1, n2, n3]);
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        if flags & !flags_known != 0 {
            return Ok(Ranges::UnknownFlag);
        }
        let len = u64::from(sectors) * SECTOR;
        let Some(offset) = place(sector, len, geometry).filter(|_| sectors <= MAX_RANGE_SECTORS) else {
            return Ok(Ranges::Bad);
        };
        ranges.push(Range { offset, len, unmap: flags & FLAG_UNMAP != 0 });
    }
    Ok(Ranges::Good(ranges))
}

fn cut(segments: &[Segment], offset: u32, len: u32) -> Segments {
    pieces(segments, offset, usize::try_from(len).unwrap_or(usize::MAX))
}
