// SPDX-License-Identifier: Apache-2.0
//! Whole machines with a console device and a real Linux, if the environment names one.

use std::time::{Duration, Instant};

use flotilla_spec::{ConsolePortSpec, ConsoleSpec, MachineSpec, Profile};

use super::snapshots::transplant;
use super::vm_generation::linux;
use super::{Fixture, LIMIT, kvm_is_there};
use crate::Console;

/// What gives back each line that comes through the port, until nobody is there any more.
const ANSWER: &[u8] =
    b"port=$(grep -l agent /sys/class/virtio-ports/*/name); port=/dev/$(basename ${port%/name}); \
    { while read -r line <&3; do echo \"got $line\" >&3; done; echo \"port\" closed; } 3<>$port &\n";

fn expect(console: &Console, text: &str) {
    let (deadline, mut seen, mut buffer) = (Instant::now() + LIMIT, Vec::new(), [0; 4096]);
    loop {
        let chunk = console.read_from(seen.len() as u64, &mut buffer, Duration::from_millis(100));
        seen.extend_from_slice(&buffer[..chunk.len]);
        let shown = String::from_utf8_lossy(&seen);
        if shown.contains(text) {
            return;
        }
        assert!(Instant::now() < deadline, "no {text:?} in {shown:?}");
    }
}

#[test]
fn a_linux_that_goes_on_from_a_snapshot_learns_of_another_size_and_that_nobody_is_at_its_port() {
    if !kvm_is_there() {
        return;
    }
    let Some(linux) = linux() else { return };
    for profile in [Profile::Standard, Profile::Micro] {
        let with_console = |spec: &mut MachineSpec| {
            linux(spec);
            spec.profile = profile;
            spec.boot.command_line = "console=hvc0 quiet".to_owned();
            spec.console = Some(ConsoleSpec { ports: vec![ConsolePortSpec { name: "agent".to_owned() }] });
        };
        let first = Fixture::boot("idle", with_console);
        let [agent, terminal] = ["agent", "hvc0"].map(|name| &first.machine.consoles()[name]);
        terminal.set_size(132, 43);
        expect(terminal, "flotilla-init ready");
        agent.enter_writer(0);
        terminal.send_input(ANSWER);
        agent.send_input(b"one\n");
        expect(agent, "got one\n");
        terminal.send_input(b"echo \"size: $(stty size)\"\n");
        expect(terminal, "size: 43 132");
        first.machine.pause().unwrap();

        let second = Fixture::build("idle", with_console);
        let terminal = &second.machine.consoles()["hvc0"];
        terminal.set_size(80, 25);
        transplant(&first, &second);
        second.machine.resume().unwrap();
        expect(terminal, "port closed");
        terminal.send_input(
            b"until [ \"$(stty size)\" = \"25 80\" ]; do usleep 100000; done; echo \"now\" smaller\n",
        );
        expect(terminal, "now smaller");
    }
}
