// SPDX-License-Identifier: Apache-2.0
//! Closes what nobody asked to keep: a descriptor leaked by the parent may lead out of the jail.

use std::os::fd::RawFd;

use crate::{Outcome, SandboxError};

/// The first descriptor that is not standard input, output or error.
const FIRST: u32 = 3;

pub(crate) fn close_all_but(keep: &[RawFd]) -> Result<Outcome, SandboxError> {
    for (first, last) in gaps(keep) {
        // SAFETY: takes no memory. That nobody owns these descriptors is what the caller of `enter` vouches for.
        let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if answer != 0 {
            let source = std::io::Error::last_os_error();
            return Err(SandboxError::Host { step: "close foreign descriptors (needs Linux 5.9)", source });
        }
    }
    Ok(Outcome::Applied)
}

/// The ranges of descriptors between those to keep, both ends included.
fn gaps(keep: &[RawFd]) -> Vec<(u32, u32)> {
    let mut kept: Vec<u32> = keep.iter().filter_map(|&fd| u32::try_from(fd).ok()).collect();
    kept.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = FIRST;
    for fd in kept {
        if fd > next {
            gaps.push((next, fd - 1));
        }
        next = next.max(fd + 1);
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_just_what_is_kept() {
        assert_eq!(gaps(&[]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[0, 2, 5, 4, 9]), [(3, 3), (6, 8), (10, u32::MAX)]);
        assert_eq!(gaps(&[3, 3, -1]), [(4, u32::MAX)]);
        assert_eq!(gaps(&[i32::MAX]), [(3, 0x7fff_fffe), (0x8000_0000, u32::MAX)]);
    }
}
