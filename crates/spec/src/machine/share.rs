// SPDX-License-Identifier: Apache-2.0
//! Folders of the host that the guest mounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::FileSource;
use crate::id::ShareTag;

/// A folder of the host that the guest mounts (`mount -t virtiofs TAG PLACE`). A process of its own, virtiofsd, serves it, and
/// the memory of such a machine is one that it can share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareSpec {
    /// What the guest mounts it by, unique among the shares of the machine, at most 36 characters.
    pub tag: ShareTag,
    /// The folder. As a descriptor it is a UNIX stream socket whose other end virtiofsd has.
    pub source: FileSource,
    /// Whether the guest may not write. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub read_only: bool,
}
