// SPDX-License-Identifier: Apache-2.0
//! `flotilla-vmm run`: what a person sees, and the exit status.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};
use support::{BINARY, Running, assert_refused, finish, guest, has_kvm, run_command, text, wait_until};

const SOON: Duration = Duration::from_mins(1);

/// Runs a guest with flags: exit status and standard output.
fn boot(name: &str, flags: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let kernel = guest(directory.path(), name);
    let mut arguments = vec!["--kernel", kernel.to_str().unwrap(), "--memory", "32M"];
    arguments.extend(flags);
    let output = finish(run_command(&arguments));
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_guest_that_powers_off_gives_status_0_and_its_output() {
    if has_kvm() {
        assert_eq!(boot("hello", &[]), (Some(0), "hello\n".to_owned()));
    }
}

#[test]
fn each_end_has_its_status() {
    if !has_kvm() {
        return;
    }
    for (name, flags, status) in [
        ("panic", &[][..], 10),
        ("triple-fault", &[], 11),
        ("reset-cf9", &["--on-reboot", "stop"], 12),
        ("reset-i8042", &["--on-reboot", "stop"], 12),
        ("reboot-once", &[], 0),
        ("watchdog", &["--watchdog", "action=poweroff"], 15),
        ("watchdog", &["--watchdog", "action=reset"], 0),
    ] {
        let (code, output) = boot(name, flags);
        assert_eq!(code, Some(status), "{name}: {output}");
        let tells = output.contains("rip=0x") || output.contains("cpu 0: its registers are lost");
        assert_eq!(tells, status == 10 || status == 11, "{name}: {output}");
        assert!(status != 10 || output.contains("rip=0x"), "a panic loses no registers: {output}");
    }
}

#[test]
fn a_serial_port_leads_nowhere_or_into_a_file() {
    if !has_kvm() {
        return;
    }
    assert_eq!(boot("hello", &["--serial", "null"]), (Some(0), String::new()));
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("serial.log");
    let flag = format!("file={}", log.display());
    assert_eq!(boot("hello", &["--serial", &flag]), (Some(0), String::new()));
    assert_eq!(fs::read_to_string(&log).unwrap(), "hello\n");
    let absent = format!("file={}", directory.path().join("no/such/folder/log").display());
    let (status, said) = boot("hello", &["--serial", &absent]);
    assert!(status == Some(2) && said.contains("$.serial"), "{status:?}: {said}");
}

#[test]
fn a_machine_file_says_the_same_as_flags() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (kernel, log) = (guest(directory.path(), "hello"), directory.path().join("serial.log"));
    let spec = serde_json::json!({
        "cpus": 1, "memory": 32 << 20, "boot": { "kernel": { "path": kernel } }, "serial": { "file": { "path": log } },
    });
    let file = directory.path().join("machine.json");
    fs::write(&file, spec.to_string()).unwrap();
    let output = finish(run_command(&[file.to_str().unwrap()]));
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(log).unwrap(), "hello\n");
}

#[test]
fn files_that_cannot_be_used_name_code_place_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("text"), "this is no kernel\n".repeat(100)).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::create_dir(path("directory")).unwrap();
    assert_refused(&["--kernel", &path("absent")], 2, &["file.missing", "$.boot.kernel", "Check the path"]);
    assert_refused(&["--kernel", &path("directory")], 2, &["file.not_regular", "$.boot.kernel"]);
    let disk = format!("path={},format=raw", path("absent"));
    assert_refused(&["--kernel", &path("text"), "--disk", &disk], 2, &["file.missing", "$.disks[0].source"]);
    assert_refused(
        &["--kernel", &path("text"), "--initrd", &path("absent")],
        2,
        &["file.missing", "$.boot.initrd"],
    );
    if has_kvm() {
        assert_refused(&["--kernel", &path("text")], 2, &["kernel.unrecognised", "$.boot.kernel"]);
        assert_refused(&["--kernel", &path("empty")], 2, &["kernel.", "$.boot.kernel"]);
        let mut image = fs::read(guest(directory.path(), "hello")).unwrap();
        image.truncate(image.len() / 2);
        fs::write(path("half"), image).unwrap();
        assert_refused(&["--kernel", &path("half")], 2, &["kernel.", "$.boot.kernel"]);
    }
}

#[test]
fn bad_values_name_code_place_and_remedy() {
    assert_refused(&["--kernel", "k", "--memory", "0"], 2, &["spec.memory_too_small", "$.memory"]);
    assert_refused(&["--kernel", "k", "--memory", "999999G"], 2, &["spec.memory_too_large", "$.memory"]);
    assert_refused(&["--kernel", "k", "--memory", "16777217"], 2, &["spec.memory_unaligned", "4096"]);
    assert_refused(&["--kernel", "k", "--cpus", "0"], 2, &["spec.cpus_out_of_range", "$.cpus"]);
    assert_refused(
        &["--kernel", "k", "--cpus", "1000", "--memory", "0"],
        2,
        &["spec.cpus_out_of_range", "$.memory"],
    );
    assert_refused(&["--kernel", "k", "--net", "tap=t,mac=01:00:00:00:00:01"], 2, &["spec.mac_invalid"]);
    let twice = ["--kernel", "k", "--net", "tap=a,id=x", "--net", "tap=b,id=x"];
    assert_refused(&twice, 2, &["spec.id_duplicate", "$.interfaces[1].id"]);
}

#[test]
fn bad_machine_files_name_code_and_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("machine.json");
    let file = file.to_str().unwrap();
    assert_refused(&[file], 2, &["file.missing"]);
    for (json, part) in [
        ("{", "spec.malformed at $"),
        (
            r#"{"cpus":1,"memory":16777216,"boot":{"kernel":{"path":"k"}},"speed":9}"#,
            "spec.unknown_field at $.speed",
        ),
        (r#"{"cpus":"1","memory":16777216,"boot":{"kernel":{"path":"k"}}}"#, "spec.invalid_type at $.cpus"),
        (r#"{"cpus":1,"boot":{"kernel":{"path":"k"}}}"#, "spec.missing_field at $.memory"),
        (
            r#"{"cpus":1,"memory":16777216,"boot":{"kernel":{"descriptor":1}}}"#,
            "spec.descriptor_invalid at $.boot.kernel",
        ),
    ] {
        fs::write(file, json).unwrap();
        assert_refused(&[file], 2, &[part]);
    }
}

#[test]
fn a_wrong_command_line_gives_64_and_help_documents_everything() {
    for arguments in [&[][..], &["--speed", "9"], &["--kernel", "k", "--disk", "path=d"]] {
        assert_eq!(finish(run_command(arguments)).status.code(), Some(64), "{arguments:?}");
    }
    let output = finish(run_command(&["--help"]));
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for part in [
        "--kernel",
        "--initrd",
        "--cmdline",
        "--cpus",
        "--memory",
        "--disk",
        "--net",
        "--serial",
        "^] x",
        "10  the",
    ] {
        assert!(help.contains(part), "{part}");
    }
}

#[test]
fn a_disk_in_use_is_refused_to_a_second_machine() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (kernel, disk) = (guest(directory.path(), "idle"), directory.path().join("disk"));
    fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let disk = format!("path={},format=raw", disk.display());
    let arguments = ["--kernel", kernel.to_str().unwrap(), "--memory", "32M", "--disk", &disk];
    let mut first = Running(run_command(&arguments).spawn().unwrap());
    first.read_until("ready");
    assert_refused(&arguments, 2, &["disk.locked", "$.disks[0].source", "Stop the machine"]);
    first.signal(Signal::SIGKILL);
    first.wait(SOON);
    let mut again = Running(run_command(&arguments).spawn().unwrap());
    again.read_until("ready");
}

#[test]
fn a_signal_presses_the_power_button() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let kernel = guest(directory.path(), "button");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut machine =
            Running(run_command(&["--kernel", kernel.to_str().unwrap(), "--memory", "32M"]).spawn().unwrap());
        machine.read_until("ready");
        machine.signal(signal);
        machine.read_until("button");
        assert_eq!(machine.wait(SOON).code(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_a_guest_that_does_not_listen() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (name, signals) in [("spin", &[Signal::SIGTERM, Signal::SIGTERM][..]), ("idle", &[Signal::SIGHUP])] {
        let kernel = guest(directory.path(), name);
        let mut machine =
            Running(run_command(&["--kernel", kernel.to_str().unwrap(), "--memory", "32M"]).spawn().unwrap());
        machine.read_until("ready");
        for signal in signals {
            machine.signal(*signal);
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(machine.wait(SOON).code(), Some(13), "{name}");
    }
}

#[test]
fn typed_bytes_reach_the_guest_and_the_terminal_is_restored() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let kernel = guest(directory.path(), "echo");
    let pty = nix::pty::openpty(None, None).unwrap();
    let before = tcgetattr(pty.slave.as_fd()).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut command = run_command(&["--kernel", kernel.to_str().unwrap(), "--memory", "32M"]);
    command.stdin(slave()).stdout(slave()).stderr(slave());
    let mut machine = Running(command.spawn().unwrap());
    let mut terminal = fs::File::from(pty.master);
    let screen = Screen::watch(terminal.try_clone().unwrap());
    screen.read_until("ready");
    let raw = tcgetattr(pty.slave.as_fd()).unwrap();
    assert!(!raw.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG));
    terminal.write_all(b"abc\x03\x1d\x1d").unwrap();
    screen.read_until("abc\u{3}\u{1d}");
    terminal.write_all(b"\x1dx").unwrap();
    assert_eq!(machine.wait(SOON).code(), Some(13));
    assert_eq!(tcgetattr(pty.slave.as_fd()).unwrap().local_flags, before.local_flags);
}

/// What a terminal shows, read by a thread so that a wait for it has an end.
struct Screen(mpsc::Receiver<Vec<u8>>);

impl Screen {
    fn watch(mut terminal: fs::File) -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(len) = terminal.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    fn read_until(&self, wanted: &str) {
        let mut seen = Vec::new();
        while !text(&seen).contains(wanted) {
            let bytes = self.0.recv_timeout(SOON);
            seen.extend(bytes.unwrap_or_else(|_| panic!("{wanted:?} is not in {:?}", text(&seen))));
        }
    }
}

/// Runs a shell line as another user or in another mount namespace; `None` when this host does not let us.
fn as_root(line: &str) -> Option<std::process::Output> {
    let root = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if !root {
        support::lacks("this test needs root");
        return None;
    }
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(finish(command))
}

#[test]
fn a_host_without_kvm_gives_status_3_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = guest(directory.path(), "hello");
    open_to_all(directory.path());
    let line = format!(
        "unshare -m sh -c 'mount -t tmpfs none /dev && exec {BINARY} run --kernel {}'",
        kernel.display()
    );
    if let Some(output) = as_root(&line) {
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(3) && said.contains("kvm.missing") && said.contains("doctor"),
            "{said}"
        );
    }
    let copy = directory.path().join("flotilla-vmm");
    fs::copy(BINARY, &copy).unwrap();
    let user = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    // Many hosts let everybody use /dev/kvm: here is one that does not.
    let line = format!(
        "unshare -m sh -c 'mount -t tmpfs none /dev && mknod -m 600 /dev/kvm c 10 232 && exec {user} {} run --kernel {}'",
        copy.display(),
        kernel.display()
    );
    if let Some(output) = as_root(&line).filter(|_| has_kvm()) {
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(3) && said.contains("kvm.denied") && said.contains("group kvm"),
            "{said}"
        );
    }
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_full_pipe_or_closed_output_does_not_stop_the_guest() {
    if !has_kvm() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let kernel = guest(directory.path(), "button");
    let mut machine =
        Running(run_command(&["--kernel", kernel.to_str().unwrap(), "--memory", "32M"]).spawn().unwrap());
    machine.read_until("ready");
    drop(machine.0.stdout.take());
    machine.signal(Signal::SIGTERM);
    wait_until("the machine ends", || machine.0.try_wait().unwrap().is_some());
    assert_eq!(machine.wait(SOON).code(), Some(0));
}
