// SPDX-License-Identifier: Apache-2.0
//! A wire in memory.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Offloads, PacketBackend};
use flotilla_memory::{Bytes, GuestMemory};

/// A back-end on one end of a datagram socket pair; the test holds the other. Frames carry their virtio header.
pub struct FakePackets {
    device: UnixDatagram,
    /// The far end of the wire.
    pub wire: UnixDatagram,
    offered: Offloads,
    accepted: Mutex<Option<Offloads>>,
}

impl FakePackets {
    /// A wire with a back-end that offers these offloads.
    pub fn new(offered: Offloads) -> Self {
        let (device, wire) = UnixDatagram::pair().unwrap();
        device.set_nonblocking(true).unwrap();
        wire.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        Self { device, wire, offered, accepted: Mutex::new(None) }
    }

    /// What the device said the guest accepts.
    pub fn accepted(&self) -> Option<Offloads> {
        *self.accepted.lock().unwrap()
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

    fn receive_event(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }

    fn receive(&self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<Option<usize>> {
        let mut frame = vec![0; 70_000];
        let len = match self.device.recv(&mut frame) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut rest = &frame[..len];
        for segment in segments {
            let mut part = vec![0; rest.len().min(usize::try_from(segment.len).unwrap())];
            rest.read_exact(&mut part)?;
            memory.write_slice(&part, segment.address).map_err(io::Error::other)?;
        }
        Ok(Some(len))
    }

    fn discard(&self) -> io::Result<()> {
        loop {
            match self.device.recv(&mut []) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<usize> {
        let mut frame = Vec::new();
        for segment in segments {
            let mut part = vec![0; usize::try_from(segment.len).unwrap()];
            memory.read_slice(&mut part, segment.address).map_err(io::Error::other)?;
            frame.write_all(&part)?;
        }
        self.device.send(&frame)
    }
}
