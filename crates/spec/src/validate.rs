// SPDX-License-Identifier: Apache-2.0
//! Total validation: every fault of a specification, not only the first.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Deref;
use std::path::Path;

use crate::code::ErrorCode;
use crate::{
    BootSpec, DiskSpec, FileSource, InterfaceSpec, MachineSpec, SerialSpec, TapSource, Violation, id,
};

/// The most virtual CPUs of a machine.
pub const MAX_CPUS: u32 = 32;
/// The least guest memory in bytes.
pub const MIN_MEMORY: u64 = 16 << 20;
/// Guest memory is a multiple of this many bytes: the page size, because KVM maps whole pages.
pub const MEMORY_ALIGNMENT: u64 = 4096;
/// The longest kernel command line in bytes, without the NUL that ends it.
pub const MAX_COMMAND_LINE: usize = 4095;
/// The longest disk serial in bytes (virtio 1.2 §5.2.6, `VIRTIO_BLK_T_GET_ID`).
pub const MAX_SERIAL: usize = 20;
/// The most disks of a machine.
pub const MAX_DISKS: usize = 16;
/// The most network interfaces of a machine.
pub const MAX_INTERFACES: usize = 8;
const MAX_PATH: usize = 4095;
/// IFNAMSIZ without the NUL.
const MAX_LINK_NAME: usize = 15;

/// What the host can give a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// The most guest memory in bytes.
    pub memory: u64,
    /// The most virtual CPUs; a machine has at most [`MAX_CPUS`] anyway.
    pub cpus: u32,
}

impl HostLimits {
    /// Only the limits that hold on every host, for a check away from the host that will run the machine.
    pub const ANY: Self = Self { memory: u64::MAX, cpus: MAX_CPUS };
}

/// A specification that passed [`MachineSpec::validate`]. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSpec(MachineSpec);

impl ValidSpec {
    /// Gives the plain specification back.
    pub fn into_inner(self) -> MachineSpec {
        self.0
    }
}

impl Deref for ValidSpec {
    type Target = MachineSpec;

    fn deref(&self) -> &MachineSpec {
        &self.0
    }
}

impl MachineSpec {
    /// Checks everything that can be checked without opening a file.
    ///
    /// # Errors
    /// Every violation, in the order of the fields; never an empty list.
    pub fn validate(self, limits: &HostLimits) -> Result<ValidSpec, Vec<Violation>> {
        let mut faults = Faults(Vec::new());
        check_cpus(&mut faults, self.cpus, limits);
        check_memory(&mut faults, self.memory.bytes(), limits);
        check_boot(&mut faults, &self.boot);
        check_disks(&mut faults, &self.disks);
        check_interfaces(&mut faults, &self.interfaces);
        if let SerialSpec::File(source) = &self.serial {
            check_file(&mut faults, "$.serial.file", source);
        }
        if faults.0.is_empty() { Ok(ValidSpec(self)) } else { Err(faults.0) }
    }
}

struct Faults(Vec<Violation>);

impl Faults {
    fn add(&mut self, code: ErrorCode, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation::new(code, path, message));
    }
}

fn check_cpus(faults: &mut Faults, cpus: u32, limits: &HostLimits) {
    let most = limits.cpus.min(MAX_CPUS);
    if cpus == 0 || cpus > most {
        let message = format!("{cpus} CPUs are not within 1 to {most}");
        faults.add(ErrorCode::SpecCpusOutOfRange, "$.cpus", message);
    }
}

fn check_memory(faults: &mut Faults, memory: u64, limits: &HostLimits) {
    const PATH: &str = "$.memory";
    if memory < MIN_MEMORY {
        let message = format!("{memory} bytes of memory are less than {MIN_MEMORY}");
        faults.add(ErrorCode::SpecMemoryTooSmall, PATH, message);
    }
    if memory > limits.memory {
        let message = format!("{memory} bytes of memory are more than the host's {}", limits.memory);
        faults.add(ErrorCode::SpecMemoryTooLarge, PATH, message);
    }
    if !memory.is_multiple_of(MEMORY_ALIGNMENT) {
        let message = format!("{memory} bytes of memory are not a multiple of {MEMORY_ALIGNMENT}");
        faults.add(ErrorCode::SpecMemoryUnaligned, PATH, message);
    }
}

fn check_boot(faults: &mut Faults, boot: &BootSpec) {
    check_file(faults, "$.boot.kernel", &boot.kernel);
    if let Some(initrd) = &boot.initrd {
        check_file(faults, "$.boot.initrd", initrd);
    }
    let line = &boot.command_line;
    if line.len() > MAX_COMMAND_LINE {
        let message = format!("Command line of {} bytes is longer than {MAX_COMMAND_LINE}", line.len());
        faults.add(ErrorCode::SpecCommandLineInvalid, "$.boot.commandLine", message);
    }
    if line.contains('\0') {
        faults.add(ErrorCode::SpecCommandLineInvalid, "$.boot.commandLine", "Command line holds a NUL");
    }
}

fn check_disks(faults: &mut Faults, disks: &[DiskSpec]) {
    if disks.len() > MAX_DISKS {
        let message = format!("{} disks are more than {MAX_DISKS}", disks.len());
        faults.add(ErrorCode::SpecTooManyDisks, "$.disks", message);
    }
    let mut ids = HashSet::new();
    let mut serials = HashSet::new();
    for (index, disk) in disks.iter().enumerate() {
        let path = format!("$.disks[{index}]");
        check_id(faults, &path, disk.id.as_str(), &mut ids);
        check_file(faults, &format!("{path}.source"), &disk.source);
        if let Some(serial) = &disk.serial {
            check_serial(faults, &format!("{path}.serial"), serial, &mut serials);
        }
    }
}

fn check_serial<'a>(faults: &mut Faults, path: &str, serial: &'a str, seen: &mut HashSet<&'a str>) {
    let length_fits = (1..=MAX_SERIAL).contains(&serial.len());
    if !length_fits || !serial.bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.add(ErrorCode::SpecSerialInvalid, path, "Serial is not 1 to 20 printable ASCII characters");
    }
    check_unique(faults, ErrorCode::SpecSerialDuplicate, path, serial, seen);
}

fn check_interfaces(faults: &mut Faults, interfaces: &[InterfaceSpec]) {
    if interfaces.len() > MAX_INTERFACES {
        let message = format!("{} interfaces are more than {MAX_INTERFACES}", interfaces.len());
        faults.add(ErrorCode::SpecTooManyInterfaces, "$.interfaces", message);
    }
    let mut ids = HashSet::new();
    let mut addresses = HashSet::new();
    let mut taps = HashSet::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let path = format!("$.interfaces[{index}]");
        check_id(faults, &path, interface.id.as_str(), &mut ids);
        check_tap(faults, &format!("{path}.tap"), &interface.tap, &mut taps);
        let Some(mac) = interface.mac else { continue };
        let path = format!("{path}.mac");
        if !mac.is_usable() {
            faults.add(ErrorCode::SpecMacInvalid, &path, format!("{mac} is zero or a group address"));
        }
        check_unique(faults, ErrorCode::SpecMacDuplicate, &path, mac, &mut addresses);
    }
}

fn check_tap<'a>(faults: &mut Faults, path: &str, tap: &'a TapSource, seen: &mut HashSet<&'a str>) {
    let TapSource::Name(name) = tap else { return };
    let path = format!("{path}.name");
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%'));
    if name.is_empty() || name.len() > MAX_LINK_NAME || !printable || matches!(name.as_str(), "." | "..") {
        faults.add(ErrorCode::SpecTapInvalid, &path, "Text is not the name of a network link");
    }
    check_unique(faults, ErrorCode::SpecTapInvalid, &path, name.as_str(), seen);
}

fn check_id<'a>(faults: &mut Faults, path: &str, text: &'a str, seen: &mut HashSet<&'a str>) {
    let path = format!("{path}.id");
    if !id::is_valid(text) {
        faults.add(ErrorCode::SpecIdInvalid, &path, "Text cannot be an id");
    }
    check_unique(faults, ErrorCode::SpecIdDuplicate, &path, text, seen);
}

fn check_unique<T: Eq + Hash>(
    faults: &mut Faults,
    code: ErrorCode,
    path: &str,
    value: T,
    seen: &mut HashSet<T>,
) {
    if !seen.insert(value) {
        faults.add(code, path, "Value occurs twice in the machine");
    }
}

fn check_file(faults: &mut Faults, path: &str, source: &FileSource) {
    let FileSource::Path(file) = source else { return };
    if let Some(message) = path_fault(file) {
        faults.add(ErrorCode::SpecPathInvalid, format!("{path}.path"), message);
    }
}

fn path_fault(file: &Path) -> Option<&'static str> {
    let bytes = file.as_os_str().as_encoded_bytes();
    match bytes.len() {
        0 => Some("Path is empty"),
        length if length > MAX_PATH => Some("Path is longer than 4095 bytes"),
        _ if bytes.contains(&0) => Some("Path holds a NUL"),
        _ => None,
    }
}
