// SPDX-License-Identifier: Apache-2.0
//! What a machine reports about itself: its state, its events and its end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::WatchdogAction;
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

impl MachineState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Configured, Self::Running, Self::Paused, Self::Stopped];

    /// The state as it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
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
    /// The guest did not reset its watchdog in time and the action is to power off.
    Watchdog,
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
    /// Whether the virtual CPU was reset before its registers could be read, so that they tell nothing of what it did.
    /// At a triple fault KVM does that on processors by AMD.
    #[serde(default, skip_serializing_if = "is_false")]
    #[ts(as = "Option<bool>", optional)]
    pub after_reset: bool,
    /// Values by register name, as hexadecimal text (`rip` → `0xffffffff81000000`): most do not fit a number.
    #[ts(type = "Record<string, string>")]
    pub registers: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
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

impl MachineExit {
    /// An end without further data.
    pub const fn plain(reason: ExitReason) -> Self {
        Self { reason, code: None, message: None, registers: None }
    }

    /// An end by an error.
    pub fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: Some(code), message: Some(message.into()), ..Self::plain(ExitReason::Error) }
    }
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
    /// The host has no space for what the guest writes, and the disk is to wait for it: the machine is paused. The writes
    /// are tried again when it is resumed.
    DiskFull {
        /// The id of the disk.
        disk: String,
    },
    /// The guest did not reset its watchdog in time. What follows comes next.
    Watchdog {
        /// What follows.
        action: WatchdogAction,
    },
    /// The process that is the network of an interface is gone: the guest sees its cable pulled out, and the machine runs on. A
    /// new start of the machine brings the network back.
    LinkLost {
        /// The id of the interface.
        interface: String,
    },
    /// The process that serves a shared folder is gone: the guest cannot use it any more, and the machine runs on. A new start
    /// of the machine brings the folder back.
    ShareLost {
        /// The tag of the share.
        share: String,
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

/// The balloon of a machine at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct BalloonReport {
    /// Bytes that the guest shall give up.
    pub target: u64,
    /// Bytes that it has given up, as it says.
    pub actual: u64,
    /// How it says it is off for memory, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub statistics: Option<BalloonStatistics>,
}

/// What a guest gave back when it was asked for all that nothing in it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct ReclaimReport {
    /// Bytes that the host has back.
    pub released: u64,
    /// Whether the guest said that there is no more. Otherwise it did not answer, or was not done, within 4 seconds.
    pub complete: bool,
}

/// How a guest says it is off for memory. What it does not tell is absent; what it tells is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub struct BalloonStatistics {
    /// Milliseconds since the guest told this.
    pub age_ms: u64,
    /// Bytes that nothing uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub free_memory: Option<u64>,
    /// Bytes that programs can have without swapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub available_memory: Option<u64>,
    /// Bytes there are, those in the balloon left out where they are not taken back by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub total_memory: Option<u64>,
    /// Bytes of files kept in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub disk_caches: Option<u64>,
    /// Bytes swapped in since the guest started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub swap_in: Option<u64>,
    /// Bytes swapped out since the guest started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub swap_out: Option<u64>,
    /// Page faults that waited for a disk, since the guest started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub major_faults: Option<u64>,
    /// Page faults that did not, since the guest started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub minor_faults: Option<u64>,
    /// Huge pages taken from the guest's pool, since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub hugetlb_allocations: Option<u64>,
    /// Huge pages the guest's pool did not have, since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub hugetlb_failures: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_state_is_written_as_its_text_says() {
        for state in MachineState::ALL {
            assert_eq!(json(&state), format!("{:?}", state.text()));
        }
    }

    #[test]
    fn events_have_the_documented_form() {
        assert_eq!(
            json(&MachineEvent::State { state: MachineState::Running }),
            r#"{"kind":"state","state":"running"}"#
        );
        assert_eq!(json(&MachineEvent::GuestReset), r#"{"kind":"guest-reset"}"#);
        let registers = BTreeMap::from([("rip".to_owned(), "0x10".to_owned())]);
        let registers = Some(CpuReport { cpu: 1, after_reset: false, registers });
        assert_eq!(
            json(&MachineEvent::Panic { registers: registers.clone() }),
            r#"{"kind":"panic","registers":{"cpu":1,"registers":{"rip":"0x10"}}}"#
        );
        assert_eq!(json(&MachineEvent::TripleFault { registers: None }), r#"{"kind":"triple-fault"}"#);
        assert_eq!(
            json(&MachineEvent::DiskFull { disk: "root".to_owned() }),
            r#"{"kind":"disk-full","disk":"root"}"#
        );
        for action in WatchdogAction::ALL {
            let text = action.text();
            assert_eq!(
                json(&MachineEvent::Watchdog { action }),
                format!(r#"{{"kind":"watchdog","action":"{text}"}}"#)
            );
        }
        let exit = MachineExit::error(ErrorCode::CorePanic, "m");
        assert_eq!(
            json(&MachineEvent::Stopped(exit)),
            r#"{"kind":"stopped","reason":"error","code":"core.panic","message":"m"}"#
        );
        let exit = MachineExit { registers, ..MachineExit::plain(ExitReason::TripleFault) };
        assert_eq!(
            json(&MachineEvent::Stopped(exit)),
            r#"{"kind":"stopped","reason":"triple-fault","registers":{"cpu":1,"registers":{"rip":"0x10"}}}"#
        );
        let report = CpuReport { after_reset: true, ..CpuReport::default() };
        assert_eq!(json(&report), r#"{"cpu":0,"afterReset":true,"registers":{}}"#);
        assert_eq!(serde_json::from_str::<CpuReport>(&json(&report)).unwrap(), report);
    }

    #[test]
    fn every_end_is_read_back_as_it_was_written() {
        use ExitReason::{Error, Killed, Panic, PoweredOff, Reset, TripleFault, Watchdog};
        for (reason, text) in [
            (PoweredOff, "powered-off"),
            (Reset, "reset"),
            (Panic, "panic"),
            (TripleFault, "triple-fault"),
            (Watchdog, "watchdog"),
            (Killed, "killed"),
            (Error, "error"),
        ] {
            let exit = MachineExit::plain(reason);
            assert_eq!(json(&exit), format!(r#"{{"reason":"{text}"}}"#));
            assert_eq!(serde_json::from_str::<MachineExit>(&json(&exit)).unwrap(), exit);
        }
    }
}
