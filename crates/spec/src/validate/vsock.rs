// SPDX-License-Identifier: Apache-2.0
//! The socket device.

use super::{Faults, check_file};
use crate::code::ErrorCode;
use crate::machine::vsock::{FIRST_CID, LAST_CID, MAX_SOCKET_PATH};
use crate::{FileSource, VsockSpec};

/// The most connections: each is a descriptor, of which a worker may have 4096.
pub const MAX_VSOCK_CONNECTIONS: u32 = 3000;

pub(super) fn check_vsock(faults: &mut Faults, vsock: &VsockSpec) {
    check_file(faults, "$.vsock.socket", &vsock.socket);
    if let FileSource::Path(path) = &vsock.socket
        && path.as_os_str().len() > MAX_SOCKET_PATH
    {
        let message = format!("Path of a socket is longer than {MAX_SOCKET_PATH} bytes");
        faults.add(ErrorCode::SpecPathInvalid, "$.vsock.socket.path", message);
    }
    if !(FIRST_CID..=LAST_CID).contains(&vsock.cid) {
        let message = format!("Context id {} is not one a guest can have", vsock.cid);
        faults.add(ErrorCode::SpecVsockInvalid, "$.vsock.cid", message);
    }
    if !(1..=MAX_VSOCK_CONNECTIONS).contains(&vsock.max_connections) {
        let message = format!("{} connections are not 1 to {MAX_VSOCK_CONNECTIONS}", vsock.max_connections);
        faults.add(ErrorCode::SpecVsockInvalid, "$.vsock.maxConnections", message);
    }
}
