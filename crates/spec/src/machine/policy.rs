// SPDX-License-Identifier: Apache-2.0
//! What follows when a guest ends or resets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What follows a guest reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum RebootPolicy {
    /// The machine starts again in the same process.
    #[default]
    Restart,
    /// The machine stops.
    Stop,
}

/// What follows a guest crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum CrashPolicy {
    /// The machine stops.
    #[default]
    Stop,
    /// The machine starts again in the same process.
    Restart,
    /// The machine stays paused, to be looked at.
    Pause,
}
