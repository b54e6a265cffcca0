// SPDX-License-Identifier: Apache-2.0
//! Descriptor chains, checked as a whole before a device touches any of their memory.

use flotilla_device_model::block::{Segment, Segments};
use flotilla_memory::{Address, Bytes, GuestAddress, GuestMemory, Lookup, Window};
use thiserror::Error;
use vm_memory::bitmap::{AtomicBitmap, WithBitmapSlice};
use vm_memory::{GuestMemoryBackend, VolatileMemory, VolatileSlice};

/// Length in bytes of a descriptor (virtio 1.2 §2.7.5).
const DESCRIPTOR_LEN: u32 = 16;
/// `VIRTQ_DESC_F_NEXT`: the chain goes on at `next`.
const DESC_F_NEXT: u16 = 1;
/// `VIRTQ_DESC_F_WRITE`: the device writes this buffer.
const DESC_F_WRITE: u16 = 2;
/// `VIRTQ_DESC_F_INDIRECT`: the buffer holds a table of descriptors.
const DESC_F_INDIRECT: u16 = 4;

/// How the guest broke a queue. Each of them ends the use of the queue until the device is reset.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum QueueError {
    /// A ring lies outside RAM.
    #[error("Ring at {address:#x} lies outside guest memory: reset the device and set its queues up anew")]
    Ring {
        /// Address of the access that failed.
        address: u64,
    },
    /// The driver made more chains available than the queue has entries.
    #[error("Available index jumped by {by} in a queue of {size}: reset the device")]
    AvailableJump {
        /// Chains that would be waiting.
        by: u16,
        /// Queue size.
        size: u16,
    },
    /// A descriptor index is not below the queue (or table) size.
    #[error("Descriptor index {index} is outside a table of {size}: reset the device")]
    Index {
        /// The index at fault.
        index: u16,
        /// Entries in the table.
        size: u16,
    },
    /// The chain has more descriptors than the queue has entries; a loop ends here as well.
    #[error("Descriptor chain is longer than the queue of {size} or loops: reset the device")]
    TooLong {
        /// Queue size.
        size: u16,
    },
    /// A buffer is empty, lies outside RAM, or makes the chain longer than 4 GiB.
    #[error("Buffer {address:#x}+{len:#x} is empty, outside guest memory or too much: reset the device")]
    Buffer {
        /// First byte.
        address: u64,
        /// Length in bytes.
        len: u32,
    },
    /// A buffer to read follows one to write (virtio 1.2 §2.7.4.2).
    #[error("Readable buffer follows a writable one: reset the device")]
    Order,
    /// An indirect table was not negotiated, nested, combined with `NEXT`, or has an odd length.
    #[error("Indirect descriptor is not allowed or malformed: reset the device")]
    Indirect,
    /// The driver offered a chain that the device still works on, or a device completed a chain it does not hold.
    #[error("Descriptor chain {head} is in flight already, or is not: reset the device")]
    InFlight {
        /// Head of the chain.
        head: u16,
    },
}

/// One request of the driver: the buffers to read, then the buffers to write. All segments are non-empty and
/// lie in RAM; there are at most as many as the queue has entries, and they sum to less than 4 GiB.
///
/// Segments may overlap: a device bounds what it buffers by its own limits, not by their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Names the chain when it is completed.
    pub head: u16,
    /// Driver to device.
    pub readable: Segments,
    /// Device to driver.
    pub writable: Segments,
    readable_len: u32,
    writable_len: u32,
}

impl Chain {
    /// Bytes in the readable segments.
    pub fn readable_len(&self) -> u32 {
        self.readable_len
    }

    /// Bytes in the writable segments.
    pub fn writable_len(&self) -> u32 {
        self.writable_len
    }

    /// Copies from the readable segments, beginning at byte `offset` of them, as much as fits in `data`.
    /// Returns the number of bytes copied.
    pub fn read(&self, memory: &GuestMemory, offset: u32, data: &mut [u8]) -> Result<usize, QueueError> {
        let mut rest = data;
        let mut copied = 0;
        for segment in &pieces(&self.readable, offset, rest.len()) {
            let (now, later) = rest.split_at_mut(usize_from(segment.len).min(rest.len()));
            memory.read_slice(now, segment.address).map_err(|_| buffer_error(segment))?;
            copied += now.len();
            rest = later;
        }
        Ok(copied)
    }

    /// Copies `data` to the writable segments, beginning at byte `offset` of them. Returns the number of bytes
    /// that fit.
    pub fn write(&self, memory: &GuestMemory, offset: u32, data: &[u8]) -> Result<usize, QueueError> {
        let mut rest = data;
        let mut copied = 0;
        for segment in &pieces(&self.writable, offset, rest.len()) {
            let (now, later) = rest.split_at(usize_from(segment.len).min(rest.len()));
            memory.write_slice(now, segment.address).map_err(|_| buffer_error(segment))?;
            copied += now.len();
            rest = later;
        }
        Ok(copied)
    }
}

/// The part `offset..offset + len` of a list of segments, as segments. Cut short where the list ends.
pub fn pieces(segments: &[Segment], offset: u32, len: usize) -> Segments {
    let mut skip = offset;
    let mut want = u32::try_from(len).unwrap_or(u32::MAX);
    let mut found = Segments::new();
    for segment in segments {
        if want == 0 {
            break;
        }
        if skip >= segment.len {
            skip -= segment.len;
            continue;
        }
        let Some(address) = segment.address.checked_add(u64::from(skip)) else { break };
        let len = (segment.len - skip).min(want);
        found.push(Segment { address, len });
        want -= len;
        skip = 0;
    }
    found
}

/// A `u32` as a `usize`; every supported host has at least 32 bits.
pub(crate) fn usize_from(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn buffer_error(segment: &Segment) -> QueueError {
    QueueError::Buffer { address: segment.address.raw_value(), len: segment.len }
}

/// Our own copy of a descriptor. Each is read from guest memory exactly once, so that the guest cannot change it
/// between check and use.
struct Descriptor {
    address: u64,
    len: u32,
    flags: u16,
    next: u16,
}

/// A table of descriptors: that of the queue, or an indirect one.
#[derive(Clone, Copy)]
struct Table<'a> {
    base: GuestAddress,
    size: u16,
    /// The table itself, where it was looked up already.
    found: Found<'a>,
}

#[derive(Clone, Copy)]
enum Found<'a> {
    Window(&'a Window),
    Slice(VolatileSlice<'a, BitmapOf<'a>>),
    /// It spans regions of memory.
    Not,
}

type BitmapOf<'a> = <AtomicBitmap as WithBitmapSlice<'a>>::S;

impl Table<'_> {
    fn read(&self, memory: &GuestMemory, index: u16) -> Result<Descriptor, QueueError> {
        if index >= self.size {
            return Err(QueueError::Index { index, size: self.size });
        }
        let offset = usize::from(index) * usize_from(DESCRIPTOR_LEN);
        let raw: Option<[u64; 2]> = match self.found {
            Found::Window(window) => window.read_pair(offset),
            Found::Slice(slice) => slice.get_ref(offset).ok().map(|pair| pair.load()),
            Found::Not => {
                let address = self.base.checked_add(offset as u64);
                address.and_then(|address| memory.read_obj(address).ok())
            }
        };
        let [address, rest] = raw.ok_or(QueueError::Ring { address: self.base.raw_value() })?;
        let [l0, l1, l2, l3, f0, f1, n0, n1] = rest.to_ne_bytes();
        Ok(Descriptor {
            address: u64::from_le(address),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            flags: u16::from_le_bytes([f0, f1]),
            next: u16::from_le_bytes([n0, n1]),
        })
    }
}

/// Walks chains of one queue.
pub(crate) struct Walker<'a> {
    pub(crate) memory: &'a GuestMemory,
    pub(crate) table: u64,
    /// The table, if it was looked up before.
    pub(crate) window: Option<&'a Window>,
    pub(crate) size: u16,
    pub(crate) indirect: bool,
}

impl<'a> Walker<'a> {
    /// Reads and checks the whole chain that begins at `head`.
    pub(crate) fn walk(&self, head: u16) -> Result<Chain, QueueError> {
        let found = self.window.map_or(Found::Not, Found::Window);
        let mut table = Table { base: GuestAddress(self.table), size: self.size, found };
        let mut chain = Chain {
            head,
            readable: Segments::new(),
            writable: Segments::new(),
            readable_len: 0,
            writable_len: 0,
        };
        let mut lookup = Lookup::new(self.memory);
        let mut index = head;
        let mut nested = false;
        // Each round adds one segment or enters the one indirect table: a loop ends at the limit.
        for _ in 0..=self.size {
            let descriptor = table.read(self.memory, index)?;
            if descriptor.flags & DESC_F_INDIRECT != 0 {
                if nested || !self.indirect {
                    return Err(QueueError::Indirect);
                }
                table = self.enter(&descriptor)?;
                nested = true;
                index = 0;
                continue;
            }
            self.take(&mut chain, &descriptor, &mut lookup)?;
            if descriptor.flags & DESC_F_NEXT == 0 {
                return Ok(chain);
            }
            index = descriptor.next;
        }
        Err(QueueError::TooLong { size: self.size })
    }

    fn enter(&self, descriptor: &Descriptor) -> Result<Table<'a>, QueueError> {
        let entries = descriptor.len / DESCRIPTOR_LEN;
        if descriptor.flags & DESC_F_NEXT != 0
            || !descriptor.len.is_multiple_of(DESCRIPTOR_LEN)
            || entries == 0
        {
            return Err(QueueError::Indirect);
        }
        // More entries than the queue may be there, but not be chained.
        let size = u16::try_from(entries).unwrap_or(u16::MAX);
        let base = GuestAddress(descriptor.address);
        let len = usize_from(descriptor.len);
        if let Ok(slice) = GuestMemoryBackend::get_slice(self.memory, base, len) {
            return Ok(Table { base, size, found: Found::Slice(slice) });
        }
        if !GuestMemoryBackend::check_range(self.memory, base, len) {
            return Err(QueueError::Buffer { address: descriptor.address, len: descriptor.len });
        }
        Ok(Table { base, size, found: Found::Not })
    }

    fn take(
        &self,
        chain: &mut Chain,
        descriptor: &Descriptor,
        lookup: &mut Lookup<'_>,
    ) -> Result<(), QueueError> {
        if chain.readable.len() + chain.writable.len() >= usize::from(self.size) {
            return Err(QueueError::TooLong { size: self.size });
        }
        let segment = Segment { address: GuestAddress(descriptor.address), len: descriptor.len };
        let inside = lookup.contains(segment.address, usize_from(segment.len));
        let total =
            chain.readable_len.checked_add(chain.writable_len).and_then(|sum| sum.checked_add(segment.len));
        if segment.len == 0 || !inside || total.is_none() {
            return Err(buffer_error(&segment));
        }
        if descriptor.flags & DESC_F_WRITE != 0 {
            chain.writable.push(segment);
            chain.writable_len += segment.len;
        } else if chain.writable.is_empty() {
            chain.readable.push(segment);
            chain.readable_len += segment.len;
        } else {
            return Err(QueueError::Order);
        }
        Ok(())
    }
}
