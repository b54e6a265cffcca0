// SPDX-License-Identifier: Apache-2.0
//! Why a machine could not be built or did not do what it was asked.

use std::io;

use flotilla_boot::BootError;
use flotilla_device_model::state::StateError;
use flotilla_devices::virtio::balloon::device::TargetError;
use flotilla_hypervisor::HypervisorError;
use flotilla_memory::MemoryError;
use flotilla_spec::Violation;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::MachineState;
use thiserror::Error;

use crate::state::Verb;

/// Why a machine did not do what it was asked.
#[derive(Debug, Error)]
pub enum MachineError {
    /// Its state does not allow it.
    #[error("Cannot {} a machine that is {}", verb.text(), state.text())]
    State {
        /// What was asked.
        verb: Verb,
        /// The state it is in.
        state: MachineState,
    },
    /// Only ACPI tells a guest of a power button.
    #[error("The machine has no power button, because it has no ACPI")]
    NoPowerButton,
    /// It has no balloon.
    #[error("The machine has no balloon")]
    NoBalloon,
    /// Its guest does not say what nothing in it uses.
    #[error("The balloon of the machine, or the driver of its guest, does no free page hinting")]
    NoHinting,
    /// Its guest does not run.
    #[error("The guest does not run, so it cannot answer: resume the machine")]
    GuestStopped,
    /// The balloon cannot be asked for that.
    #[error("Cannot set the balloon")]
    BalloonTarget(#[source] TargetError),
    /// The kernel cannot be put into guest memory.
    #[error("Cannot load the kernel")]
    Boot(#[source] BootError),
    /// KVM refused.
    #[error("Cannot {step}")]
    Hypervisor {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: HypervisorError,
    },
    /// A vCPU thread has ended.
    #[error("vCPU {cpu} has ended: the machine cannot go on")]
    VcpuGone {
        /// Number of the vCPU.
        cpu: u32,
    },
    /// A vCPU did not stop in time: a device keeps it.
    #[error("vCPU {cpu} hangs in a device and cannot be stopped now")]
    VcpuStuck {
        /// Number of the vCPU.
        cpu: u32,
    },
    /// The machine did not answer in time: a device keeps the thread that drives it.
    #[error("The machine does not answer: a device hangs. The request is carried out once it goes on")]
    NoAnswer,
    /// The state of a device could not be saved or taken over.
    #[error("Cannot save or restore device {device}")]
    Device {
        /// Name of the device.
        device: String,
        /// Why.
        #[source]
        source: StateError,
    },
    /// It has no such disk.
    #[error("The machine has no disk {disk:?}")]
    NoDisk {
        /// The id asked for.
        disk: String,
    },
    /// The size of a disk cannot be followed.
    #[error("Cannot use the new size of disk {disk}")]
    DiskSize {
        /// The id of the disk.
        disk: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A disk cannot be made larger.
    #[error("Cannot make disk {disk} {size} bytes large")]
    DiskGrowth {
        /// The id of the disk.
        disk: String,
        /// The size asked for.
        size: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has ended.
    #[error("The machine has ended")]
    Ended,
    /// The saved state belongs to another machine.
    #[error("Saved state does not fit this machine: {reason}")]
    Snapshot {
        /// What differs, and what to do.
        reason: &'static str,
    },
    /// The machine has no such interface.
    #[error("Machine has no interface {id:?}")]
    NoInterface {
        /// What was asked for, cut after 64 characters.
        id: String,
    },
    /// The guest cannot announce itself there.
    #[error(
        "The guest cannot announce itself through interface {id}: it has no driver that does, or the cable is out"
    )]
    NoAnnouncement {
        /// The interface.
        id: String,
    },
    /// Nothing has these limits.
    #[error("Nothing of the machine has limits of its own by this name")]
    NoThrottle,
    /// The machine ended while the request waited, by a fault of our own.
    #[error("The thread that drives the machine has ended")]
    DriverGone,
}

impl MachineError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::State { .. }
            | Self::Ended
            | Self::GuestStopped
            | Self::Device { source: StateError::NotNow { .. }, .. } => ErrorCode::MachineState,
            Self::NoDisk { .. } => ErrorCode::DiskUnknown,
            Self::DiskSize { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                ErrorCode::DiskShrunk
            }
            Self::DiskGrowth { source, .. } => growth_code(source),
            Self::NoPowerButton => ErrorCode::MachineNoPowerButton,
            Self::NoBalloon => ErrorCode::MachineNoBalloon,
            Self::NoHinting => ErrorCode::MachineNoHinting,
            Self::BalloonTarget(_) => ErrorCode::SpecBalloonInvalid,
            Self::NoInterface { .. } => ErrorCode::InterfaceUnknown,
            Self::NoAnnouncement { .. } => ErrorCode::InterfaceNoAnnouncement,
            Self::NoThrottle => ErrorCode::ThrottleUnknown,
            Self::Boot(error) => boot_code(error),
            Self::VcpuStuck { .. } | Self::NoAnswer => ErrorCode::MachineStuck,
            Self::Hypervisor { .. } | Self::DiskSize { .. } => ErrorCode::Io,
            Self::Device { .. } | Self::Snapshot { .. } => ErrorCode::SpecInvalidValue,
            Self::VcpuGone { .. } | Self::DriverGone => ErrorCode::CorePanic,
        }
    }
}

fn growth_code(source: &io::Error) -> ErrorCode {
    match source.kind() {
        io::ErrorKind::InvalidInput => ErrorCode::DiskSize,
        // The length of its file or device is its size.
        io::ErrorKind::Unsupported => ErrorCode::DiskFormat,
        io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge | io::ErrorKind::QuotaExceeded => {
            ErrorCode::HostNoSpace
        }
        io::ErrorKind::InvalidData => ErrorCode::DiskCorrupt,
        io::ErrorKind::ReadOnlyFilesystem => ErrorCode::DiskLocked,
        _ => ErrorCode::Io,
    }
}

/// Why a machine could not be built. Nothing is left behind.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Something the specification names cannot be used.
    #[error("{0}")]
    Resource(Violation),
    /// KVM refused.
    #[error("Cannot {step}")]
    Hypervisor {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: HypervisorError,
    },
    /// The kernel cannot be booted.
    #[error("Cannot boot the kernel")]
    Boot(#[source] BootError),
    /// Guest memory could not be had.
    #[error("Cannot allocate guest memory")]
    Memory(#[source] MemoryError),
    /// A thread or event could not be made.
    #[error("Cannot {step}")]
    Host {
        /// What was tried.
        step: &'static str,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// The parts do not fit together; a fault of ours.
    #[error("Cannot place {what} in the machine: {reason}")]
    Layout {
        /// The part.
        what: String,
        /// Why.
        reason: String,
    },
}

impl BuildError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Resource(violation) => violation.code,
            Self::Hypervisor { source, .. } => hypervisor_code(source),
            Self::Boot(error) => boot_code(error),
            Self::Memory(error) => memory_code(error),
            Self::Host { .. } => ErrorCode::Io,
            Self::Layout { .. } => ErrorCode::CorePanic,
        }
    }

    /// The JSON path of the value at fault, if one is.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Resource(violation) => Some(&violation.path),
            Self::Boot(BootError::Read { file: flotilla_boot::FileKind::Initrd, .. }) => {
                Some("$.boot.initrd")
            }
            Self::Boot(BootError::CommandLine { .. }) => Some("$.boot.commandLine"),
            Self::Boot(BootError::DoesNotFit { .. }) => Some("$.memory"),
            Self::Memory(error) => Some(memory_field(error)),
            Self::Boot(_) => Some("$.boot.kernel"),
            Self::Hypervisor { .. } | Self::Host { .. } | Self::Layout { .. } => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Resource(violation) => &violation.remedy,
            Self::Hypervisor { .. }
            | Self::Boot(_)
            | Self::Memory(_)
            | Self::Host { .. }
            | Self::Layout { .. } => self.code().remedy(),
        }
    }

    /// The whole chain as one text.
    pub fn describe(&self) -> String {
        describe(self)
    }
}

/// An error and its causes as one text.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn hypervisor_code(error: &HypervisorError) -> ErrorCode {
    match error {
        HypervisorError::Open(_) => ErrorCode::KvmMissing,
        HypervisorError::Version { .. } | HypervisorError::Missing { .. } => ErrorCode::KvmUnsupported,
        HypervisorError::Refused { .. }
        | HypervisorError::Memory { .. }
        | HypervisorError::Msr { .. }
        | HypervisorError::State { .. }
        | HypervisorError::Signal { .. } => ErrorCode::Io,
    }
}

fn memory_code(error: &MemoryError) -> ErrorCode {
    match error {
        MemoryError::HugePages { .. } => ErrorCode::HostNoHugepages,
        MemoryError::Lock { .. } => ErrorCode::HostMemoryLock,
        MemoryError::Mergeable { .. } => ErrorCode::HostNoPageMerging,
        MemoryError::Node { .. } => ErrorCode::HostNumaNode,
        MemoryError::Empty
        | MemoryError::Region { .. }
        | MemoryError::Order(_)
        | MemoryError::Memfd { .. }
        | MemoryError::Reserve { .. }
        | MemoryError::Prefault { .. }
        | MemoryError::Map { .. } => ErrorCode::HostNoMemory,
    }
}

fn memory_field(error: &MemoryError) -> &'static str {
    match error {
        MemoryError::HugePages { .. } => "$.memoryOptions.backing",
        MemoryError::Lock { .. } => "$.memoryOptions.lock",
        MemoryError::Mergeable { .. } => "$.memoryOptions.mergeable",
        MemoryError::Prefault { .. } => "$.memoryOptions.prefault",
        MemoryError::Node { .. } => "$.numa",
        MemoryError::Empty
        | MemoryError::Region { .. }
        | MemoryError::Order(_)
        | MemoryError::Memfd { .. }
        | MemoryError::Reserve { .. }
        | MemoryError::Map { .. } => "$.memory",
    }
}

fn boot_code(error: &BootError) -> ErrorCode {
    match error {
        BootError::Read { source, .. } => match source.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => ErrorCode::FileNotRegular,
            io::ErrorKind::UnexpectedEof => ErrorCode::KernelTruncated,
            _ => ErrorCode::Io,
        },
        BootError::UnknownFormat { .. } | BootError::Unsupported { .. } => ErrorCode::KernelUnrecognised,
        BootError::Malformed { .. } => ErrorCode::KernelTruncated,
        BootError::DoesNotFit { .. } => ErrorCode::BootTooLarge,
        BootError::CommandLine { .. } => ErrorCode::SpecCommandLineInvalid,
        BootError::Tables { .. } | BootError::Write { .. } => ErrorCode::CorePanic,
    }
}
