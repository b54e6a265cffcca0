// SPDX-License-Identifier: Apache-2.0
//! From a chain to a checked request (virtio 1.2 §5.2.6).
//!
//! ```text
//!   readable: | header, 16 bytes | data of a write …   |
//!   writable: | data of a read …          | status, 1  |
//! ```
//!
//! Where a descriptor ends and the next begins means nothing (virtio 1.2 §2.7.4).

use flotilla_device_model::block::Segment;
use flotilla_memory::{GuestAddress, GuestMemory};

use super::config::SECTOR;
use crate::virtio::chain::{Chain, QueueError, pieces};

/// Bytes in the header: type, reserved, sector.
const HEADER_LEN: u32 = 16;
/// Bytes the driver gets for `VIRTIO_BLK_T_GET_ID`.
pub(super) const ID_LEN: usize = 20;

const VIRTIO_BLK_T_IN: u32 = 0;
const VIRTIO_BLK_T_OUT: u32 = 1;
const VIRTIO_BLK_T_FLUSH: u32 = 4;
const VIRTIO_BLK_T_GET_ID: u32 = 8;

/// What the parser needs to know of the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Bytes.
    pub(super) size: u64,
    pub(super) read_only: bool,
}

/// What the driver asks for. Everything in here is checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Whole sectors inside the disk, at least one.
    Read {
        offset: u64,
        segments: Vec<Segment>,
    },
    /// Whole sectors inside a writable disk, at least one.
    Write {
        offset: u64,
        segments: Vec<Segment>,
    },
    Flush,
    /// The serial goes to the start of the writable part, which has room for it.
    GetId,
    /// A type we do not know: `VIRTIO_BLK_S_UNSUPP`.
    Unsupported(u32),
    /// A request that we know and refuse: `VIRTIO_BLK_S_IOERR`.
    Refused(Kind),
}

/// The type of a request, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Flush,
    GetId,
    Unsupported,
}

impl Action {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Read,
            Self::Write { .. } => Kind::Write,
            Self::Flush => Kind::Flush,
            Self::GetId => Kind::GetId,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::Refused(kind) => *kind,
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
        Ok(Some(Self { action: header.action(chain, data_len, geometry), answer }))
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

    /// The offset in bytes, if `len` bytes from there are whole sectors inside the disk, at least one.
    fn offset(&self, len: u32, geometry: Geometry) -> Option<u64> {
        let len = u64::from(len);
        let offset = self.sector.checked_mul(SECTOR)?;
        let inside = offset.checked_add(len)? <= geometry.size;
        (inside && len > 0 && len.is_multiple_of(SECTOR)).then_some(offset)
    }
}

fn cut(segments: &[Segment], offset: u32, len: u32) -> Vec<Segment> {
    pieces(segments, offset, usize::try_from(len).unwrap_or(usize::MAX))
}
