// SPDX-License-Identifier: Apache-2.0
//! The virtio devices of a machine, whatever their transport, in the fixed order in which the guest sees them: rng, disks,
//! interfaces, sockets.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use flotilla_device_model::threads::DeviceThreads;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_devices::virtio::block::device::Block;
use flotilla_devices::virtio::net::device::Net;
use flotilla_devices::virtio::rng::device::Rng;
use flotilla_devices::virtio::rng::source::HostEntropy;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{DiskSpec, InterfaceSpec, MacAddress, ValidSpec, Violation};

use super::vsock;
use crate::error::BuildError;
use crate::resources::{disk_backend, tap_backend};
use crate::sockets::HostSockets;

/// How many there are.
pub fn count(spec: &ValidSpec) -> usize {
    usize::from(spec.rng) + spec.disks.len() + spec.interfaces.len()
}

/// Builds all of them.
pub fn devices(
    spec: &ValidSpec,
    disks: Vec<File>,
    taps: Vec<OwnedFd>,
    sockets: Option<HostSockets>,
    threads: &Arc<dyn DeviceThreads>,
) -> Result<Vec<Arc<dyn VirtioDevice>>, BuildError> {
    let mut devices: Vec<Arc<dyn VirtioDevice>> = Vec::new();
    if spec.rng {
        let rng = Rng::new("rng0", Arc::new(HostEntropy));
        devices.push(Arc::new(rng.watched_by(Arc::clone(threads))));
    }
    for (index, (disk, file)) in spec.disks.iter().zip(disks).enumerate() {
        let block = disk_device(disk, file, &format!("$.disks[{index}].source"))?;
        devices.push(Arc::new(block.watched_by(Arc::clone(threads))));
    }
    for (index, (interface, tap)) in spec.interfaces.iter().zip(taps).enumerate() {
        let net = interface_device(interface, tap, &format!("$.interfaces[{index}]"))?;
        devices.push(Arc::new(net.watched_by(Arc::clone(threads))));
    }
    if let Some((vsock, sockets)) = spec.vsock.as_ref().zip(sockets) {
        devices.push(Arc::new(vsock::device(vsock, sockets).watched_by(Arc::clone(threads))));
    }
    Ok(devices)
}

fn disk_device(spec: &DiskSpec, file: File, field: &str) -> Result<Block, BuildError> {
    let backend = disk_backend(file, spec.read_only, field).map_err(BuildError::Resource)?;
    let serial = spec.serial.as_deref().unwrap_or(spec.id.as_str());
    let block = Block::new(format!("disk:{}", spec.id), Arc::new(backend), serial);
    block.map_err(|source| BuildError::Host { step: "open a queue on a disk", source })
}

fn interface_device(spec: &InterfaceSpec, tap: OwnedFd, field: &str) -> Result<Net, BuildError> {
    let backend = tap_backend(tap, &format!("{field}.tap")).map_err(BuildError::Resource)?;
    let mac = spec.mac.map_or_else(random_mac, MacAddress::octets);
    let net = Net::new(format!("net:{}", spec.id), Arc::new(backend), mac);
    net.map_err(|error| {
        let violation = Violation::new(ErrorCode::SpecMacInvalid, format!("{field}.mac"), error.to_string());
        BuildError::Resource(violation)
    })
}

/// A locally administered address that is most likely nobody else's.
fn random_mac() -> [u8; 6] {
    // Each `RandomState` has keys of its own from the host's random number generator.
    let mut mac = RandomState::new().build_hasher().finish().to_le_bytes();
    mac[0] = 0x02;
    let [mac @ .., _, _] = mac;
    mac
}
