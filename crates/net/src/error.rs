// SPDX-License-Identifier: Apache-2.0
//! Why a tap interface, vhost-net on it, or passt cannot be used.

use std::io;
use std::net::SocketAddr;

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

/// Why a descriptor cannot be the network of an interface.
#[derive(Debug, Error)]
pub enum StreamError {
    /// It is something else.
    #[error("Descriptor is no UNIX stream socket: pass one end of a pair whose other end the network has")]
    NotStream,
    /// It cannot be made nonblocking.
    #[error("Cannot make the socket of an interface nonblocking")]
    Nonblocking(#[source] io::Error),
}

impl StreamError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotStream => "spec.descriptor_invalid",
            Self::Nonblocking(_) => "io",
        }
    }
}

/// Why passt cannot be had.
#[derive(Debug, Error)]
pub enum PasstError {
    /// The program is not installed.
    #[error("Program passt is not there: install the package passt")]
    Missing,
    /// Another process has a port.
    #[error("Port of forward {at} is in use: stop what listens there, or use another port")]
    Busy {
        /// Position among the forwards.
        index: usize,
        /// Address and port.
        at: SocketAddr,
    },
    /// This user may not have a port.
    #[error(
        "Permission to the port of forward {at} is denied: use one of 1024 or more, run as root, or allow lower ones \
         (sysctl net.ipv4.ip_unprivileged_port_start)"
    )]
    Denied {
        /// Position among the forwards.
        index: usize,
        /// Address and port.
        at: SocketAddr,
    },
    /// The host has no such address.
    #[error("Host has no address {at} to forward from: use one that it has")]
    Address {
        /// Position among the forwards.
        index: usize,
        /// Address and port.
        at: SocketAddr,
    },
    /// It ended by itself.
    #[error("Program passt does not start: {said}")]
    Failed {
        /// What it said.
        said: String,
    },
    /// The host refused a step.
    #[error("Cannot {step} passt: see the cause")]
    Host {
        /// What was refused.
        step: &'static str,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
}

impl PasstError {
    pub(crate) fn port(index: usize, at: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Busy { index, at },
            io::ErrorKind::PermissionDenied => Self::Denied { index, at },
            io::ErrorKind::AddrNotAvailable => Self::Address { index, at },
            _ => Self::Host { step: "try a port for", source },
        }
    }

    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "passt.missing",
            Self::Busy { .. } => "forward.port_busy",
            Self::Denied { .. } => "forward.port_denied",
            Self::Address { .. } => "forward.address_unknown",
            Self::Failed { .. } => "passt.failed",
            Self::Host { .. } => "io",
        }
    }

    /// The forward at fault, by its position.
    pub fn forward(&self) -> Option<usize> {
        match self {
            Self::Busy { index, .. } | Self::Denied { index, .. } | Self::Address { index, .. } => {
                Some(*index)
            }
            Self::Missing | Self::Failed { .. } | Self::Host { .. } => None,
        }
    }
}
