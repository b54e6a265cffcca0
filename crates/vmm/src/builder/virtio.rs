// SPDX-License-Identifier: Apache-2.0
//! The virtio devices of a machine, whatever their transport, in the fixed order in which the guest sees them: rng, disks,
//! interfaces, sockets, balloon, shared folders, console.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use flotilla_device_model::block::{BlockBackend, SpaceAlarm};
use flotilla_device_model::net::LinkAlarm;
use flotilla_device_model::share::ShareAlarm;
use flotilla_device_model::threads::DeviceThreads;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_devices::virtio::balloon::device::Balloon;
use flotilla_devices::virtio::block::device::{Block, BlockOptions, MAX_QUEUES};
use flotilla_devices::virtio::net;
use flotilla_devices::virtio::net::device::{Net, NetError, NetOptions};
use flotilla_devices::virtio::pmem::device::Pmem;
use flotilla_devices::virtio::rng::device::Rng;
use flotilla_devices::virtio::rng::source::HostEntropy;
use flotilla_devices::virtio::share::device::Share;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{
    DiskAttachment, DiskCache, DiskSpec, InterfaceBackend, InterfaceSpec, MacAddress, SpacePolicy,
    ThrottleTarget, ValidSpec, Violation,
};

use super::console::Consoles;
use super::pmem::FileShelf;
use super::{balloon, console, vsock};
use crate::error::BuildError;
use crate::inbox::Inbox;
use crate::parts::{DISK_PREFIX, INTERFACE_PREFIX, SHARE_PREFIX};
use crate::resources::{InterfaceFiles, disk_backend, interface_backend, share_backend};
use crate::sockets::HostSockets;
use crate::throttles::Throttles;

/// How many there are.
pub fn count(spec: &ValidSpec) -> usize {
    usize::from(spec.rng)
        + spec.disks.len()
        + spec.interfaces.len()
        + usize::from(spec.vsock.is_some())
        + usize::from(spec.balloon.is_some())
        + spec.shares.len()
        + usize::from(spec.console.is_some())
}

/// The devices of a machine.
#[derive(Default)]
pub struct VirtioDevices {
    /// All of them.
    pub all: Vec<Arc<dyn VirtioDevice>>,
    /// The disks among them.
    pub disks: Vec<Arc<Block>>,
    /// The disks among them that are memory.
    pub pmem: Vec<Arc<Pmem>>,
    /// The network interfaces among them, by their ids.
    pub interfaces: BTreeMap<String, Arc<Net>>,
    /// The entropy device among them.
    pub rng: Option<Arc<Rng>>,
    /// What they may do.
    pub throttles: Throttles,
    /// The balloon among them.
    pub balloon: Option<Arc<Balloon>>,
    /// What is behind the ports of the console device.
    pub consoles: Consoles,
}

/// What the host holds open for them, in the order of the specification.
pub struct DeviceFiles {
    /// Each disk with its backing files.
    pub disks: Vec<(File, Vec<File>)>,
    /// What interfaces move frames by.
    pub interfaces: Vec<InterfaceFiles>,
    /// The ends of the processes that serve shared folders.
    pub shares: Vec<OwnedFd>,
    /// Where the programs of the host are that the socket device leads to.
    pub sockets: Option<HostSockets>,
}

/// Builds all of them.
pub fn devices(
    spec: &ValidSpec,
    files: DeviceFiles,
    threads: &Arc<dyn DeviceThreads>,
    inbox: &Arc<Inbox>,
    mut shelf: FileShelf<'_>,
) -> Result<VirtioDevices, BuildError> {
    let mut devices = VirtioDevices { throttles: Throttles::of_groups(spec), ..VirtioDevices::default() };
    if spec.rng {
        let throttle = devices.throttles.of_device(ThrottleTarget::Rng, spec.rng_throttle.as_ref());
        let rng = Rng::new("rng0", Arc::new(HostEntropy)).throttled_by(throttle);
        let rng = Arc::new(rng.watched_by(Arc::clone(threads)));
        devices.all.push(rng.clone());
        devices.rng = Some(rng);
    }
    for (index, (disk, files)) in spec.disks.iter().zip(files.disks).enumerate() {
        let field = format!("$.disks[{index}]");
        if disk.attach == DiskAttachment::Pmem {
            let pmem = Arc::new(shelf.put(disk, files.0, &field)?.watched_by(Arc::clone(threads)));
            devices.all.push(pmem.clone());
            devices.pmem.push(pmem);
            continue;
        }
        let block = disk_device(disk, spec.cpus, files, &field)?;
        let block = match disk.on_no_space {
            SpacePolicy::Report => block,
            SpacePolicy::Pause => block.waiting_for_space(Arc::clone(inbox) as Arc<dyn SpaceAlarm>),
        };
        let target = ThrottleTarget::Disk { id: disk.id.to_string() };
        let block = block.throttled_by(devices.throttles.of_device(target, disk.throttle.as_ref()));
        let block = Arc::new(block.watched_by(Arc::clone(threads)));
        devices.all.push(block.clone());
        devices.disks.push(block);
    }
    for (index, (interface, files)) in spec.interfaces.iter().zip(files.interfaces).enumerate() {
        let net = interface_device(interface, files, &format!("$.interfaces[{index}]"))?;
        let net = net.alarming(Arc::clone(inbox) as Arc<dyn LinkAlarm>);
        let net = throttle(net, interface, &mut devices.throttles);
        let net = Arc::new(net.watched_by(Arc::clone(threads)));
        devices.interfaces.insert(interface.id.to_string(), Arc::clone(&net));
        devices.all.push(net);
    }
    if let Some((vsock, sockets)) = spec.vsock.as_ref().zip(files.sockets) {
        devices.all.push(Arc::new(vsock::device(vsock, sockets).watched_by(Arc::clone(threads))));
    }
    if let Some(balloon) = &spec.balloon {
        let balloon = balloon::device(balloon, spec.memory)?;
        let balloon = Arc::new(balloon.watched_by(Arc::clone(threads)));
        devices.all.push(balloon.clone());
        devices.balloon = Some(balloon);
    }
    for (index, (share, socket)) in spec.shares.iter().zip(files.shares).enumerate() {
        let backend = share_backend(socket, &format!("$.shares[{index}].source"));
        let backend = backend.map_err(BuildError::Resource)?;
        let tag = share.tag.as_str();
        let share = Share::new(format!("{SHARE_PREFIX}{tag}"), tag, backend);
        let share = share.alarming(Arc::clone(inbox) as Arc<dyn ShareAlarm>);
        devices.all.push(Arc::new(share.watched_by(Arc::clone(threads))));
    }
    if let Some(console) = &spec.console {
        let (console, consoles) = console::device(console)?;
        devices.all.push(Arc::new(console.watched_by(Arc::clone(threads))));
        devices.consoles = consoles;
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
    let (backend, rings) = interface_backend(files, field).map_err(BuildError::Resource)?;
    let options = NetOptions {
        mac: spec.mac.map_or_else(random_mac, MacAddress::octets),
        mtu: spec.mtu,
        link_up: spec.link.is_up(),
        allow_spoofed_mac: spec.allow_spoofed_mac,
        rings,
    };
    let net = Net::new(format!("{INTERFACE_PREFIX}{}", spec.id), backend, options);
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

/// Keeps an interface to its limits. One on vhost-net has none, which nobody shall find and change.
fn throttle(net: Net, spec: &InterfaceSpec, throttles: &mut Throttles) -> Net {
    if spec.backend == InterfaceBackend::Vhost {
        return net;
    }
    let id = spec.id.to_string();
    let receive = ThrottleTarget::Receive { id: id.clone() };
    let receive = throttles.of_device(receive, spec.receive_throttle.as_ref());
    let transmit = throttles.of_device(ThrottleTarget::Transmit { id }, spec.transmit_throttle.as_ref());
    net.throttled_by(net::device::Throttles { receive, transmit })
}

/// A locally administered address that is most likely nobody else's.
fn random_mac() -> [u8; 6] {
    // Each `RandomState` has keys of its own from the host's random number generator.
    let mut mac = RandomState::new().build_hasher().finish().to_le_bytes();
    mac[0] = 0x02;
    let [mac @ .., _, _] = mac;
    mac
}
