// SPDX-License-Identifier: Apache-2.0
//! Landlock: no path can be opened and no TCP port used, even if a way out of the empty root were found. Where
//! namespaces are not allowed, this is the wall that stands. Descriptors that are open already stay usable.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};

use crate::{Outcome, SandboxError};

/// The newest interface asked for; older kernels get what they know.
pub(crate) const WANTED: ABI = ABI::V6;

pub(crate) fn forbid() -> Result<Outcome, SandboxError> {
    let status = restrict().map_err(|error| SandboxError::Host {
        step: "set Landlock rules",
        source: std::io::Error::other(error),
    })?;
    Ok(match status {
        RulesetStatus::FullyEnforced => Outcome::Applied,
        RulesetStatus::PartiallyEnforced => Outcome::Partial(
            "this kernel's Landlock lacks newer restrictions (network, ioctl, signals)".to_owned(),
        ),
        RulesetStatus::NotEnforced => {
            Outcome::Skipped("this kernel has no Landlock, or it is off".to_owned())
        }
    })
}

fn restrict() -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?;
    // No rule: nothing is allowed.
    Ok(ruleset.restrict_self()?.ruleset)
}
