// SPDX-License-Identifier: Apache-2.0
//! The seam between a vsock device and the host's sockets.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Where the connections of a guest begin and end on the host. Used from one thread, must not block.
pub trait VsockHost: Send + Sync {
    /// The listening stream socket that programs of the host connect to. It does not block.
    fn listener(&self) -> BorrowedFd<'_>;

    /// A connected stream socket, which does not block, to whatever serves `port` on the host. The guest's connection is
    /// refused after any error.
    fn connect(&self, port: u32) -> io::Result<OwnedFd>;
}
