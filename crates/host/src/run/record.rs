// SPDX-License-Identifier: Apache-2.0
//! worker.json: who runs a machine.

use serde::{Deserialize, Serialize};

use super::process::{Process, ProcessIdentity, boot_id};

/// Where a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In a worker process of its own.
    #[default]
    Process,
    /// In the process that made it, with which it ends.
    InProcess,
}

/// Who runs a machine. Fields that a later build adds are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkerRecord {
    /// The id of the machine.
    pub id: String,
    /// The process that runs it; zero when that is not known.
    pub pid: u32,
    /// When the process began, in clock ticks since the host booted.
    pub start_time: u64,
    /// The boot of the host that pid and start time belong to.
    pub boot_id: String,
    /// The version of the control protocol.
    pub protocol: u32,
    /// The build.
    pub build: String,
    /// Where the machine runs.
    pub isolation: Isolation,
}

/// A record and whether its process lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// The record.
    #[serde(flatten)]
    pub record: WorkerRecord,
    /// Whether the process lives.
    pub alive: bool,
}

impl WorkerRecord {
    /// The record of a process that runs the machine `id`.
    pub fn new(id: &str, process: &Process, isolation: Isolation) -> Self {
        Self {
            id: id.to_owned(),
            pid: process.identity().pid,
            start_time: process.identity().start_time,
            boot_id: boot_id(),
            protocol: flotilla_control::PROTOCOL,
            build: flotilla_control::BUILD.to_owned(),
            isolation,
        }
    }

    /// The process of the record, if it lives.
    pub fn process(&self) -> Option<Process> {
        if self.boot_id == boot_id() { Process::find(self.identity()) } else { None }
    }

    /// What tells the process from every other one of that boot.
    pub fn identity(&self) -> ProcessIdentity {
        ProcessIdentity { pid: self.pid, start_time: self.start_time }
    }
}
