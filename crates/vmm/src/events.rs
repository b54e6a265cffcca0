// SPDX-License-Identifier: Apache-2.0
//! What a machine tells its owner.

use std::collections::BTreeMap;

use flotilla_spec::code::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::state::MachineState;

/// Registers of one vCPU at the moment of a report, by their architectural names (`rip`, `cr3`, ...).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuReport {
    /// Number of the vCPU, from 0.
    pub cpu: u32,
    /// Values as hexadecimal text with `0x`: most do not fit a JavaScript number.
    pub registers: BTreeMap<String, String>,
}

/// Why a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest reset the machine and the specification says to stop then.
    Reset,
    /// The guest kernel reported a panic.
    Panic,
    /// A vCPU met a triple fault.
    TripleFault,
    /// The owner ended it.
    Killed,
    /// The machine could not go on.
    Error,
}

/// The end of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineExit {
    /// Why it ended.
    pub reason: ExitReason,
    /// With reason `error`: the code of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// With reason `error`: what happened, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// After a crash: the vCPU that crashed, or the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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

/// What a machine reports while it lives. Told apart by `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MachineEvent {
    /// The machine went to another state.
    State {
        /// The new state.
        state: MachineState,
    },
    /// The guest reset the machine, and it starts again.
    GuestReset,
    /// The guest kernel panicked; what follows is up to the specification.
    Panic {
        /// Registers of the first vCPU.
        registers: Option<CpuReport>,
    },
    /// A vCPU met a triple fault; what follows is up to the specification.
    TripleFault {
        /// Registers of that vCPU.
        registers: Option<CpuReport>,
    },
    /// The machine ended. The last event.
    Stopped(MachineExit),
}

/// Takes events. Called on the thread that drives the machine: it must not block, and may not wait for the machine.
pub trait MachineEvents: Send + Sync {
    /// Takes one event.
    fn event(&self, event: MachineEvent);
}

/// Takes no notice of any event.
pub struct IgnoreEvents;

impl MachineEvents for IgnoreEvents {
    fn event(&self, _event: MachineEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(event: &MachineEvent) -> String {
        serde_json::to_string(event).unwrap()
    }

    #[test]
    fn events_have_the_documented_form() {
        assert_eq!(
            json(&MachineEvent::State { state: MachineState::Running }),
            r#"{"kind":"state","state":"running"}"#
        );
        assert_eq!(json(&MachineEvent::GuestReset), r#"{"kind":"guest-reset"}"#);
        let exit = MachineExit::error(ErrorCode::CorePanic, "m");
        assert_eq!(
            json(&MachineEvent::Stopped(exit)),
            r#"{"kind":"stopped","reason":"error","code":"core.panic","message":"m"}"#
        );
        let registers = BTreeMap::from([("rip".to_owned(), "0x10".to_owned())]);
        let exit = MachineExit {
            registers: Some(CpuReport { cpu: 1, registers }),
            ..MachineExit::plain(ExitReason::TripleFault)
        };
        assert_eq!(
            json(&MachineEvent::Stopped(exit)),
            r#"{"kind":"stopped","reason":"triple-fault","registers":{"cpu":1,"registers":{"rip":"0x10"}}}"#
        );
    }
}
