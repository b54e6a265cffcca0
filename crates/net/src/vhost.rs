// SPDX-License-Identifier: Apache-2.0
//! vhost-net: the kernel moves the frames between the driver's rings and a tap by itself.
//!
//! One open /dev/vhost-net for each pair of queues. The kernel reads and writes guest memory through the mapping of this
//! process, whose memory table it is given at each start.
//!
//! NOTE: what the kernel writes is not logged page by page (`VHOST_SET_LOG_BASE` is not used). So all memory counts as
//! written after a stop; the device sees to that.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use flotilla_device_model::net::RingBackend;
use flotilla_device_model::ring::Ring;
use flotilla_memory::{Address, GuestAddress, GuestMemory, push_iovecs};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use crate::{Tap, VhostError, vhost_sys as sys};

/// `VIRTIO_F_INDIRECT_DESC`, `VIRTIO_F_EVENT_IDX`, `VIRTIO_NET_F_MRG_RXBUF` and `VIRTIO_F_VERSION_1`: the features that
/// concern rings and the length of headers. The others are between the driver and the tap.
const RING_FEATURES: u64 = 1 << 28 | 1 << 29 | 1 << 15 | 1 << 32;

/// The receive ring of a pair, and the transmit ring.
const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;

/// vhost-net on the queues of a tap.
#[derive(Debug)]
pub struct VhostNet {
    descriptors: Vec<OwnedFd>,
    tap: Arc<Tap>,
    features: u64,
}

impl VhostNet {
    /// Takes over an open /dev/vhost-net for each queue of the tap. From now on they belong to this process.
    pub fn new(descriptors: Vec<OwnedFd>, tap: Arc<Tap>) -> Result<Self, VhostError> {
        if descriptors.len() != tap.queues().len() {
            let (found, needed) = (descriptors.len(), tap.queues().len());
            return Err(VhostError::Count { found, needed });
        }
        let mut features = RING_FEATURES;
        for descriptor in &descriptors {
            let vhost = descriptor.as_fd();
            sys::set_owner(vhost).map_err(VhostError::Owner)?;
            features &= sys::features(vhost).map_err(VhostError::Features)?;
        }
        // Without the header of virtio 1.0 it would not be ours.
        if features & 1 << 32 == 0 {
            return Err(VhostError::TooOld);
        }
        Ok(Self { descriptors, tap, features })
    }

    /// Opens /dev/vhost-net so many times.
    pub fn open_descriptors(count: u16) -> Result<Vec<OwnedFd>, VhostError> {
        let open = |_| {
            let opened = OpenOptions::new().read(true).write(true).open("/dev/vhost-net");
            opened.map(OwnedFd::from).map_err(|source| match source.raw_os_error() {
                Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => VhostError::Missing(source),
                Some(libc::EACCES | libc::EPERM) => VhostError::Denied(source),
                _ => VhostError::Open(source),
            })
        };
        (0..count).map(open).collect()
    }

    fn vhost(&self, pair: u16) -> io::Result<&OwnedFd> {
        self.descriptors.get(usize::from(pair)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn set_up(
        vhost: &OwnedFd,
        features: u64,
        memory: &GuestMemory,
        rings: [(u32, &Ring<'_>); 2],
    ) -> io::Result<()> {
        let vhost = vhost.as_fd();
        sys::set_features(vhost, features)?;
        sys::set_memory_table(vhost, &table(memory))?;
        for (index, ring) in rings {
            let state = &ring.state;
            let size = u64::from(state.size);
            let at = |address: u64, len: u64| host_address(memory, address, len);
            sys::set_ring_size(vhost, index, state.size.into())?;
            sys::set_ring_base(vhost, index, state.next_avail.into())?;
            let addresses = sys::RingAddresses {
                index,
                flags: 0,
                descriptors: at(state.desc_table, 16 * size)?,
                used: at(state.used_ring, 6 + 8 * size)?,
                available: at(state.avail_ring, 6 + 2 * size)?,
                log: 0,
            };
            sys::set_ring_addresses(vhost, &addresses)?;
            sys::set_ring_event(vhost, sys::RingEvent::Call, index, ring.call)?;
            sys::set_ring_event(vhost, sys::RingEvent::Error, index, ring.error)?;
            sys::set_ring_event(vhost, sys::RingEvent::Kick, index, ring.kick)?;
        }
        Ok(())
    }

    fn detach(vhost: &OwnedFd) -> io::Result<()> {
        let both = [RECEIVE, TRANSMIT].map(|index| sys::set_backend(vhost.as_fd(), index, None));
        both.into_iter().collect()
    }
}

impl RingBackend for VhostNet {
    fn features(&self) -> u64 {
        self.features
    }

    fn start(
        &self,
        pair: u16,
        features: u64,
        memory: &Arc<GuestMemory>,
        receive: Ring<'_>,
        transmit: Ring<'_>,
    ) -> io::Result<()> {
        let vhost = self.vhost(pair)?;
        let queue = self.tap.queues().get(usize::from(pair)).ok_or(io::ErrorKind::NotFound)?;
        Self::set_up(vhost, features & self.features, memory, [(RECEIVE, &receive), (TRANSMIT, &transmit)])?;
        for index in [RECEIVE, TRANSMIT] {
            if let Err(error) = sys::set_backend(vhost.as_fd(), index, Some(queue.as_fd())) {
                let _ = Self::detach(vhost);
                return Err(error);
            }
        }
        Ok(())
    }

    fn stop(&self, pair: u16) -> io::Result<[u16; 2]> {
        let vhost = self.vhost(pair)?;
        Self::detach(vhost)?;
        let base = |index| {
            let base = sys::ring_base(vhost.as_fd(), index)?;
            u16::try_from(base & 0xffff).map_err(io::Error::other)
        };
        Ok([base(RECEIVE)?, base(TRANSMIT)?])
    }
}

/// Guest memory as the kernel is to find it in this process.
fn table(memory: &GuestMemory) -> Vec<sys::MemoryRegion> {
    let region = |region: &<GuestMemory as GuestMemoryBackend>::R| {
        let start = region.start_addr();
        let host = host_address(memory, start.raw_value(), region.len()).ok()?;
        Some(sys::MemoryRegion { guest: start.raw_value(), len: region.len(), host, flags: 0 })
    };
    memory.iter().filter_map(region).collect()
}

/// Where a range of guest memory is in this process, if it lies in one piece.
fn host_address(memory: &GuestMemory, address: u64, len: u64) -> io::Result<u64> {
    let outside = || io::Error::new(io::ErrorKind::InvalidInput, "ring is not in one piece of memory");
    let len = usize::try_from(len).map_err(|_| outside())?;
    let mut buffers = Vec::new();
    push_iovecs(memory, GuestAddress(address), len, &mut buffers).map_err(|_| outside())?;
    match buffers.as_slice() {
        [buffer] => u64::try_from(buffer.iov_base.addr()).map_err(|_| outside()),
        _ => Err(outside()),
    }
}
