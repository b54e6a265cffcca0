// SPDX-License-Identifier: Apache-2.0
//! From the events of a machine to those who are told.

use std::sync::Arc;

use flotilla_control::{BlackBox, EventLog};
use flotilla_spec::report::MachineEvent;
use flotilla_vmm::MachineEvents;

/// Puts each event of a machine into a log. The end is in the black box before a client can hear of it: so nothing
/// ends before everything is told. Called on the threads of the machine, it only appends.
pub struct Recorder {
    /// For clients.
    pub log: Arc<EventLog>,
    /// For whoever comes after this process.
    pub black_box: Option<Arc<BlackBox>>,
}

impl MachineEvents for Recorder {
    fn event(&self, event: MachineEvent) {
        if let (MachineEvent::Stopped(exit), Some(black_box)) = (&event, &self.black_box) {
            black_box.record_exit(exit);
        }
        self.log.push(&event);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use flotilla_control::black_box;
    use flotilla_spec::code::ErrorCode;
    use flotilla_spec::report::{CpuReport, ExitReason, MachineExit, MachineState};

    use super::*;

    #[test]
    fn clients_are_told_what_the_machine_told() {
        let recorder = Recorder { log: Arc::new(EventLog::new()), black_box: None };
        let registers = BTreeMap::from([("rip".to_owned(), "0x10".to_owned())]);
        let registers = Some(CpuReport { cpu: 3, after_reset: false, registers });
        let mut events = MachineState::ALL.map(|state| MachineEvent::State { state }).to_vec();
        events.extend([
            MachineEvent::GuestReset,
            MachineEvent::Panic { registers: None },
            MachineEvent::Panic { registers: registers.clone() },
            MachineEvent::TripleFault { registers },
            MachineEvent::DiskFull { disk: "d".to_owned() },
            MachineEvent::Watchdog { action: flotilla_spec::WatchdogAction::Report },
            MachineEvent::LinkLost { interface: "n".to_owned() },
            MachineEvent::ShareLost { share: "s".to_owned() },
            MachineEvent::Stopped(MachineExit::error(ErrorCode::CorePanic, "m")),
        ]);
        for event in &events {
            recorder.event(event.clone());
        }
        let told: Vec<_> = recorder.log.after(0, Duration::ZERO);
        let told: Vec<_> = told.iter().filter_map(flotilla_control::Event::known).collect();
        assert_eq!(told, events);
    }

    #[test]
    fn the_end_stays_in_the_black_box() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(black_box::LEN).unwrap();
        let black_box = BlackBox::start(file.try_clone().unwrap()).unwrap();
        let recorder = Recorder { log: Arc::default(), black_box: Some(Arc::new(black_box)) };
        recorder.event(MachineEvent::GuestReset);
        assert_eq!(black_box::read_exit(&file).unwrap(), None);
        let exit = MachineExit::plain(ExitReason::PoweredOff);
        recorder.event(MachineEvent::Stopped(exit.clone()));
        assert_eq!(black_box::read_exit(&file).unwrap(), Some(exit));
    }
}
