// SPDX-License-Identifier: Apache-2.0
//! The states of a machine and what each allows.
//!
//! ```text
//!              boot              pause
//!  Configured ──────▶ Running ◀────────▶ Paused ◀── restore ── Configured
//!      │                │  ▲    resume    │  ▲
//!      │                └──┘              └──┘
//!      │               reset             reset
//!      ▼                ▼                 ▼
//!   Stopped ◀───────────┴─────────────────┘   stop, guest power-off, crash, internal error
//! ```
//!
//! A stopped machine stays stopped: build a new one. The functions here are pure; only the driver thread acts on them.

use flotilla_spec::report::MachineState;

/// Whether a machine may go from state `from` to state `to`.
pub const fn may_become(from: MachineState, to: MachineState) -> bool {
    use MachineState::{Configured, Paused, Running, Stopped};
    match (from, to) {
        (Configured | Paused, Running)
        | (Configured | Running, Paused)
        | (Configured | Running | Paused, Stopped) => true,
        (Configured, Configured)
        | (Running, Configured | Running)
        | (Paused, Configured | Paused)
        | (Stopped, _) => false,
    }
}

/// What a caller can ask of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start the guest.
    Boot,
    /// Stop vCPUs and devices, keeping all state.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Press the ACPI power button.
    PowerButton,
    /// Restart the guest as after power-on.
    Reset,
    /// Read all state.
    Save,
    /// Take over saved state.
    Restore,
    /// End the machine.
    Stop,
}

/// Whether a state allows a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Do it.
    Act,
    /// Nothing is to be done: the machine already is as asked.
    Nothing,
    /// Not in this state.
    Refuse,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 8] = [
        Self::Boot,
        Self::Pause,
        Self::Resume,
        Self::PowerButton,
        Self::Reset,
        Self::Save,
        Self::Restore,
        Self::Stop,
    ];

    /// The verb as a caller knows it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::PowerButton => "press the power button of",
            Self::Reset => "reset",
            Self::Save => "save",
            Self::Restore => "restore",
            Self::Stop => "stop",
        }
    }

    /// Whether `state` allows the verb.
    pub const fn in_state(self, state: MachineState) -> Verdict {
        use MachineState::{Configured, Paused, Running, Stopped};
        match (self, state) {
            (Self::Boot | Self::Restore, Configured)
            | (Self::Pause | Self::PowerButton, Running)
            | (Self::Resume | Self::Save, Paused)
            | (Self::Reset, Running | Paused)
            | (Self::Stop, Configured | Running | Paused) => Verdict::Act,
            (Self::Pause, Paused) | (Self::Resume, Running) | (Self::Stop, Stopped) => Verdict::Nothing,
            (Self::Boot | Self::Restore, Running | Paused | Stopped)
            | (Self::Pause | Self::Resume | Self::Reset, Configured | Stopped)
            | (Self::PowerButton, Configured | Paused | Stopped)
            | (Self::Save, Configured | Running | Stopped) => Verdict::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MachineState::{Configured, Paused, Running, Stopped};
    use super::Verdict::{Act, Nothing, Refuse};
    use super::*;

    #[test]
    fn only_the_arrows_of_the_diagram_exist() {
        let arrows = [
            (Configured, Running),
            (Configured, Paused),
            (Configured, Stopped),
            (Running, Paused),
            (Running, Stopped),
            (Paused, Running),
            (Paused, Stopped),
        ];
        for from in MachineState::ALL {
            for to in MachineState::ALL {
                assert_eq!(may_become(from, to), arrows.contains(&(from, to)), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn each_state_allows_what_the_table_says() {
        let table = [
            // verb, [configured, running, paused, stopped]
            (Verb::Boot, [Act, Refuse, Refuse, Refuse]),
            (Verb::Pause, [Refuse, Act, Nothing, Refuse]),
            (Verb::Resume, [Refuse, Nothing, Act, Refuse]),
            (Verb::PowerButton, [Refuse, Act, Refuse, Refuse]),
            (Verb::Reset, [Refuse, Act, Act, Refuse]),
            (Verb::Save, [Refuse, Refuse, Act, Refuse]),
            (Verb::Restore, [Act, Refuse, Refuse, Refuse]),
            (Verb::Stop, [Act, Act, Act, Nothing]),
        ];
        assert_eq!(table.map(|(verb, _)| verb), Verb::ALL);
        for (verb, row) in table {
            assert_eq!(MachineState::ALL.map(|state| verb.in_state(state)), row, "{verb:?}");
        }
    }
}
