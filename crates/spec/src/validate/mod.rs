// SPDX-License-Identifier: Apache-2.0
//! Total validation: every fault of a specification, not only the first. A file for each part of a machine.

mod balloon;
mod boot;
mod console;
mod cpu;
mod disks;
mod interfaces;
mod memory;
mod profile;
mod resources;
mod shares;
mod throttles;
mod vsock;

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Deref;
use std::path::Path;

use crate::code::ErrorCode;
use crate::{FileSource, MachineSpec, SerialSpec, Violation, id};

pub use balloon::MAX_STATISTICS_INTERVAL;
pub use boot::MAX_COMMAND_LINE;
pub use console::MAX_CONSOLE_PORTS;
pub use cpu::{LAST_HOST_NUMBER, MAX_FEATURES};
pub use disks::{MAX_BACKING, MAX_BACKING_IN_ALL, MAX_DISK_QUEUES, MAX_DISKS, MAX_SERIAL};
pub use interfaces::{MAX_FORWARDS, MAX_INTERFACE_QUEUES, MAX_INTERFACES};
pub use memory::MAX_NUMA_NODES;
pub use resources::{MAX_CPUS, MEMORY_ALIGNMENT, MIN_MEMORY};
pub use shares::MAX_SHARES;
pub use throttles::{MAX_RATE, MAX_THROTTLE_GROUPS};
pub use vsock::MAX_VSOCK_CONNECTIONS;

/// The longest path in bytes, without the NUL that ends it.
pub(crate) const MAX_PATH: usize = 4095;

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
        profile::check_profile(&mut faults, &self);
        resources::check_cpus(&mut faults, self.cpus, limits);
        cpu::check_cpu(&mut faults, self.cpus, &self.cpu);
        let most = if self.memory_options.overcommit { u64::MAX } else { limits.memory };
        resources::check_memory(&mut faults, self.memory.bytes(), most);
        memory::check_memory_options(&mut faults, &self);
        if let Some(balloon) = &self.balloon {
            balloon::check_balloon(&mut faults, &self, balloon);
        }
        memory::check_numa(&mut faults, &self);
        boot::check_boot(&mut faults, &self.boot);
        disks::check_disks(&mut faults, &self.disks);
        interfaces::check_interfaces(&mut faults, &self.interfaces);
        shares::check_shares(&mut faults, &self);
        throttles::check_throttles(&mut faults, &self);
        if let SerialSpec::File(source) = &self.serial {
            check_file(&mut faults, "$.serial.file", source);
        }
        if let Some(console) = &self.console {
            console::check_console(&mut faults, console);
        }
        if let Some(vsock) = &self.vsock {
            vsock::check_vsock(&mut faults, vsock);
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
