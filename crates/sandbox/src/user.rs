// SPDX-License-Identifier: Apache-2.0
//! From root to a user who owns nothing. Open descriptors stay usable; capabilities go with the user id.

use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use crate::{Outcome, SandboxError};

pub(crate) fn become_other(user: u32, group: u32) -> Result<Outcome, SandboxError> {
    if user == 0 || group == 0 {
        return Err(SandboxError::RootUser);
    }
    if !geteuid().is_root() {
        return Ok(Outcome::Skipped("started without root, so the user stays as it is".to_owned()));
    }
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[]).map_err(SandboxError::host("give up groups"))?;
    setresgid(gid, gid, gid).map_err(SandboxError::host("change the group"))?;
    setresuid(uid, uid, uid).map_err(SandboxError::host("change the user"))?;
    let root = Uid::from_raw(0);
    if setresuid(root, root, root).is_ok() {
        return Err(SandboxError::StillPrivileged { user });
    }
    Ok(Outcome::Applied)
}
