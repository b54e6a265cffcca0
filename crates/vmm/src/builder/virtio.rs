// SPDX-License-Identifier: Apache-2.0
//! The virtio devices of a machine, whatever their transport, in the fixed order in which the guest sees them: rng, disks,
//! interfaces, sockets.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use flotilla_device_model::block::{BlockBackend, SpaceAlarm};
use flotilla_device_model::threads::DeviceThreads;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_devices::virtio::block::device::{Block, BlockOptions, MAX_QUEUES};
use flotilla_devices::virtio::net::device::{Net, NetError, NetOptions};
use flotilla_devices::virtio::rng::device::Rng;
use flotilla_devices::virtio::rng::source::HostEntropy;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{DiskCache, DiskSpec, InterfaceSpec, MacAddress, SpacePolicy, ValidSpec, Violation};

use super::vsock;
use crate::error::BuildError;
use crate::inbox::Inbox;
use crate::parts::DISK_PREFIX;
use crate::resources::{InterfaceFiles, disk_backend, interface_backend};
use crate::sockets::HostSockets;

/// How many there are.
pub fn count(spec: &ValidSpec) -> usize {
    usize::from(spec.rng) + spec.disks.len() + spec.interfaces.len() + usize::from(spec.vsock.is_some())
}

/// The devices of a machine.
#[derive(Default)]
pub struct VirtioDevices {
    /// All of them.
    pub all: Vec<Arc<dyn VirtioDevice>>,
    /// The disks among them.
    pub disks: Vec<Arc<Block>>,
    /// The network interfaces among them, by their ids.
    pub interfaces: BTreeMap<String, Arc<Net>>,
}

/// Builds all of them.
pub fn devices(
    spec: &ValidSpec,
    disks: impl Iterator<Item = (File, Vec<File>)>,
    files: Vec<InterfaceFiles>,
    sockets: Option<HostSockets>,
    threads: &Arc<dyn DeviceThreads>,
    inbox: &Arc<Inbox>,
) -> Result<VirtioDevices, BuildError> {
    let mut devices = VirtioDevices::default();
    if spec.rng {
        let rng = Rng::new("rng0", Arc::new(HostEntropy));
        devices.all.push(Arc::new(rng.watched_by(Arc::clone(threads))));
    }
    for (index, (disk, files)) in spec.disks.iter().zip(disks).enumerate() {
        let block = disk_device(disk, spec.cpus, files, &format!("$.disks[{index}]"))?;
        let block = match disk.on_no_space {
            SpacePolicy::Report => block,
            SpacePolicy::Pause => block.waiting_for_space(Arc::clone(inbox) as Arc<dyn SpaceAlarm>),
        };
        let block = Arc::new(block.watched_by(Arc::clone(threads)));
        devices.all.push(block.clone());
        devices.disks.push(block);
    }
    for (index, (interface, files)) in spec.interfaces.iter().zip(files).enumerate() {
        let net = interface_device(interface, files, &format!("$.interfaces[{index}]"))?;
        let net = Arc::new(net.watched_by(Arc::clone(threads)));
        devices.interfaces.insert(interface.id.to_string(), Arc::clone(&net));
        devices.all.push(net);
    }
    if let Some((vsock, sockets)) = spec.vsock.as_ref().zip(sockets) {
        devices.all.push(Arc::new(vsock::device(vsock, sockets).watched_by(Arc::clone(threads))));
    }
    Ok(devices)
}

fn disk_device(
    spec: &DiskSpec,
    cpus: u32,
    (file, backing): (File, Vec<File>),
    field: &str,
) -> Result<Block, BuildError> {
    let backend = disk_backend(spec, file, backing, field).map_err(BuildError::Resource)?;
    let block_size = spec.block_size.unwrap_or_else(|| backend.block_size());
    check_blocks(backend.as_ref(), block_size, field).map_err(BuildError::Resource)?;
    let options = BlockOptions {
        serial: spec.serial.clone().unwrap_or_else(|| spec.id.as_str().to_owned()),
        queues: spec.queues.unwrap_or_else(|| u16::try_from(cpus).unwrap_or(MAX_QUEUES).min(MAX_QUEUES)),
        block_size,
        write_cache: spec.cache != DiskCache::Writethrough,
    };
    let block = Block::new(format!("{DISK_PREFIX}{}", spec.id), backend, options);
    block.map_err(|source| BuildError::Host { step: "open a queue on a disk", source })
}

fn check_blocks(backend: &dyn BlockBackend, block_size: u32, field: &str) -> Result<(), Violation> {
    let (least, size) = (backend.block_size(), backend.size());
    if block_size < least {
        let message = format!("Direct I/O to this disk takes blocks of {least} bytes and no smaller ones");
        return Err(Violation::new(ErrorCode::DiskBlockSize, format!("{field}.blockSize"), message));
    }
    if !size.is_multiple_of(block_size.into()) {
        let message = format!("Disk has {size} bytes, which is not a multiple of its blocks of {block_size}");
        return Err(Violation::new(ErrorCode::DiskBlockSize, format!("{field}.blockSize"), message));
    }
    Ok(())
}

fn interface_device(spec: &InterfaceSpec, files: InterfaceFiles, field: &str) -> Result<Net, BuildError> {
    let (tap, rings) = interface_backend(files, field).map_err(BuildError::Resource)?;
    let options = NetOptions {
        mac: spec.mac.map_or_else(random_mac, MacAddress::octets),
        mtu: spec.mtu,
        link_up: spec.link.is_up(),
        allow_spoofed_mac: spec.allow_spoofed_mac,
        rings,
    };
    let net = Net::new(format!("net:{}", spec.id), tap, options);
    net.map_err(|error| {
        let (code, at) = match error {
            NetError::Mac { .. } => (ErrorCode::SpecMacInvalid, "mac"),
            NetError::Pairs { .. } => (ErrorCode::SpecInterfaceQueuesOutOfRange, "queues"),
            NetError::Mtu { .. } => (ErrorCode::SpecMtuOutOfRange, "mtu"),
            NetError::Unguarded => (ErrorCode::SpecSpoofGuardUnsupported, "allowSpoofedMac"),
        };
        BuildError::Resource(Violation::new(code, format!("{field}.{at}"), error.to_string()))
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
