// SPDX-License-Identifier: Apache-2.0
//! The socket device.

use std::sync::Arc;

use flotilla_devices::virtio::vsock::device::Vsock;
use flotilla_spec::VsockSpec;

use crate::sockets::HostSockets;

pub fn device(spec: &VsockSpec, sockets: HostSockets) -> Vsock {
    let limit = usize::try_from(spec.max_connections).unwrap_or(usize::MAX);
    Vsock::new("vsock", spec.cid, limit, Arc::new(sockets))
}
