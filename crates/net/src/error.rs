// SPDX-License-Identifier: Apache-2.0
//! Why a tap interface, or vhost-net on it, cannot be used.

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
        "{name} is not a tap interface with a virtio-net header: \
         create one (ip tuntap add dev <name> mode tap vnet_hdr)"
    )]
    NotTap {
        /// Name of the interface, or `descriptor`.
        name: String,
    },
    /// The interface was not made for several queues.
    #[error(
        "Tap interface {name} takes one queue only: create it for several \
         (ip tuntap add dev {name} mode tap vnet_hdr multi_queue), or use one"
    )]
    OneQueue {
        /// Name of the interface.
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
            Self::NotTap { .. } | Self::OneQueue { .. } => "tap.unsuitable",
            Self::Exists { .. } => "tap.exists",
            Self::NoDriver(_) | Self::Host { .. } => "io",
        }
    }
}

/// Why vhost-net cannot be used.
#[derive(Debug, Error)]
pub enum VhostError {
    /// The host does not have it.
    #[error("Host has no /dev/vhost-net: load the module (modprobe vhost_net), or use the back-end tap")]
    Missing(#[source] io::Error),
    /// This user may not use it.
    #[error("Permission to /dev/vhost-net is denied: run as root, or give this user permission to it")]
    Denied(#[source] io::Error),
    /// It could not be opened for another reason.
    #[error("Cannot open /dev/vhost-net: see the cause")]
    Open(#[source] io::Error),
    /// Each queue needs one.
    #[error("{found} open vhost-net came along, {needed} queues need one each")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there should be.
        needed: usize,
    },
    /// It belongs to another process, or is something else.
    #[error("Descriptor is no vhost-net of this process: open /dev/vhost-net anew for each machine")]
    Owner(#[source] io::Error),
    /// It does not say what it can do.
    #[error("vhost-net does not tell its features")]
    Features(#[source] io::Error),
    /// It lacks virtio 1.0.
    #[error("vhost-net of this host is too old for virtio 1.0: use the back-end tap")]
    TooOld,
}

impl VhostError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::TooOld => "vhost.missing",
            Self::Denied(_) => "vhost.denied",
            Self::Count { .. } | Self::Owner(_) => "spec.descriptor_invalid",
            Self::Open(_) | Self::Features(_) => "io",
        }
    }
}
