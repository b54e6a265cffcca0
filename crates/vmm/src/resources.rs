// SPDX-License-Identifier: Apache-2.0
//! The open files of a machine.
//!
//! They come from paths ([`Resources::open`], for whoever may open paths) or, already open, from another process
//! ([`Resources::from_descriptors`]). A machine itself opens nothing by path.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use flotilla_block::{
    BackingFile, BackingFormat, BlockError, EngineChoice, LockKind, Qcow2, Qcow2Error, Qcow2Options, RawFile,
    RawOptions, RecordedName,
};
use flotilla_device_model::block::BlockBackend;
use flotilla_device_model::net::{PacketBackend, RingBackend};
use flotilla_device_model::share::ShareBackend;
use flotilla_net::passt::{self, Forward, Protocol};
use flotilla_net::{PasstError, StreamNet, Tap, TapError, VhostError, VhostNet};
use flotilla_share::folder::Folders;
use flotilla_share::{ShareError, VhostUser};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{
    BackingSpec, DiskCache, DiskEngine, DiskFormat, DiskSpec, FileSource, ForwardProtocol, ForwardSpec,
    InterfaceBackend, InterfaceSpec, MachineSpec, SerialSpec, ShareSpec, TapSource, UserNetworkSpec,
    ValidSpec, Violation,
};

use crate::error::describe;
use crate::sockets::HostSockets;

const KVM: &str = "/dev/kvm";
/// `O_NONBLOCK`: opening a pipe must not wait for its other end, it is refused afterwards.
const NONBLOCK: i32 = 0o4000;

/// The open files of a machine.
#[derive(Debug)]
pub struct Resources {
    /// /dev/kvm.
    pub kvm: OwnedFd,
    /// The kernel.
    pub kernel: File,
    /// The initial RAM disk.
    pub initrd: Option<File>,
    /// The disks in the order of the specification, locked.
    pub disks: Vec<File>,
    /// The backing files of each disk, the nearest first, locked for reading.
    pub backing: Vec<Vec<File>>,
    /// The interfaces in the order of the specification.
    pub interfaces: Vec<InterfaceFiles>,
    /// For each shared folder the socket of the process that serves it.
    pub shares: Vec<OwnedFd>,
    /// Where the first serial port writes.
    pub serial_file: Option<File>,
    /// The host's end of the socket device.
    pub sockets: Option<HostSockets>,
}

/// The open files of an interface.
#[derive(Debug)]
pub enum InterfaceFiles {
    /// Its network is a tap.
    Tap {
        /// The queues of the tap.
        taps: Vec<OwnedFd>,
        /// With vhost-net one for each queue.
        vhosts: Vec<OwnedFd>,
    },
    /// Its network is a process at the other end of this socket.
    User(OwnedFd),
}

impl InterfaceFiles {
    fn into_descriptors(self) -> impl Iterator<Item = OwnedFd> {
        let (first, rest) = match self {
            Self::Tap { taps, vhosts } => (taps, vhosts),
            Self::User(socket) => (vec![socket], Vec::new()),
        };
        first.into_iter().chain(rest)
    }
}

impl Resources {
    /// Opens what the specification names, and locks its disks. The first fault is returned, with its JSON path. For a
    /// person's own shell: any folder may be shared.
    pub fn open(spec: &ValidSpec) -> Result<Self, Violation> {
        Self::open_within(spec, &Folders::Anything)
    }

    /// The same, with those folders shared at most.
    pub fn open_within(spec: &ValidSpec, folders: &Folders) -> Result<Self, Violation> {
        let kernel = open_image(&spec.boot.kernel, "$.boot.kernel")?;
        let initrd =
            spec.boot.initrd.as_ref().map(|source| open_image(source, "$.boot.initrd")).transpose()?;
        let (mut disks, mut backing) = (Vec::new(), Vec::new());
        for (index, disk) in spec.disks.iter().enumerate() {
            disks.push(open_disk(&disk.source, disk.read_only, &format!("$.disks[{index}].source"))?);
            let files = disk.backing.iter().enumerate();
            let files = files.map(|(place, file)| {
                open_disk(&file.source, true, &format!("$.disks[{index}].backing[{place}].source"))
            });
            backing.push(files.collect::<Result<_, _>>()?);
        }
        let mut interfaces = Vec::new();
        for (index, interface) in spec.interfaces.iter().enumerate() {
            interfaces.push(open_interface(interface, &format!("$.interfaces[{index}]"))?);
        }
        let serial_file = match &spec.serial {
            SerialSpec::File(source) => Some(open_serial(source, "$.serial.file")?),
            SerialSpec::Console | SerialSpec::Stdio | SerialSpec::Null => None,
        };
        let mut shares = Vec::new();
        for (index, share) in spec.shares.iter().enumerate() {
            shares.push(start_share(share, folders, &format!("$.shares[{index}].source"))?);
        }
        let kvm = open_kvm(Path::new(KVM))?;
        // Last, for it is the one thing that is made here and does not go with its descriptor.
        let sockets = spec.vsock.as_ref().map(|vsock| listen(&vsock.socket, "$.vsock.socket")).transpose()?;
        Ok(Self { kvm, kernel, initrd, disks, backing, interfaces, shares, serial_file, sockets })
    }

    /// The files in the order that [`Resources::from_descriptors`] takes:
    /// /dev/kvm, kernel, initrd?, disks..., each followed by its backing files, interfaces... (taps..., vhosts..., or a
    /// socket), sockets of shares..., serial file?, socket of vsock?
    pub fn into_descriptors(self) -> io::Result<Vec<OwnedFd>> {
        let disks = self.disks.into_iter().zip(self.backing);
        let disks = disks.flat_map(|(disk, backing)| [disk].into_iter().chain(backing));
        let files = [Some(self.kernel), self.initrd].into_iter().flatten().chain(disks).map(OwnedFd::from);
        let interfaces = self.interfaces.into_iter().flat_map(InterfaceFiles::into_descriptors);
        let serial = self.serial_file.map(OwnedFd::from);
        let sockets = self.sockets.map(HostSockets::into_descriptor).transpose()?;
        Ok([self.kvm]
            .into_iter()
            .chain(files)
            .chain(interfaces)
            .chain(self.shares)
            .chain(serial)
            .chain(sockets)
            .collect())
    }

    /// Takes over passed descriptors. Disks must be locked by whoever opened them; the lock travels with them.
    pub fn from_descriptors(spec: &MachineSpec, descriptors: Vec<OwnedFd>) -> Result<Self, Violation> {
        let count = descriptors.len();
        let mut queue = VecDeque::from(descriptors);
        let mut next = || queue.pop_front().ok_or_else(|| wrong_count(count));
        let kvm = next()?;
        let kernel = File::from(next()?);
        let initrd = spec.boot.initrd.is_some().then(&mut next).transpose()?.map(File::from);
        let (mut disks, mut backing) = (Vec::new(), Vec::new());
        for disk in &spec.disks {
            disks.push(File::from(next()?));
            let files = disk.backing.iter().map(|_| next().map(File::from));
            backing.push(files.collect::<Result<_, _>>()?);
        }
        let mut interfaces = Vec::new();
        for interface in &spec.interfaces {
            if interface.user.is_some() {
                interfaces.push(InterfaceFiles::User(next()?));
                continue;
            }
            let taps = (0..interface.queues).map(|_| next()).collect::<Result<_, _>>()?;
            let by_kernel = interface.backend == InterfaceBackend::Vhost;
            let vhosts = if by_kernel { interface.queues } else { 0 };
            let vhosts = (0..vhosts).map(|_| next()).collect::<Result<_, _>>()?;
            interfaces.push(InterfaceFiles::Tap { taps, vhosts });
        }
        let shares = spec.shares.iter().map(|_| next()).collect::<Result<_, _>>()?;
        let to_file = matches!(spec.serial, SerialSpec::File(_));
        let serial_file = to_file.then(&mut next).transpose()?.map(File::from);
        let socket = spec.vsock.is_some().then(&mut next).transpose()?;
        if !queue.is_empty() {
            return Err(wrong_count(count));
        }
        let sockets = socket.map(passed_socket).transpose()?;
        Ok(Self { kvm, kernel, initrd, disks, backing, interfaces, shares, serial_file, sockets })
    }
}

fn wrong_count(count: usize) -> Violation {
    let message = format!("{count} descriptors came along, which is not what the specification needs");
    Violation::new(ErrorCode::SpecDescriptorInvalid, "$", message)
}

fn path_of<'a>(source: &'a FileSource, field: &str) -> Result<&'a Path, Violation> {
    match source {
        FileSource::Path(path) => Ok(path),
        FileSource::Descriptor(_) => Err(not_a_path(field)),
    }
}

fn not_a_path(field: &str) -> Violation {
    let message = "Source is a descriptor, but no descriptors came along";
    Violation::new(ErrorCode::SpecDescriptorInvalid, field, message)
}

fn open_image(source: &FileSource, field: &str) -> Result<File, Violation> {
    let path = path_of(source, field)?;
    let file = open(OpenOptions::new().read(true), path, field)?;
    let metadata = file.metadata().map_err(|error| io_fault(&error, path, field))?;
    if metadata.is_file() { Ok(file) } else { Err(not_regular(path, field)) }
}

fn open_disk(source: &FileSource, read_only: bool, field: &str) -> Result<File, Violation> {
    let path = path_of(source, field)?;
    let file = open(OpenOptions::new().read(true).write(!read_only), path, field)?;
    let metadata = file.metadata().map_err(|error| io_fault(&error, path, field))?;
    if !metadata.is_file() && !metadata.file_type().is_block_device() {
        return Err(not_regular(path, field));
    }
    let kind = if read_only { LockKind::Shared } else { LockKind::Exclusive };
    let fault = |error: BlockError| block_fault(&error, path, field);
    let file = flotilla_block::claim(file, kind).map_err(fault)?;
    flotilla_block::lock(&file, kind).map_err(fault)?;
    Ok(file)
}

fn open_serial(source: &FileSource, field: &str) -> Result<File, Violation> {
    let path = path_of(source, field)?;
    let file = open(OpenOptions::new().append(true).create(true), path, field)?;
    let metadata = file.metadata().map_err(|error| io_fault(&error, path, field))?;
    if metadata.is_dir() { Err(not_regular(path, field)) } else { Ok(file) }
}

fn listen(source: &FileSource, field: &str) -> Result<HostSockets, Violation> {
    let path = path_of(source, field)?;
    HostSockets::listen(path).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let message = format!("Something else is at {}: {error}", path.display());
            Violation::new(ErrorCode::SocketBusy, field, message)
        }
        _ => io_fault(&error, path, field),
    })
}

fn passed_socket(descriptor: OwnedFd) -> Result<HostSockets, Violation> {
    HostSockets::passed(descriptor).map_err(|error| {
        let message = format!("Descriptor cannot be listened on: {error}");
        Violation::new(ErrorCode::SpecDescriptorInvalid, "$.vsock.socket", message)
    })
}

fn open_interface(spec: &InterfaceSpec, field: &str) -> Result<InterfaceFiles, Violation> {
    if let Some(user) = &spec.user {
        return start_network(user, spec.mtu, &format!("{field}.user")).map(InterfaceFiles::User);
    }
    let tap = format!("{field}.tap");
    let Some(TapSource::Name(name)) = &spec.tap else { return Err(not_a_path(&tap)) };
    let taps =
        flotilla_net::tap::open_descriptors(name, spec.queues).map_err(|error| tap_fault(&error, &tap))?;
    let vhosts = match spec.backend {
        InterfaceBackend::Tap => Vec::new(),
        InterfaceBackend::Vhost => {
            let opened = VhostNet::open_descriptors(spec.queues);
            opened.map_err(|error| vhost_fault(&error, &format!("{field}.backend")))?
        }
    };
    Ok(InterfaceFiles::Tap { taps, vhosts })
}

fn start_network(spec: &UserNetworkSpec, mtu: Option<u16>, field: &str) -> Result<OwnedFd, Violation> {
    if spec.descriptor.is_some() {
        return Err(not_a_path(&format!("{field}.descriptor")));
    }
    let forwards: Vec<_> = spec.forwards.iter().map(forward).collect();
    passt::start(&forwards, mtu).map_err(|error| passt_fault(&error, field))
}

fn forward(spec: &ForwardSpec) -> Forward {
    let protocol = match spec.protocol {
        ForwardProtocol::Tcp => Protocol::Tcp,
        ForwardProtocol::Udp => Protocol::Udp,
    };
    let ForwardSpec { host_address, host_port, guest_port, .. } = *spec;
    Forward { protocol, host_address, host_port, guest_port }
}

fn start_share(spec: &ShareSpec, folders: &Folders, field: &str) -> Result<OwnedFd, Violation> {
    let path = path_of(&spec.source, field)?;
    let folder = flotilla_share::folder::open(path, folders).map_err(|error| share_fault(&error, field))?;
    flotilla_share::virtiofsd::start(&folder, spec.read_only).map_err(|error| share_fault(&error, field))
}

fn share_fault(error: &ShareError, field: &str) -> Violation {
    Violation::new(known_code(error.code()), field, describe(error))
}

/// What serves a shared folder at the other end of a socket.
pub fn share_backend(socket: OwnedFd, field: &str) -> Result<Arc<dyn ShareBackend>, Violation> {
    let front = VhostUser::new(socket).map_err(|error| share_fault(&error, field))?;
    Ok(Arc::new(front))
}

fn passt_fault(error: &PasstError, field: &str) -> Violation {
    let at = match error {
        PasstError::Busy { index, .. } | PasstError::Denied { index, .. } => {
            format!("{field}.forwards[{index}].hostPort")
        }
        PasstError::Address { index, .. } => format!("{field}.forwards[{index}].hostAddress"),
        PasstError::Missing | PasstError::Failed { .. } | PasstError::Host { .. } => field.to_owned(),
    };
    Violation::new(known_code(error.code()), at, describe(error))
}

fn open_kvm(path: &Path) -> Result<OwnedFd, Violation> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map(OwnedFd::from).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => ErrorCode::KvmDenied,
            _ => ErrorCode::KvmMissing,
        };
        Violation::new(code, "$", format!("Cannot open {}: {error}", path.display()))
    })
}

fn open(options: &mut OpenOptions, path: &Path, field: &str) -> Result<File, Violation> {
    options.custom_flags(NONBLOCK).open(path).map_err(|error| io_fault(&error, path, field))
}

fn io_fault(error: &io::Error, path: &Path, field: &str) -> Violation {
    let code = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorCode::FileMissing,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorCode::FileDenied,
        io::ErrorKind::IsADirectory => return not_regular(path, field),
        io::ErrorKind::StorageFull => ErrorCode::HostNoSpace,
        _ => ErrorCode::Io,
    };
    Violation::new(code, field, format!("Cannot open {}: {error}", path.display()))
}

fn not_regular(path: &Path, field: &str) -> Violation {
    let message = format!("{} is not a file of a kind that can be used here", path.display());
    Violation::new(ErrorCode::FileNotRegular, field, message)
}

fn block_fault(error: &BlockError, path: &Path, field: &str) -> Violation {
    let code = known_code(error.code());
    Violation::new(code, field, format!("Cannot use {}: {}", path.display(), describe(error)))
}

pub(crate) fn tap_fault(error: &TapError, field: &str) -> Violation {
    Violation::new(known_code(error.code()), field, describe(error))
}

fn vhost_fault(error: &VhostError, field: &str) -> Violation {
    Violation::new(known_code(error.code()), field, describe(error))
}

/// The code with this text, or the general one.
fn known_code(text: &str) -> ErrorCode {
    ErrorCode::ALL.iter().copied().find(|code| code.text() == text).unwrap_or(ErrorCode::Io)
}

/// A disk of open files, which also says what is wrong with passed ones.
pub fn disk_backend(
    spec: &DiskSpec,
    file: File,
    backing: Vec<File>,
    field: &str,
) -> Result<Arc<dyn BlockBackend>, Violation> {
    let read_only = spec.read_only;
    let engine = match spec.engine {
        DiskEngine::Auto => EngineChoice::Automatic,
        DiskEngine::IoUring => EngineChoice::IoUring,
        DiskEngine::Direct => EngineChoice::Direct,
    };
    let direct = spec.cache == DiskCache::None;
    let fault = |code: &str, error: &dyn std::error::Error, part: &str| {
        Violation::new(known_code(code), format!("{field}.{part}"), describe(error))
    };
    match spec.format {
        DiskFormat::Raw => {
            let disk = RawFile::open_descriptor(file, RawOptions { read_only, engine, direct });
            Ok(Arc::new(disk.map_err(|error| fault(error.code(), &error, "source"))?))
        }
        DiskFormat::Qcow2 if direct => {
            // Its tables are read and written through the page cache, and the two do not mix well on one file.
            let message = "Direct I/O is for raw disks";
            Err(Violation::new(ErrorCode::DiskCacheUnsupported, format!("{field}.cache"), message))
        }
        DiskFormat::Qcow2 => {
            let backing: Vec<_> = spec.backing.iter().zip(backing).map(backing_file).collect();
            let disk = Qcow2::open(file, &backing, Qcow2Options { read_only, engine });
            let part = |error: &Qcow2Error| match error {
                Qcow2Error::Backing { .. } => "backing",
                _ => "source",
            };
            Ok(Arc::new(disk.map_err(|error| fault(error.code(), &error, part(&error)))?))
        }
    }
}

fn backing_file((spec, file): (&BackingSpec, File)) -> BackingFile {
    let format = match spec.format {
        DiskFormat::Raw => BackingFormat::Raw,
        DiskFormat::Qcow2 => BackingFormat::Qcow2,
    };
    let recorded = match spec.recorded_name() {
        name if name == BackingSpec::ANY_NAME => RecordedName::Any,
        name => RecordedName::Is(name),
    };
    BackingFile { file: file.into(), format, recorded }
}

/// Who serves the rings of an interface in its place, if somebody does.
type Rings = Option<Arc<dyn RingBackend>>;

/// The packet back-end of open files, and who serves the rings.
pub fn interface_backend(
    files: InterfaceFiles,
    field: &str,
) -> Result<(Arc<dyn PacketBackend>, Rings), Violation> {
    let (taps, vhosts) = match files {
        InterfaceFiles::Tap { taps, vhosts } => (taps, vhosts),
        InterfaceFiles::User(socket) => {
            let net = StreamNet::from_descriptor(socket).map_err(|error| {
                Violation::new(known_code(error.code()), format!("{field}.user"), describe(&error))
            })?;
            return Ok((Arc::new(net), None));
        }
    };
    let tap = Tap::from_descriptors(taps).map_err(|error| tap_fault(&error, &format!("{field}.tap")))?;
    let tap = Arc::new(tap);
    if vhosts.is_empty() {
        return Ok((tap, None));
    }
    let vhost = VhostNet::new(vhosts, Arc::clone(&tap));
    let vhost = vhost.map_err(|error| vhost_fault(&error, &format!("{field}.backend")))?;
    Ok((tap, Some(Arc::new(vhost))))
}
