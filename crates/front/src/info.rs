// SPDX-License-Identifier: Apache-2.0
//! What a client is told about a machine when it asks.

use flotilla_control::{BUILD, PROTOCOL};
use flotilla_spec::report::MachineInfo;
use flotilla_vmm::Machine;

/// The machine at this moment, and the process it runs in, which is this one.
pub fn info(machine: &Machine) -> MachineInfo {
    let info = machine.info();
    MachineInfo {
        state: info.state,
        pid: std::process::id(),
        uptime_ms: info.uptime_ms,
        vcpus: info.vcpus,
        build: BUILD.to_owned(),
        protocol: PROTOCOL,
        exit: info.exit,
    }
}
