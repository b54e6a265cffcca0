// SPDX-License-Identifier: Apache-2.0
//! A machine on a passt process, which needs no privilege and must not be left behind.

mod support;

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use flotilla_test_guests::net::{MAC, lose_network};
use support::{Running, assert_refused, has_kvm, lacks, run_command, wait_until};

/// The id of the passt process with this forward. One that has ended has no arguments any more.
fn passt(forward: &str) -> Option<u32> {
    let running = |id: u32| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == forward.as_bytes())
    };
    let ids = fs::read_dir("/proc").unwrap().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|id| running(*id))
}

/// A machine that runs on passt, with a port of the host that leads into it.
struct OnPasst {
    worker: Running,
    port: u16,
    forward: String,
    _directory: tempfile::TempDir,
}

fn start() -> Option<OnPasst> {
    if Command::new("passt").arg("--version").output().is_err() {
        lacks("user-mode networking needs passt");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let kernel = directory.path().join("guest.elf");
    fs::write(&kernel, lose_network().image()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mac = MAC.map(|byte| format!("{byte:02x}")).join(":");
    let flags = format!("user,forward=tcp:{port}:80,mac={mac}");
    let arguments = ["--kernel", kernel.to_str().unwrap(), "--memory", "32M", "--no-rng", "--net", &flags];
    let worker = Running(run_command(&arguments).spawn().unwrap());
    let forward = format!("127.0.0.1/{port}:80");
    wait_until("passt is there", || passt(&forward).is_some());
    Some(OnPasst { worker, port, forward, _directory: directory })
}

#[test]
fn a_machine_runs_on_when_passt_is_gone() {
    if !has_kvm() {
        return;
    }
    let Some(mut machine) = start() else { return };
    // Its first frame tells passt the address of the guest, to which passt then passes connections on.
    assert_eq!(machine.worker.read_until("."), ".");
    std::thread::sleep(Duration::from_millis(100));
    let connection = TcpStream::connect(("127.0.0.1", machine.port)).unwrap();
    assert_eq!(machine.worker.read_until("."), ".");
    let id = passt(&machine.forward).unwrap();
    assert!(Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success());
    assert_eq!(machine.worker.read_until("done\n"), "..done\n");
    drop(connection);
}

#[test]
fn nothing_of_passt_is_left_when_its_machine_is_killed() {
    if !has_kvm() {
        return;
    }
    let Some(mut machine) = start() else { return };
    let taken = format!("user,forward=tcp:{}:80", machine.port);
    let flags = ["--kernel", "/proc/version", "--net", &taken];
    assert_refused(&flags, 2, &["forward.port_busy", "$.interfaces[0].user.forwards[0].hostPort"]);
    machine.worker.0.kill().unwrap();
    machine.worker.0.wait().unwrap();
    wait_until("passt is gone", || passt(&machine.forward).is_none());
}
