// SPDX-License-Identifier: Apache-2.0
//! The specification of a machine from a file or from flags.

use std::io::{ErrorKind, Read};
use std::path::Path;

use flotilla_control::Failure;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{BootSpec, FileSource, MachineSpec, SerialSpec};

use crate::args::{RunOptions, Terminal};

/// A specification is text of a person: more than this is another file.
const MAX_FILE: u64 = 1 << 20;

/// The specification that the command line means.
pub fn from_options(options: RunOptions) -> Result<MachineSpec, Failure> {
    if options.console == Some(Terminal::Stdio) && options.serial == Some(SerialSpec::Stdio) {
        let failure = Failure::new(
            ErrorCode::SpecInvalidValue,
            "The serial port and the console both want the terminal",
        );
        return Err(failure
            .at("$.serial")
            .with_remedy("Give --serial null or --serial file=FILE, or leave it out"));
    }
    match options.machine {
        Some(path) => from_file(&path),
        None => Ok(from_flags(options)),
    }
}

fn from_file(path: &Path) -> Result<MachineSpec, Failure> {
    let failed = |error: std::io::Error| {
        let code = match error.kind() {
            ErrorKind::NotFound => ErrorCode::FileMissing,
            ErrorKind::PermissionDenied => ErrorCode::FileDenied,
            ErrorKind::IsADirectory => ErrorCode::FileNotRegular,
            _ => ErrorCode::Io,
        };
        Failure::new(code, format!("Cannot read {}: {error}", path.display()))
    };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    let len = file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(failed)?;
    if u64::try_from(len).is_ok_and(|len| len > MAX_FILE) {
        return Err(Failure::new(
            ErrorCode::SpecMalformed,
            format!("{} is longer than 1 MiB", path.display()),
        ));
    }
    Ok(MachineSpec::from_json(text)?)
}

fn from_flags(options: RunOptions) -> MachineSpec {
    let (serial, console) = (options.serial_spec(), options.console_spec());
    let command_line = options.command_line();
    let boot = BootSpec {
        kernel: FileSource::Path(options.kernel.unwrap_or_default()),
        initrd: options.initrd.map(FileSource::Path),
        command_line,
        protocol: options.protocol.into(),
    };
    MachineSpec {
        cpus: options.cpus,
        cpu: options.cpu.into_spec(),
        memory: options.memory,
        memory_options: options.backing.into_spec(),
        balloon: options.balloon,
        numa: options.numa,
        profile: options.profile.into(),
        acpi: options.acpi.then_some(true),
        boot,
        disks: options.disk.into_iter().enumerate().map(|(index, disk)| disk.into_spec(index)).collect(),
        interfaces: options.net.into_iter().enumerate().map(|(index, net)| net.into_spec(index)).collect(),
        shares: options.share,
        serial,
        console,
        rng: !options.no_rng,
        rng_throttle: options.rng_throttle,
        throttle_groups: options.throttle,
        vsock: options.vsock,
        watchdog: options.watchdog,
        on_reboot: options.on_reboot.into(),
        on_panic: options.on_panic.into(),
        on_triple_fault: options.on_triple_fault.into(),
    }
}
