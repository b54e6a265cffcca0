// SPDX-License-Identifier: Apache-2.0
//! The host's end of a socket device.
//!
//! A machine that opened its socket by path also reaches out: a guest's connection to port P goes to whoever listens at
//! `<path>_P`, as with Firecracker. A worker does not. It could not without a hole in its jail: a descriptor of a directory is
//! a way out of the empty root for whoever has taken the worker over (`fchdir`, then `connect` to `../../..`), no filter
//! sees which path a `connect` names, and a helper that connects for it would have to outlive its client as the worker
//! does. So a program that serves the guests of workers comes to the listening socket and waits there (`ACCEPT`).

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use flotilla_device_model::vsock::VsockHost;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

/// A listening socket, and where it lies if it was made here.
#[derive(Debug)]
pub struct HostSockets {
    listener: OwnedFd,
    /// Removed with this.
    path: Option<PathBuf>,
}

impl HostSockets {
    /// Listens at `path`, for this user only. What a machine that is gone left there is replaced; `AddrInUse` when
    /// somebody listens there.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_over(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        let sockets = Self { listener: listener.into(), path: Some(path.to_owned()) };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Self::prepare(sockets)
    }

    /// Takes over a listening stream socket.
    pub fn passed(listener: OwnedFd) -> io::Result<Self> {
        let listens =
            sockopt::socket_acceptconn(&listener)? && sockopt::socket_type(&listener)? == SocketType::STREAM;
        if !listens {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no listening stream socket"));
        }
        Self::prepare(Self { listener, path: None })
    }

    /// The device's thread must never wait for one program while others speak.
    fn prepare(sockets: Self) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&sockets.listener, true)?;
        Ok(sockets)
    }

    /// The listening socket alone, for another process. Its path stays.
    pub fn into_descriptor(mut self) -> io::Result<OwnedFd> {
        self.path = None;
        self.listener.try_clone()
    }
}

/// Whether nobody listens at a socket any more.
fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl VsockHost for HostSockets {
    fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn connect(&self, port: u32) -> io::Result<OwnedFd> {
        let Some(path) = &self.path else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        let mut name = path.clone().into_os_string();
        name.push(format!("_{port}"));
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Does not wait: a server whose queue is full refuses.
        rustix::net::connect(&socket, &SocketAddrUnix::new(PathBuf::from(name))?)?;
        Ok(socket)
    }
}

impl Drop for HostSockets {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Whoever removed it before us has done the work.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn listens_reaches_out_and_leaves_nothing() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("v");
        let sockets = HostSockets::listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        assert_eq!(HostSockets::listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(sockets.connect(52).unwrap_err().kind(), io::ErrorKind::NotFound);
        let _server = UnixListener::bind(directory.path().join("v_52")).unwrap();
        sockets.connect(52).unwrap();
        drop(sockets);
        assert!(!path.exists());
    }

    #[test]
    fn replaces_a_socket_that_nobody_listens_at_and_nothing_else() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("v");
        drop(UnixListener::bind(&path).unwrap());
        drop(HostSockets::listen(&path).unwrap());
        fs::write(&path, "precious").unwrap();
        HostSockets::listen(&path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_passed_socket_reaches_nothing() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("v");
        let descriptor = HostSockets::listen(&path).unwrap().into_descriptor().unwrap();
        assert!(path.exists(), "it serves another process now");
        let _server = UnixListener::bind(directory.path().join("v_52")).unwrap();
        let sockets = HostSockets::passed(descriptor).unwrap();
        assert!(sockets.connect(52).is_err());
        let (one, _other) = UnixStream::pair().unwrap();
        HostSockets::passed(one.into()).unwrap_err();
    }
}
