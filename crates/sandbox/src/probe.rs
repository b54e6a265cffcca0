// SPDX-License-Identifier: Apache-2.0
//! What the kernel offers to the jail, found out by asking it. Asking changes nothing, so any process may, Node included.

use std::io;
use std::ptr;

use crate::paths;

/// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
const LANDLOCK_VERSION: libc::c_uint = 1;
/// `SECCOMP_GET_ACTION_AVAIL` of linux/seccomp.h.
const SECCOMP_GET_ACTION_AVAIL: libc::c_uint = 2;

/// The version of Landlock that has all that the jail asks for.
pub const LANDLOCK_WANTED: u32 = paths::WANTED as u32;

/// The version of the kernel's Landlock. `ENOSYS`: the kernel has none, or a filter hides it. `EOPNOTSUPP`: it is
/// off since the boot.
pub fn landlock_version() -> io::Result<u32> {
    let none: *const libc::c_void = ptr::null();
    // SAFETY: with this flag the call takes a null pointer and the size 0, touches no memory and makes no ruleset.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, LANDLOCK_VERSION) };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}

/// Whether the kernel filters system calls, with the death of the process as the answer.
pub fn seccomp() -> io::Result<()> {
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    let flags: libc::c_uint = 0;
    // SAFETY: the kernel reads four bytes at the pointer, which `action` has; nothing is installed.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, flags, ptr::from_ref(&action)) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_it_offers_or_why_not() {
        assert_eq!(LANDLOCK_WANTED, 6);
        match landlock_version() {
            Ok(version) => assert!((1..100).contains(&version), "{version}"),
            Err(error) => {
                assert!(matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)), "{error}");
            }
        }
        let listed = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
        assert_eq!(seccomp().is_ok(), listed.contains("kill_process"), "{listed}");
    }
}
