// SPDX-License-Identifier: Apache-2.0
//! Why a tap interface cannot be used.

use std::io;

use thiserror::Error;

/// Why a tap interface cannot be used.
#[derive(Debug, Error)]
pub enum TapError {
    /// The name cannot be that of an interface.
    #[error(
        "{name:?} cannot name an interface: use 1 to 15 printable ASCII characters without '/', ':', '%' or spaces"
    )]
    Name {
        /// The name, cut after 64 characters.
        name: String,
    },
    /// There is no such interface.
    #[error(
        "Tap interface {name} does not exist: create it first (ip tuntap add dev {name} mode tap vnet_hdr)"
    )]
    Missing {
        /// Name of the interface.
        name: String,
    },
    /// Another process has it open.
    #[error("Tap interface {name} is in use: stop the machine that uses it, or use another one")]
    Busy {
        /// Name of the interface.
        name: String,
    },
    /// This user may not use it.
    #[error(
        "Permission to tap interface {name} is denied: \
         run as root, or create it for this user (ip tuntap add dev {name} mode tap vnet_hdr user <name>)"
    )]
    Denied {
        /// Name of the interface.
        name: String,
    },
    /// The interface, or the descriptor, is something else, or has other settings.
    #[error(
        "{name} is not a tap interface with a virtio-net header and a single queue: \
         create one (ip tuntap add dev <name> mode tap vnet_hdr)"
    )]
    NotTap {
        /// Name of the interface, or `descriptor`.
        name: String,
    },
    /// An interface of that name exists already.
    #[error("Interface {name} exists already: use another name, or delete it first")]
    Exists {
        /// Name of the interface.
        name: String,
    },
    /// The host has no tap driver.
    #[error("Host has no /dev/net/tun: load the driver first (modprobe tun)")]
    NoDriver(#[source] io::Error),
    /// The host refused a step.
    #[error("Cannot {step} tap interface {name}: see the cause")]
    Host {
        /// What was refused.
        step: &'static str,
        /// Name of the interface, or `descriptor`.
        name: String,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
}

impl TapError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "spec.tap_invalid",
            Self::Missing { .. } => "tap.missing",
            Self::Busy { .. } => "tap.busy",
            Self::Denied { .. } => "tap.denied",
            Self::NotTap { .. } => "tap.unsuitable",
            Self::Exists { .. } => "tap.exists",
            Self::NoDriver(_) | Self::Host { .. } => "io",
        }
    }
}
