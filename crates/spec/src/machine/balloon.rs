// SPDX-License-Identifier: Apache-2.0
//! The memory balloon.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{MAX_STATISTICS_INTERVAL, MEMORY_ALIGNMENT};

/// A balloon: memory that the guest is asked to give up for as long as it can do without. It is a wish, no limit: a guest
/// that does not follow keeps its memory. Not with memory that is locked, nor with pages of the host's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BalloonSpec {
    /// Bytes that the guest shall give up at first: a multiple of 4096, and all but 16 MiB of the memory at most. Default: 0.
    #[serde(default)]
    #[ts(as = "Option<u64>", optional)]
    #[schemars(extend("multipleOf" = MEMORY_ALIGNMENT))]
    pub target: u64,
    /// Whether the guest may take memory back by itself before it ends programs for want of it. Default: true.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    pub deflate_on_oom: bool,
    /// Whether the guest also gives up memory that nothing in it uses, without being asked. Not with `prefault`. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub free_page_reporting: bool,
    /// Whether the guest also says, when it is asked, what nothing in it uses, so that the host has it back. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub free_page_hinting: bool,
    /// Seconds between two times that the guest is asked how it is off for memory, at most 86400. Default: 0, only when somebody
    /// wants to know.
    #[serde(default)]
    #[ts(as = "Option<u32>", optional)]
    #[schemars(range(max = MAX_STATISTICS_INTERVAL))]
    pub statistics_interval: u32,
}

impl Default for BalloonSpec {
    fn default() -> Self {
        Self {
            target: 0,
            deflate_on_oom: true,
            free_page_reporting: false,
            free_page_hinting: false,
            statistics_interval: 0,
        }
    }
}

fn yes() -> bool {
    true
}
