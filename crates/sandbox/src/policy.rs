// SPDX-License-Identifier: Apache-2.0
//! What a jail is to be like.

use std::os::fd::RawFd;

/// The user and group that own nothing, by convention.
const NOBODY: u32 = 65_534;

/// What a jail is to be like.
///
/// ```
/// let policy = flotilla_sandbox::Policy { strict: true, ..Default::default() };
/// assert_eq!(policy.user, 65534);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Descriptors that stay open beside 0, 1 and 2. All others are closed, whoever owns them: have none.
    pub keep: Vec<RawFd>,
    /// User id that root becomes.
    pub user: u32,
    /// Group id that root becomes. All other groups are given up.
    pub group: u32,
    /// Most descriptors that the process may have open, now and later.
    pub max_descriptors: u64,
    /// Whether a step that the host does not allow is an error.
    pub strict: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { keep: Vec::new(), user: NOBODY, group: NOBODY, max_descriptors: 4096, strict: false }
    }
}
