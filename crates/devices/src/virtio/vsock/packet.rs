// SPDX-License-Identifier: Apache-2.0
//! Packet headers (virtio 1.2 §5.10.6).

/// Bytes in a header.
pub(super) const HEADER_LEN: usize = 44;
/// The same, for offsets in chains.
pub(super) const HEADER_SIZE: u32 = 44;

/// The context id of the host (`VMADDR_CID_HOST`).
pub(super) const HOST_CID: u64 = 2;
/// `VIRTIO_VSOCK_TYPE_STREAM`.
pub(super) const TYPE_STREAM: u16 = 1;

/// Flags of [`Operation::Shutdown`]: the sender will receive no more.
pub(super) const SHUTDOWN_RECEIVE: u32 = 1;
/// Flags of [`Operation::Shutdown`]: the sender will send no more.
pub(super) const SHUTDOWN_SEND: u32 = 2;
/// Both.
pub(super) const SHUTDOWN_BOTH: u32 = SHUTDOWN_RECEIVE | SHUTDOWN_SEND;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Request,
    Response,
    Reset,
    Shutdown,
    Data,
    CreditUpdate,
    CreditRequest,
    /// A number without a meaning, zero among them.
    Unsupported(u16),
}

impl Operation {
    fn of(number: u16) -> Self {
        match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            other => Self::Unsupported(other),
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::Reset => 3,
            Self::Shutdown => 4,
            Self::Data => 5,
            Self::CreditUpdate => 6,
            Self::CreditRequest => 7,
            Self::Unsupported(number) => number,
        }
    }
}

/// A header. The guest's are read once, into one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) source_cid: u64,
    pub(super) destination_cid: u64,
    pub(super) source_port: u32,
    pub(super) destination_port: u32,
    /// Bytes that follow the header.
    pub(super) len: u32,
    pub(super) kind: u16,
    pub(super) operation: Operation,
    pub(super) flags: u32,
    /// Bytes that the sender keeps for the connection.
    pub(super) buffer: u32,
    /// Bytes that the sender has passed on since the connection began, modulo 2^32.
    pub(super) forwarded: u32,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let mut fields = Fields(bytes);
        Self {
            source_cid: fields.u64(),
            destination_cid: fields.u64(),
            source_port: fields.u32(),
            destination_port: fields.u32(),
            len: fields.u32(),
            kind: fields.u16(),
            operation: Operation::of(fields.u16()),
            flags: fields.u32(),
            buffer: fields.u32(),
            forwarded: fields.u32(),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(&self.source_cid.to_le_bytes());
        bytes.extend_from_slice(&self.destination_cid.to_le_bytes());
        bytes.extend_from_slice(&self.source_port.to_le_bytes());
        bytes.extend_from_slice(&self.destination_port.to_le_bytes());
        bytes.extend_from_slice(&self.len.to_le_bytes());
        bytes.extend_from_slice(&self.kind.to_le_bytes());
        bytes.extend_from_slice(&self.operation.number().to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&self.buffer.to_le_bytes());
        bytes.extend_from_slice(&self.forwarded.to_le_bytes());
        bytes
    }

    /// The reset that answers this packet, whatever it was.
    pub(super) fn reset(&self) -> Self {
        Self {
            source_cid: self.destination_cid,
            destination_cid: self.source_cid,
            source_port: self.destination_port,
            destination_port: self.source_port,
            len: 0,
            kind: self.kind,
            operation: Operation::Reset,
            flags: 0,
            buffer: 0,
            forwarded: 0,
        }
    }
}

/// The rest of a header that is being read; zero past its end, which none of the reads above reaches.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *field
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_lie_where_the_specification_puts_them() {
        let mut bytes = [0; HEADER_LEN];
        for (at, byte) in (0..).zip(&mut bytes) {
            *byte = at;
        }
        let header = Header::parse(&bytes);
        assert_eq!(header.source_cid, 0x0706_0504_0302_0100);
        assert_eq!(header.destination_cid, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!((header.source_port, header.destination_port), (0x1312_1110, 0x1716_1514));
        assert_eq!((header.len, header.kind), (0x1b1a_1918, 0x1d1c));
        assert_eq!(header.operation, Operation::Unsupported(0x1f1e));
        assert_eq!((header.flags, header.buffer, header.forwarded), (0x2322_2120, 0x2726_2524, 0x2b2a_2928));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_and_come_back(bytes in prop::array::uniform32(any::<u8>()), more in prop::array::uniform12(any::<u8>())) {
            let mut whole = [0; HEADER_LEN];
            whole[..32].copy_from_slice(&bytes);
            whole[32..].copy_from_slice(&more);
            prop_assert_eq!(Header::parse(&whole).bytes(), whole.to_vec());
        }
    }
}
