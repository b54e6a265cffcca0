// SPDX-License-Identifier: Apache-2.0
//! A wire in memory.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Offloads, PacketBackend, PacketQueue, Receipt};
use flotilla_memory::{Bytes, GuestMemory};

/// A back-end on one end of a datagram socket pair for each pair of queues; the test holds the others. Frames carry their
/// virtio header.
pub struct FakePackets {
    devices: Vec<UnixDatagram>,
    /// The far end of the first pair's wire.
    pub wire: UnixDatagram,
    /// The far ends of the other pairs' wires.
    pub others: Vec<UnixDatagram>,
    offered: Offloads,
    accepted: Mutex<Option<Offloads>>,
    used: Mutex<u16>,
}

impl FakePackets {
    /// A wire with a back-end that offers these offloads.
    pub fn new(offered: Offloads) -> Self {
        Self::with_pairs(offered, 1)
    }

    /// The same with several pairs of queues.
    pub fn with_pairs(offered: Offloads, pairs: u16) -> Self {
        let mut wires = (0..pairs).map(|_| {
            let (device, wire) = UnixDatagram::pair().unwrap();
            device.set_nonblocking(true).unwrap();
            wire.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            (device, wire)
        });
        let (first, wire) = wires.next().expect("at least one pair");
        let (mut devices, others): (Vec<_>, Vec<_>) = wires.unzip();
        devices.insert(0, first);
        Self { devices, wire, others, offered, accepted: Mutex::new(None), used: Mutex::new(1) }
    }

    /// What the device said the guest accepts.
    pub fn accepted(&self) -> Option<Offloads> {
        *self.accepted.lock().unwrap()
    }

    /// How many pairs the device said carry frames.
    pub fn used_pairs(&self) -> u16 {
        *self.used.lock().unwrap()
    }
}

impl PacketBackend for FakePackets {
    fn offloads(&self) -> Offloads {
        self.offered
    }

    fn set_guest_offloads(&self, offloads: Offloads) -> io::Result<()> {
        *self.accepted.lock().unwrap() = Some(offloads);
        Ok(())
    }

    fn pairs(&self) -> u16 {
        u16::try_from(self.devices.len()).unwrap()
    }

    fn use_pairs(&self, pairs: u16) -> io::Result<()> {
        assert!((1..=self.pairs()).contains(&pairs), "as the contract says");
        *self.used.lock().unwrap() = pairs;
        Ok(())
    }

    fn open(&self, pair: u16) -> io::Result<Box<dyn PacketQueue>> {
        let device = self.devices[usize::from(pair)].try_clone()?;
        Ok(Box::new(FakeQueueOfPackets { device, memory: None, offered: Vec::new() }))
    }

    fn discard(&self) -> io::Result<()> {
        self.devices.iter().try_for_each(empty)
    }
}

fn empty(socket: &UnixDatagram) -> io::Result<()> {
    loop {
        match socket.recv(&mut []) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

struct FakeQueueOfPackets {
    device: UnixDatagram,
    memory: Option<Arc<GuestMemory>>,
    offered: Vec<Segment>,
}

impl PacketQueue for FakeQueueOfPackets {
    fn event(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    fn offer(&mut self, memory: &Arc<GuestMemory>, segments: &[Segment]) -> io::Result<usize> {
        self.memory = Some(Arc::clone(memory));
        self.offered.extend(segments);
        Ok(segments.len())
    }

    fn retire(&mut self, buffers: usize) {
        self.offered.drain(..buffers);
    }

    fn receive(&mut self) -> io::Result<Receipt> {
        let mut frame = vec![0; 70_000];
        let len = match self.device.recv(&mut frame) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Receipt::Nothing),
            Err(error) => return Err(error),
        };
        let mut rest = &frame[..len];
        let memory = self.memory.as_ref().expect("buffers were offered");
        for segment in &self.offered {
            let mut part = vec![0; rest.len().min(usize::try_from(segment.len).unwrap())];
            rest.read_exact(&mut part)?;
            memory.write_slice(&part, segment.address).map_err(io::Error::other)?;
        }
        Ok(if rest.is_empty() { Receipt::Frame(len) } else { Receipt::Cut })
    }

    fn discard(&mut self) -> io::Result<()> {
        empty(&self.device)
    }

    fn send(&mut self, memory: &GuestMemory, head: &[u8], segments: &[Segment]) -> io::Result<usize> {
        let mut frame = Vec::new();
        for segment in segments {
            let mut part = vec![0; usize::try_from(segment.len).unwrap()];
            memory.read_slice(&mut part, segment.address).map_err(io::Error::other)?;
            frame.write_all(&part)?;
        }
        frame[..head.len()].copy_from_slice(head);
        self.device.send(&frame)
    }
}
