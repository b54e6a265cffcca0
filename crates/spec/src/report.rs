// SPDX-License-Identifier: Apache-2.0
//! What a machine reports about itself: its state, its events and its end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::code::ErrorCode;

/// The state of a machine.
///
/// ```text
///   configured ──boot──▶ running ◀──resume── pause──▶ paused
///        └───────────────────┴──────────┬───────────────┘
///                                       ▼
///                                    stopped
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum MachineState {
    /// Built, not booted.
    Configured,
    /// Its virtual CPUs run.
    Running,
    /// Its virtual CPUs stand still and can go on.
    Paused,
    /// At its end. A stopped machine cannot boot again: build a new one.
    Stopped,
}

/// Why a machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest asked for a reset and the policy is to stop.
    Reset,
    /// The guest kernel panicked and the policy is to stop.
    Panic,
    /// A virtual CPU shut down on a triple fault and the policy is to stop.
    TripleFault,
    /// It was stopped from outside.
    Killed,
    /// The machine could not go on.
    Error,
}

/// The registers of one virtual CPU at the moment of a report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct CpuReport {
    /// Number of the virtual CPU, from 0.
    pub cpu: u32,
    /// Values by register name, as hexadecimal text (`rip` → `0xffffffff81000000`): most do not fit a number.
    #[ts(type = "Record<string, string>")]
    pub registers: BTreeMap<String, String>,
}

/// The end of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct MachineExit {
    /// Why it stopped.
    pub reason: ExitReason,
    /// The code of the error, with the reason `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "ErrorCode")]
    pub code: Option<ErrorCode>,
    /// What went wrong, with the reason `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub message: Option<String>,
    /// The registers of the virtual CPU that crashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub registers: Option<CpuReport>,
}

/// Something that happened to a machine, told apart by `kind`. A reader ignores kinds it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MachineEvent {
    /// The state changed.
    State {
        /// The new state.
        state: MachineState,
    },
    /// The guest asked for a reset.
    GuestReset,
    /// The guest kernel reported a panic.
    Panic {
        /// The registers of the virtual CPU that reported it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        registers: Option<CpuReport>,
    },
    /// A virtual CPU shut down on a triple fault.
    TripleFault {
        /// The registers of that virtual CPU.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        registers: Option<CpuReport>,
    },
    /// The machine stopped; always the last event.
    Stopped(MachineExit),
}

/// What a worker tells about its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct MachineInfo {
    /// The state of the machine.
    pub state: MachineState,
    /// Process id of the process that runs the machine.
    pub pid: u32,
    /// Milliseconds since the machine was booted; zero before.
    pub uptime_ms: u64,
    /// Number of virtual CPUs.
    pub vcpus: u32,
    /// The build of the process that runs the machine.
    pub build: String,
    /// The version of the control protocol it speaks.
    pub protocol: u32,
    /// How the machine ended, once it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub exit: Option<MachineExit>,
}
