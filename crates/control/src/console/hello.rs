// SPDX-License-Identifier: Apache-2.0
//! The first 16 bytes of each side.

/// `FCON`.
pub const MAGIC: u32 = 0x4e4f_4346;
/// The offset that means: from now on.
pub const LIVE: u64 = u64::MAX;
/// Length of both messages.
pub const HELLO: usize = 16;
const WRITER: u32 = 1;
const SNAPSHOT: u32 = 2;

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read what comes.
    Read,
    /// To read what comes, and to write.
    Write,
    /// To get what is kept at this moment, in one piece, and no more.
    Snapshot,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// What it is there for.
    pub purpose: Purpose,
    /// The first byte it wants, or [`LIVE`].
    pub offset: u64,
}

/// Whether a client was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was.
    Ok,
    /// Another client is the writer.
    WriterTaken,
    /// It did not speak this protocol.
    BadHello,
    /// As many clients read as may.
    Full,
}

/// What the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// Whether the client was let in.
    pub status: Status,
    /// How many bytes of output are kept; with a snapshot, how many follow.
    pub ring: u32,
    /// The offset of the first byte that follows.
    pub offset: u64,
}

impl Hello {
    /// The hello as bytes.
    pub fn encode(self) -> [u8; HELLO] {
        let flags = match self.purpose {
            Purpose::Read => 0,
            Purpose::Write => WRITER,
            Purpose::Snapshot => SNAPSHOT,
        };
        join(MAGIC, flags, self.offset)
    }

    /// Reads a hello; `None` for another magic or unknown flags.
    pub fn decode(bytes: [u8; HELLO]) -> Option<Self> {
        let (magic, flags, offset) = part(bytes);
        let purpose = match flags {
            0 => Purpose::Read,
            WRITER => Purpose::Write,
            SNAPSHOT => Purpose::Snapshot,
            _ => return None,
        };
        (magic == MAGIC).then_some(Self { purpose, offset })
    }
}

impl Welcome {
    /// The answer as bytes.
    pub fn encode(self) -> [u8; HELLO] {
        let status = match self.status {
            Status::Ok => 0,
            Status::WriterTaken => 1,
            Status::BadHello => 2,
            Status::Full => 3,
        };
        join(status, self.ring, self.offset)
    }

    /// Reads an answer; `None` for an unknown status.
    pub fn decode(bytes: [u8; HELLO]) -> Option<Self> {
        let (status, ring, offset) = part(bytes);
        let status = match status {
            0 => Status::Ok,
            1 => Status::WriterTaken,
            2 => Status::BadHello,
            3 => Status::Full,
            _ => return None,
        };
        Some(Self { status, ring, offset })
    }
}

fn join(first: u32, second: u32, third: u64) -> [u8; HELLO] {
    let number = u128::from(first) | u128::from(second) << 32 | u128::from(third) << 64;
    number.to_le_bytes()
}

fn part(bytes: [u8; HELLO]) -> (u32, u32, u64) {
    fn word<const N: usize>(bytes: &[u8; HELLO], at: usize) -> [u8; N] {
        std::array::from_fn(|index| bytes.get(at + index).copied().unwrap_or_default())
    }
    let (first, second) = (word(&bytes, 0), word(&bytes, 4));
    (u32::from_le_bytes(first), u32::from_le_bytes(second), u64::from_le_bytes(word(&bytes, 8)))
}
