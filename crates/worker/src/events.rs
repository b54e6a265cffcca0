// SPDX-License-Identifier: Apache-2.0
//! From the events of a machine to those of the control protocol.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use flotilla_control::{BlackBox, EventLog};
use flotilla_spec::report;
use flotilla_vmm::{MachineEvent, MachineEvents, MachineExit, MachineState};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::serve::Message;

/// Puts each event of a machine into a log. The end is in the black box before a client can hear of it, and only then
/// does the main thread: so nothing ends before everything is told.
pub struct Recorder {
    /// For clients.
    pub log: Arc<EventLog>,
    /// For whoever comes after this process.
    pub black_box: Option<Arc<BlackBox>>,
    /// For the main thread, last.
    pub end: Sender<Message>,
}

impl MachineEvents for Recorder {
    fn event(&self, event: MachineEvent) {
        let Some(event) = same_form::<_, report::MachineEvent>(&event) else {
            tracing::error!(?event, "event has no form in the control protocol");
            return;
        };
        if let (report::MachineEvent::Stopped(exit), Some(black_box)) = (&event, &self.black_box) {
            black_box.record_exit(exit);
        }
        self.log.push(&event);
        if let report::MachineEvent::Stopped(exit) = event {
            let _ = self.end.send(Message::Stopped(exit));
        }
    }
}

/// The end of a machine as the control protocol tells it.
pub fn exit(exit: &MachineExit) -> report::MachineExit {
    same_form(exit).unwrap_or(report::MachineExit {
        reason: report::ExitReason::Error,
        code: None,
        message: Some(format!("{exit:?}")),
        registers: None,
    })
}

/// The state of a machine as the control protocol tells it.
pub fn state(state: MachineState) -> report::MachineState {
    match state {
        MachineState::Configured => report::MachineState::Configured,
        MachineState::Running => report::MachineState::Running,
        MachineState::Paused => report::MachineState::Paused,
        MachineState::Stopped => report::MachineState::Stopped,
    }
}

/// The machine's types and the protocol's have one JSON form; a test holds them together.
pub fn same_form<From: Serialize, To: DeserializeOwned>(from: &From) -> Option<To> {
    serde_json::to_value(from).and_then(serde_json::from_value).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flotilla_spec::code::ErrorCode;
    use flotilla_vmm::{CpuReport, ExitReason};

    use super::*;

    fn recorded(event: MachineEvent) -> report::MachineEvent {
        let log = Arc::new(EventLog::new());
        let (end, _) = std::sync::mpsc::channel();
        Recorder { log: Arc::clone(&log), black_box: None, end }.event(event);
        let kept = log.after(0, std::time::Duration::ZERO);
        kept[0].known().unwrap()
    }

    #[test]
    fn every_event_has_the_same_form_in_the_machine_and_in_the_protocol() {
        for state in MachineState::ALL {
            assert_eq!(
                recorded(MachineEvent::State { state }),
                report::MachineEvent::State { state: super::state(state) }
            );
        }
        assert_eq!(recorded(MachineEvent::GuestReset), report::MachineEvent::GuestReset);
        let registers = BTreeMap::from([("rip".to_owned(), "0x10".to_owned())]);
        let cpu = CpuReport { cpu: 3, registers: registers.clone() };
        let same = Some(report::CpuReport { cpu: 3, registers });
        let event = recorded(MachineEvent::Panic { registers: Some(cpu.clone()) });
        assert_eq!(event, report::MachineEvent::Panic { registers: same.clone() });
        let event = recorded(MachineEvent::TripleFault { registers: Some(cpu) });
        assert_eq!(event, report::MachineEvent::TripleFault { registers: same });
        let event = recorded(MachineEvent::Panic { registers: None });
        assert_eq!(event, report::MachineEvent::Panic { registers: None });
    }

    #[test]
    fn every_end_has_the_same_form() {
        use ExitReason::{Error, Killed, Panic, PoweredOff, Reset, TripleFault};
        for reason in [PoweredOff, Reset, Panic, TripleFault, Killed, Error] {
            let told = exit(&MachineExit::plain(reason));
            assert_eq!(
                serde_json::to_value(told).unwrap(),
                serde_json::to_value(MachineExit::plain(reason)).unwrap()
            );
        }
        let told = exit(&MachineExit::error(ErrorCode::CorePanic, "m"));
        assert_eq!((told.code, told.message.as_deref()), (Some(ErrorCode::CorePanic), Some("m")));
    }
}
