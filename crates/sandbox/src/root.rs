// SPDX-License-Identifier: Apache-2.0
//! An empty, read-only file system in place of the host's.

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, chroot, pivot_root};

use crate::{Outcome, SandboxError};

/// Where the new root is mounted for a moment: the first of these that exists. What was there stays beneath.
const PLACES: [&str; 5] = ["/tmp", "/run", "/var", "/proc", "/dev"];

const NOTHING: Option<&str> = None;

/// Replaces the root. Needs a mount namespace of its own.
pub(crate) fn empty() -> Result<Outcome, SandboxError> {
    // Else the host would see our mounts.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NOTHING, "/", NOTHING, private, NOTHING).map_err(SandboxError::host("make mounts private"))?;
    let Some(place) = PLACES.into_iter().find(|place| std::path::Path::new(place).is_dir()) else {
        return Ok(Outcome::Skipped("no directory to mount an empty root on".to_owned()));
    };
    let locked = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = Some("size=4k,nr_inodes=2,mode=0555");
    mount(Some("jail"), place, Some("tmpfs"), locked, options)
        .map_err(SandboxError::host("mount an empty root"))?;
    chdir(place).map_err(SandboxError::host("go to the new root"))?;
    let outcome = replace_root()?;
    chdir("/").map_err(SandboxError::host("go to the new root"))?;
    let read_only = locked | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(NOTHING, "/", NOTHING, read_only, NOTHING)
        .map_err(SandboxError::host("make the root read-only"))?;
    Ok(outcome)
}

/// Makes the working directory the root and lets go of the old one.
fn replace_root() -> Result<Outcome, SandboxError> {
    match pivot_root(".", ".") {
        Ok(()) => {
            umount2(".", MntFlags::MNT_DETACH).map_err(SandboxError::host("let go of the old root"))?;
            Ok(Outcome::Applied)
        }
        // The root of an initramfs cannot be pivoted away, only covered.
        Err(Errno::EINVAL) => {
            mount(Some("."), "/", NOTHING, MsFlags::MS_MOVE, NOTHING)
                .map_err(SandboxError::host("cover the old root"))?;
            chroot(".").map_err(SandboxError::host("enter the new root"))?;
            Ok(Outcome::Partial("the old root is covered, not gone".to_owned()))
        }
        Err(error) => Err(SandboxError::host("replace the root")(error)),
    }
}
