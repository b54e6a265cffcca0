// SPDX-License-Identifier: Apache-2.0
//! What a process does between fork and exec, so that the program in its place sees one folder, perhaps read-only. Each
//! unsafe block of the crate that calls the kernel is here.
//!
//! Nothing here takes memory or locks: another thread of the process that was copied may have held any.

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

/// Where the program finds its folder, in a mount namespace of its own. Every host has this directory.
pub(crate) const PLACE: &CStr = c"/tmp";

const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC.cast_unsigned();
const AT_RECURSIVE: libc::c_uint = 0x8000;
const AT_EMPTY_PATH: libc::c_uint = libc::AT_EMPTY_PATH.cast_unsigned();
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;

const READ_ONLY: u64 = 1;
const NO_SET_USER_ID: u64 = 2;
const NO_DEVICES: u64 = 4;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// What the process needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jail {
    /// The listening socket.
    pub(crate) socket: RawFd,
    /// The folder.
    pub(crate) folder: RawFd,
    /// Whether nothing in it can be written.
    pub(crate) read_only: bool,
}

impl Jail {
    /// Goes into the jail, as a child of nobody.
    pub(crate) fn enter(self) -> io::Result<()> {
        detach()?;
        // SAFETY: F_SETFD takes a plain number.
        checked(unsafe { libc::fcntl(self.socket, libc::F_SETFD, 0) }.into())?;
        let tree = self.copy_of_folder()?;
        // SAFETY: the call takes a plain number, and this process has one thread.
        checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
        let (nothing, top) = (std::ptr::null(), c"/".as_ptr());
        let flags = libc::MS_REC | libc::MS_SLAVE;
        // SAFETY: the path is a C string; the other pointers may be null with these flags.
        checked(unsafe { libc::mount(nothing, top, nothing, flags, std::ptr::null()) }.into())?;
        // SAFETY: both paths are C strings.
        checked(unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                tree,
                c"".as_ptr(),
                libc::AT_FDCWD,
                PLACE.as_ptr(),
                MOVE_MOUNT_F_EMPTY_PATH,
            )
        })?;
        // SAFETY: the path is a C string.
        checked(unsafe { libc::chdir(top) }.into())
    }

    /// A mount of the folder, with what is mounted in it, that is nowhere yet. Before the mount namespace changes: the folder
    /// is in the old one.
    fn copy_of_folder(self) -> io::Result<libc::c_int> {
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
        // SAFETY: the path is a C string.
        let tree = unsafe { libc::syscall(libc::SYS_open_tree, self.folder, c"".as_ptr(), flags) };
        checked(tree)?;
        let read_only = if self.read_only { READ_ONLY } else { 0 };
        let attributes = MountAttributes {
            set: read_only | NO_SET_USER_ID | NO_DEVICES,
            clear: 0,
            propagation: 0,
            user_namespace: 0,
        };
        // SAFETY: the path is a C string, and the attributes live through the call.
        checked(unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                tree,
                c"".as_ptr(),
                AT_EMPTY_PATH | AT_RECURSIVE,
                &raw const attributes,
                size_of::<MountAttributes>(),
            )
        })?;
        libc::c_int::try_from(tree).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

/// Whoever starts the program does not wait for it, and signals to its terminal are not for it.
fn detach() -> io::Result<()> {
    // SAFETY: the process has one thread and goes on to exec, or ends at once.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        // SAFETY: the call ends the process without running anything of it.
        _ => unsafe { libc::_exit(0) },
    }
    // SAFETY: the call takes nothing.
    checked(unsafe { libc::setsid() }.into())
}

fn checked(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
