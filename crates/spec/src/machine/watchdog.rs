// SPDX-License-Identifier: Apache-2.0
//! The watchdog.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A watchdog that the guest starts, and from then on has to reset again and again. Only an ACPI table tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchdogSpec {
    /// What follows when the guest does not reset it in time. Default: reset.
    #[serde(default)]
    #[ts(as = "Option<WatchdogAction>", optional)]
    pub action: WatchdogAction,
}

/// What follows when a guest does not reset its watchdog in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum WatchdogAction {
    /// The machine starts again in the same process, whatever `onReboot` says.
    #[default]
    Reset,
    /// The machine ends, as by a pulled plug.
    Poweroff,
    /// The machine stays paused, to be looked at.
    Pause,
    /// An event and nothing else.
    Report,
}

impl WatchdogAction {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Reset, Self::Poweroff, Self::Pause, Self::Report];

    /// The action as it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Poweroff => "poweroff",
            Self::Pause => "pause",
            Self::Report => "report",
        }
    }
}
