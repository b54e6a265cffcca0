// SPDX-License-Identifier: Apache-2.0
//! The first 16 bytes of each side.

/// `FCON`.
pub const MAGIC: u32 = 0x4e4f_4346;
/// The offset that means: from now on.
pub const LIVE: u64 = u64::MAX;
/// Length of both messages.
pub const HELLO: usize = 16;
/// The longest name of a port.
pub const MAX_PORT: u16 = 64;
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
    /// There is no port of that name.
    NoPort,
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
    /// The hello as bytes, for the port `name`: none for the serial console. A name that is too long is cut, and is then none
    /// that any port has.
    pub fn encode(self, name: &str) -> Vec<u8> {
        let flags = match self.purpose {
            Purpose::Read => 0,
            Purpose::Write => WRITER,
            Purpose::Snapshot => SNAPSHOT,
        };
        let len = u16::try_from(name.len()).unwrap_or(u16::MAX).min(MAX_PORT + 1);
        let name = name.as_bytes().get(..usize::from(len)).unwrap_or_default();
        [join(MAGIC, flags | u32::from(len) << 16, self.offset).as_slice(), name].concat()
    }

    /// Reads a hello, and how many bytes of a name follow; `None` for another magic, unknown flags or too long a name.
    pub fn decode(bytes: [u8; HELLO]) -> Option<(Self, usize)> {
        let (magic, flags, offset) = part(bytes);
        let (flags, name) = (flags & 0xffff, flags >> 16);
        let purpose = match flags {
            0 => Purpose::Read,
            WRITER => Purpose::Write,
            SNAPSHOT => Purpose::Snapshot,
            _ => return None,
        };
        let name = usize::try_from(name).ok().filter(|name| *name <= usize::from(MAX_PORT))?;
        (magic == MAGIC).then_some((Self { purpose, offset }, name))
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
            Status::NoPort => 4,
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
            4 => Status::NoPort,
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
