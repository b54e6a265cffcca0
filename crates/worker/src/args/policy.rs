// SPDX-License-Identifier: Apache-2.0
//! Flags that choose one of a few words.

use clap::ValueEnum;
use flotilla_spec::{BootProtocol, CrashPolicy, Profile, RebootPolicy};

/// The kind of machine.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// PCI and ACPI
    Standard,
    /// Virtio devices on MMIO, the fastest start
    Micro,
}

impl From<Kind> for Profile {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Standard => Self::Standard,
            Kind::Micro => Self::Micro,
        }
    }
}

/// How the kernel is entered.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Protocol {
    /// As the file offers
    Auto,
    /// The PVH entry point of an ELF file
    Pvh,
    /// The 64-bit Linux boot protocol
    Linux,
}

/// What follows a guest reset.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OnReboot {
    /// Start the guest again
    Restart,
    /// End with status 12
    Stop,
}

/// What follows a guest crash.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum OnCrash {
    /// End with the status of the crash
    Stop,
    /// Start the guest again
    Restart,
    /// Leave the machine paused
    Pause,
}

impl From<Protocol> for BootProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Auto => Self::Auto,
            Protocol::Pvh => Self::Pvh,
            Protocol::Linux => Self::Linux,
        }
    }
}

impl From<OnReboot> for RebootPolicy {
    fn from(policy: OnReboot) -> Self {
        match policy {
            OnReboot::Restart => Self::Restart,
            OnReboot::Stop => Self::Stop,
        }
    }
}

impl From<OnCrash> for CrashPolicy {
    fn from(policy: OnCrash) -> Self {
        match policy {
            OnCrash::Stop => Self::Stop,
            OnCrash::Restart => Self::Restart,
            OnCrash::Pause => Self::Pause,
        }
    }
}
