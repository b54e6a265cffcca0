// SPDX-License-Identifier: Apache-2.0
//! The driver's side of a split virtqueue (virtio 1.2 §2.7), well-behaved or hostile.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use flotilla_device_model::virtio::ActiveQueue;
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// `VIRTQ_DESC_F_NEXT`.
pub const NEXT: u16 = 1;
/// `VIRTQ_DESC_F_WRITE`.
pub const WRITE: u16 = 2;
/// `VIRTQ_DESC_F_INDIRECT`.
pub const INDIRECT: u16 = 4;

/// A buffer of a chain.
#[derive(Debug, Clone, Copy)]
pub enum Buffer {
    /// The device reads `len` bytes at the address.
    Readable(u64, u32),
    /// The device writes up to `len` bytes at the address.
    Writable(u64, u32),
}

/// A raw descriptor, for rings that break the rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Descriptor {
    /// First byte of the buffer.
    pub address: u64,
    /// Length of the buffer in bytes.
    pub len: u32,
    /// `NEXT`, `WRITE`, `INDIRECT`.
    pub flags: u16,
    /// Index of the next descriptor.
    pub next: u16,
}

/// A virtqueue laid out in guest memory, driven as a driver would.
///
/// Descriptors are handed out in a ring and never tracked: a test that keeps more than `size` of them in flight
/// overwrites its own.
pub struct FakeQueue {
    /// The memory that the rings lie in.
    pub memory: Arc<GuestMemory>,
    /// Entries.
    pub size: u16,
    /// Address of the descriptor table.
    pub descriptors: u64,
    /// Address of the available ring.
    pub available: u64,
    /// Address of the used ring.
    pub used: u64,
    /// Signalled by [`FakeQueue::ring`].
    pub doorbell: Arc<EventFd>,
    next_descriptor: u16,
    available_index: u16,
    used_index: u16,
}

impl FakeQueue {
    /// Lays zeroed rings at `base`, a multiple of 16. `size` is a power of two.
    pub fn new(memory: &Arc<GuestMemory>, base: u64, size: u16) -> Self {
        assert!(size.is_power_of_two() && base.is_multiple_of(16), "as virtio demands");
        let entries = u64::from(size);
        let available = base + 16 * entries;
        let used = (available + 6 + 2 * entries).next_multiple_of(4);
        let end = used + 6 + 8 * entries;
        let zeroes = vec![0; usize::try_from(end - base).unwrap()];
        memory.write_slice(&zeroes, GuestAddress(base)).expect("rings lie in memory");
        Self {
            memory: Arc::clone(memory),
            size,
            descriptors: base,
            available,
            used,
            doorbell: Arc::new(EventFd::new(EFD_NONBLOCK).unwrap()),
            next_descriptor: 0,
            available_index: 0,
            used_index: 0,
        }
    }

    /// The first address after the rings.
    pub fn end(&self) -> u64 {
        self.used + 6 + 8 * u64::from(self.size)
    }

    /// The queue as a transport hands it to a device.
    pub fn activate(&self) -> ActiveQueue {
        let mut queue = Queue::new(self.size).unwrap();
        queue.try_set_desc_table_address(GuestAddress(self.descriptors)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(self.available)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(self.used)).unwrap();
        queue.set_ready(true);
        ActiveQueue { queue, doorbell: Arc::clone(&self.doorbell) }
    }

    /// Writes a chain and makes it available; its head. Does not ring.
    pub fn add(&mut self, buffers: &[Buffer]) -> u16 {
        let head = self.next_descriptor;
        for (number, buffer) in buffers.iter().enumerate() {
            let index = self.next_descriptor;
            self.next_descriptor = (index + 1) % self.size;
            let (address, len, write) = match *buffer {
                Buffer::Readable(address, len) => (address, len, 0),
                Buffer::Writable(address, len) => (address, len, WRITE),
            };
            let next = if number + 1 < buffers.len() { NEXT } else { 0 };
            let descriptor = Descriptor { address, len, flags: write | next, next: self.next_descriptor };
            self.write_descriptor(index, descriptor);
        }
        self.offer(head);
        head
    }

    /// Writes a chain into an indirect table at `table` and makes it available; its head. Does not ring.
    pub fn add_indirect(&mut self, table: u64, buffers: &[Buffer]) -> u16 {
        for (number, buffer) in buffers.iter().enumerate() {
            let (address, len, write) = match *buffer {
                Buffer::Readable(address, len) => (address, len, 0),
                Buffer::Writable(address, len) => (address, len, WRITE),
            };
            let next = u16::try_from(number + 1).unwrap();
            let flags = write | if usize::from(next) < buffers.len() { NEXT } else { 0 };
            self.write_descriptor_at(
                table,
                u16::try_from(number).unwrap(),
                Descriptor { address, len, flags, next },
            );
        }
        let head = self.next_descriptor;
        self.next_descriptor = (head + 1) % self.size;
        let len = u32::try_from(buffers.len() * 16).unwrap();
        self.write_descriptor(head, Descriptor { address: table, len, flags: INDIRECT, next: 0 });
        self.offer(head);
        head
    }

    /// Writes one descriptor of the queue's table, however wrong.
    pub fn write_descriptor(&self, index: u16, descriptor: Descriptor) {
        self.write_descriptor_at(self.descriptors, index, descriptor);
    }

    /// Writes one descriptor of the table at `table`.
    pub fn write_descriptor_at(&self, table: u64, index: u16, descriptor: Descriptor) {
        let at = table + 16 * u64::from(index);
        self.memory.write_obj(descriptor.address.to_le(), GuestAddress(at)).unwrap();
        self.memory.write_obj(descriptor.len.to_le(), GuestAddress(at + 8)).unwrap();
        self.memory.write_obj(descriptor.flags.to_le(), GuestAddress(at + 12)).unwrap();
        self.memory.write_obj(descriptor.next.to_le(), GuestAddress(at + 14)).unwrap();
    }

    /// Makes the chain at `head` available.
    pub fn offer(&mut self, head: u16) {
        let slot = self.available_index % self.size;
        let at = self.available + 4 + 2 * u64::from(slot);
        self.memory.write_obj(head.to_le(), GuestAddress(at)).unwrap();
        self.set_available_index(self.available_index.wrapping_add(1));
    }

    /// Moves the available index, however wrong.
    pub fn set_available_index(&mut self, index: u16) {
        self.available_index = index;
        self.memory.store(index.to_le(), GuestAddress(self.available + 2), Ordering::Release).unwrap();
    }

    /// The available index as written last.
    pub fn available_index(&self) -> u16 {
        self.available_index
    }

    /// Sets the flags of the available ring (1 = no interrupts).
    pub fn set_available_flags(&self, flags: u16) {
        self.memory.store(flags.to_le(), GuestAddress(self.available), Ordering::Release).unwrap();
    }

    /// Sets `used_event`: the device interrupts when `used.idx` passes it (with `EVENT_IDX`).
    pub fn set_used_event(&self, index: u16) {
        let at = self.available + 4 + 2 * u64::from(self.size);
        self.memory.store(index.to_le(), GuestAddress(at), Ordering::Release).unwrap();
    }

    /// The device's `avail_event`.
    pub fn avail_event(&self) -> u16 {
        let at = self.used + 4 + 8 * u64::from(self.size);
        u16::from_le(self.memory.load(GuestAddress(at), Ordering::Acquire).unwrap())
    }

    /// The index of the used ring.
    pub fn used_index(&self) -> u16 {
        u16::from_le(self.memory.load(GuestAddress(self.used + 2), Ordering::Acquire).unwrap())
    }

    /// Rings the doorbell through its eventfd.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        self.doorbell.write(1).unwrap();
    }

    /// The next used chain as (head, bytes written), if there is one.
    pub fn take_used(&mut self) -> Option<(u16, u32)> {
        if self.used_index() == self.used_index_seen() {
            return None;
        }
        let slot = u64::from(self.used_index % self.size);
        let at = self.used + 4 + 8 * slot;
        let head = u32::from_le(self.memory.read_obj(GuestAddress(at)).unwrap());
        let written = u32::from_le(self.memory.read_obj(GuestAddress(at + 4)).unwrap());
        self.used_index = self.used_index.wrapping_add(1);
        Some((u16::try_from(head).expect("a head"), written))
    }

    /// Waits for the next used chain.
    pub fn wait_used(&mut self) -> (u16, u32) {
        let mut used = None;
        wait_until("a chain is used", || {
            used = self.take_used();
            used.is_some()
        });
        used.expect("a chain is used")
    }

    /// Fills the rings with `bytes`, repeated, as a hostile driver might, but leaves `extra` waiting chains.
    pub fn scribble(&mut self, bytes: &[u8], extra: u16) {
        if bytes.is_empty() {
            return;
        }
        let len = usize::try_from(self.end() - self.descriptors).unwrap();
        let pattern: Vec<u8> = bytes.iter().copied().cycle().take(len).collect();
        self.memory.write_slice(&pattern, GuestAddress(self.descriptors)).unwrap();
        self.set_available_index(extra);
    }

    fn used_index_seen(&self) -> u16 {
        self.used_index
    }
}

/// Waits until `condition` holds. The limit only tells what never comes from what a host with much to do brings late.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}
