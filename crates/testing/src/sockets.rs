// SPDX-License-Identifier: Apache-2.0
//! A host for a vsock device, in memory.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flotilla_device_model::vsock::VsockHost;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Listens, and serves some ports.
pub struct FakeSocketHost {
    listener: UnixListener,
    address: SocketAddr,
    ports: Vec<u32>,
    reached: Mutex<VecDeque<UnixStream>>,
}

impl FakeSocketHost {
    /// A host on which programs serve these ports.
    pub fn new(ports: &[u32]) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("flotilla-fake-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, address, ports: ports.to_vec(), reached: Mutex::default() }
    }

    /// A host program that connects.
    pub fn visit(&self) -> UnixStream {
        let stream = UnixStream::connect_addr(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// The stream of the program that the guest has reached.
    pub fn take_reached(&self) -> Option<UnixStream> {
        self.reached.lock().unwrap().pop_front()
    }
}

impl VsockHost for FakeSocketHost {
    fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn connect(&self, port: u32) -> io::Result<OwnedFd> {
        if !self.ports.contains(&port) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_read_timeout(Some(Duration::from_secs(5)))?;
        self.reached.lock().unwrap().push_back(far);
        Ok(near.into())
    }
}
