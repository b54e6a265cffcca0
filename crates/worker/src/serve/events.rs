// SPDX-License-Identifier: Apache-2.0
//! From the events of a machine to the main thread.

use std::sync::mpsc::Sender;

use flotilla_front::Recorder;
use flotilla_spec::report::MachineEvent;
use flotilla_vmm::MachineEvents;

use super::message::Message;

/// Records each event of the machine, and tells the main thread of the end last: so the worker does not end before
/// everything is told.
pub struct Teller {
    /// For clients, and for whoever comes after this process.
    pub recorder: Recorder,
    /// For the main thread.
    pub end: Sender<Message>,
}

impl MachineEvents for Teller {
    fn event(&self, event: MachineEvent) {
        let exit = if let MachineEvent::Stopped(exit) = &event { Some(exit.clone()) } else { None };
        self.recorder.event(event);
        if let Some(exit) = exit {
            let _ = self.end.send(Message::Stopped(exit));
        }
    }
}
