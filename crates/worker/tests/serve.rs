// SPDX-License-Identifier: Apache-2.0
//! `flotilla-vmm serve`: the worker and its clients.

mod support;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flotilla_control::console::{ConsoleClient, Hello, LIVE, Purpose};
use flotilla_control::{Client, ClientError, ClientOptions, Failure, Outlets, black_box};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineEvent, MachineExit, MachineState};
use flotilla_spec::{LimitsSpec, MachineSpec, RateSpec, ThrottleTarget};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use serde_json::{Value, json};
use support::trace::{hang, thread};
use support::{BINARY, Running, guest, has_kvm, skip, text, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// How long a worker waits for clients that may come for what it has to say last.
const LINGER: Duration = Duration::from_secs(10);

struct Worker {
    directory: tempfile::TempDir,
    process: Running,
}

impl Worker {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("control.sock")).unwrap();
        let log = File::create(directory.path().join("worker.log")).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("serve").stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(log);
        let process = Running(command.spawn().unwrap());
        Self { directory, process }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn client(&self) -> Client {
        self.client_after(None)
    }

    fn client_after(&self, events_after: Option<u64>) -> Client {
        let options = ClientOptions { name: "test".into(), events_after, ..ClientOptions::default() };
        let mut client = None;
        wait_until("the worker takes a client", || {
            match Client::connect(&self.path("control.sock"), &options) {
                Ok(connected) => client = Some(connected),
                Err(error) => assert_eq!(error.code(), ErrorCode::WorkerBusy, "{error}"),
            }
            client.is_some()
        });
        client.unwrap()
    }

    /// Configures a machine with one of the bare-metal guests.
    fn configure(&self, client: &Client, name: &str) {
        let console = UnixListener::bind(self.path("console.sock")).unwrap();
        let kernel = guest(self.directory.path(), name);
        let descriptors = vec![open("/dev/kvm"), File::open(kernel).unwrap().into()];
        let black_box = self.make_black_box();
        let outlets = Outlets { console: Some(console.as_fd()), black_box: Some(black_box.as_fd()) };
        client.configure(&"m1".parse().unwrap(), &spec(), &descriptors, outlets).unwrap();
    }

    fn console(&self, offset: u64, writer: bool) -> ConsoleClient {
        let console = ConsoleClient::connect(&self.path("console.sock"), hello(offset, writer)).unwrap();
        console.set_read_timeout(Some(SOON)).unwrap();
        console
    }

    fn make_black_box(&self) -> File {
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(self.path("black.box"));
        let file = file.unwrap();
        file.set_len(black_box::LEN).unwrap();
        file
    }

    /// What the black box has, and that the console is this text.
    fn left(&self) -> (String, Option<MachineExit>) {
        let file = File::open(self.path("black.box")).unwrap();
        let console = black_box::read_console(&file).unwrap();
        assert_eq!(console.offset, 0);
        (text(&console.bytes), black_box::read_exit(&file).unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("worker.log")).unwrap()
    }
}

fn open(path: &str) -> OwnedFd {
    fs::OpenOptions::new().read(true).write(true).open(path).unwrap().into()
}

fn hello(offset: u64, writer: bool) -> Hello {
    Hello { purpose: if writer { Purpose::Write } else { Purpose::Read }, offset }
}

fn spec() -> MachineSpec {
    let text =
        r#"{"cpus":1,"memory":33554432,"boot":{"kernel":{"path":"k"}},"watchdog":{"action":"poweroff"}}"#;
    MachineSpec::from_json(text).unwrap()
}

fn read_until(console: &mut ConsoleClient, wanted: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 64];
    while !text(&seen).contains(wanted) {
        let len = console.read(&mut buffer).unwrap();
        assert!(len > 0, "console ended after {:?}", text(&seen));
        seen.extend(&buffer[..len]);
    }
    text(&seen)
}

/// The events up to the last one.
fn events_to_the_end(client: &Client) -> Vec<MachineEvent> {
    let mut events = Vec::new();
    loop {
        let event = client.next_event(SOON).unwrap().expect("an event within the time").known().unwrap();
        events.push(event.clone());
        if let MachineEvent::Stopped(_) = event {
            return events;
        }
    }
}

fn reason(events: &[MachineEvent]) -> ExitReason {
    match events.last() {
        Some(MachineEvent::Stopped(exit)) => exit.reason,
        other => panic!("{other:?} is not the end"),
    }
}

fn refused(result: Result<impl Sized, ClientError>) -> Failure {
    match result {
        Err(ClientError::Refused(failure)) => failure,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn a_machine_is_configured_booted_and_its_end_reported() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "hello");
    let info = client.info().unwrap();
    assert_eq!((info.state, info.pid, info.vcpus), (MachineState::Configured, worker.process.0.id(), 1));
    let mut console = worker.console(0, false);
    client.boot().unwrap();
    let events = events_to_the_end(&client);
    assert_eq!(events[0], MachineEvent::State { state: MachineState::Running });
    assert_eq!(reason(&events), ExitReason::PoweredOff);
    let mut output = String::new();
    console.read_to_string(&mut output).unwrap();
    assert_eq!(output, "hello\n");
    assert_eq!(worker.process.wait(SOON).code(), Some(0));
    assert!(matches!(client.next_event(SOON), Err(ClientError::Gone)));
}

#[test]
fn a_pause_that_a_hanging_vcpu_does_not_follow_has_a_code_of_its_own_and_the_guest_runs_on() {
    if !has_kvm() {
        return;
    }
    let worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "spin");
    client.boot().unwrap();
    read_until(&mut worker.console(0, false), "ready\n");
    let vcpu = thread(worker.process.0.id(), "vcpu0").unwrap();
    if !hang(vcpu) {
        return skip("threads cannot be traced here");
    }
    let failure = refused(client.pause());
    let state = client.info().unwrap().state;
    worker.process.signal(Signal::SIGKILL);
    // What is traced is gone only when its tracer has heard of it.
    let _ = waitpid(vcpu, Some(WaitPidFlag::__WALL));
    assert_eq!((failure.code.text(), state), ("machine.stuck", MachineState::Running), "{failure}");
    assert!(failure.remedy.contains("disks and interfaces"), "{}", failure.remedy);
}

/// What each connection to a console gives, one after the other.
fn outputs_until_refused(path: &Path, first: ConsoleClient) -> Vec<String> {
    let (mut outputs, mut console) = (Vec::new(), first);
    loop {
        let mut output = String::new();
        console.read_to_string(&mut output).unwrap();
        outputs.push(output);
        console = match ConsoleClient::connect(path, hello(0, false)) {
            Ok(next) => next,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return outputs,
            Err(error) => panic!("after {} connections: {error}", outputs.len()),
        };
    }
}

#[test]
fn whoever_gets_into_the_console_of_a_guest_that_ends_at_once_gets_all_of_it() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "hello");
    // Each from before the start, and then again and again until nobody is let in any more.
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (path, first) = (worker.path("console.sock"), worker.console(0, false));
            std::thread::spawn(move || outputs_until_refused(&path, first))
        })
        .collect();
    client.boot().unwrap();
    assert_eq!(reason(&events_to_the_end(&client)), ExitReason::PoweredOff);
    for reader in readers {
        let outputs = reader.join().unwrap();
        assert!(outputs.iter().all(|output| output == "hello\n"), "{outputs:?}");
    }
    assert_eq!(worker.process.wait(SOON).code(), Some(0));
}

/// How many system call filters each thread of a process has, by the name of the thread.
fn filters(pid: u32) -> Vec<(String, u32)> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let filters = threads.map(|thread| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().to_owned()
        };
        assert_eq!(field("Seccomp:"), "2", "{status}");
        (field("Name:"), field("Seccomp_filters:").parse().unwrap())
    });
    // KVM has a thread of its own here, which stays in the kernel and has what the thread had that first ran a vCPU.
    filters.filter(|(name, _)| !name.starts_with("kvm-")).collect()
}

#[test]
fn every_thread_is_filtered_and_a_vcpu_more_than_the_others() {
    if !has_kvm() {
        return;
    }
    let worker = Worker::start();
    let client = worker.client();
    let control = filters(worker.process.0.id());
    let least = control[0].1;
    assert!(least > 0 && control.iter().all(|(_, count)| *count == least), "{control:?}");
    worker.configure(&client, "spin");
    client.boot().unwrap();
    let mut console = worker.console(0, false);
    read_until(&mut console, "ready\n");
    for (name, count) in filters(worker.process.0.id()) {
        let expected = if name.starts_with("vcpu") { 2 * least } else { least };
        assert_eq!(count, expected, "{name}");
    }
}

#[test]
fn crashes_are_told_with_registers_and_by_the_exit_status() {
    if !has_kvm() {
        return;
    }
    for (name, expected, status) in
        [("panic", ExitReason::Panic, 10), ("triple-fault", ExitReason::TripleFault, 11)]
    {
        let mut worker = Worker::start();
        let client = worker.client();
        worker.configure(&client, name);
        client.boot().unwrap();
        let events = events_to_the_end(&client);
        assert_eq!(reason(&events), expected);
        let Some(MachineEvent::Stopped(exit)) = events.last() else { panic!("no end") };
        assert!(exit.registers.as_ref().unwrap().registers.contains_key("rip"));
        assert_eq!(worker.process.wait(SOON).code(), Some(status));
    }
}

#[test]
fn bad_specifications_are_refused_and_a_good_one_still_taken() {
    let worker = Worker::start();
    let client = worker.client();
    let good = serde_json::to_value(spec().to_descriptors().0).unwrap();
    let with = |field: &str, value: Value| {
        let mut spec = good.clone();
        spec[field] = value;
        json!({ "id": "m1", "spec": spec })
    };
    let null = || open("/dev/null");
    let cases = [
        (with("cpus", json!(0)), ErrorCode::SpecCpusOutOfRange, "$.cpus"),
        (with("cpus", json!(1000)), ErrorCode::SpecCpusOutOfRange, "$.cpus"),
        (with("memory", json!(0)), ErrorCode::SpecMemoryTooSmall, "$.memory"),
        (with("memory", json!(1u64 << 50)), ErrorCode::SpecMemoryTooLarge, "$.memory"),
        (with("memory", json!((32 << 20) + 512)), ErrorCode::SpecMemoryUnaligned, "$.memory"),
        (with("memory", json!("1G")), ErrorCode::SpecInvalidType, "$.memory"),
        (with("speed", json!(1)), ErrorCode::SpecUnknownField, "$.speed"),
        (
            with("boot", json!({ "kernel": { "path": "/etc/passwd" } })),
            ErrorCode::SpecDescriptorInvalid,
            "$.boot.kernel",
        ),
        (
            with("boot", json!({ "kernel": { "descriptor": 0 } })),
            ErrorCode::SpecDescriptorInvalid,
            "$.boot.kernel",
        ),
    ];
    for (params, code, path) in cases {
        let descriptors = [null(), null()];
        let riding: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let failure = refused(client.call("configure", params.clone(), &riding));
        assert_eq!((failure.code, failure.path.as_deref()), (code, Some(path)), "{params}");
        assert!(!failure.remedy.is_empty());
    }
    let failure =
        refused(client.call("configure", json!({ "id": "m1", "spec": good, "console": true }), &[]));
    assert_eq!(failure.code, ErrorCode::SpecDescriptorInvalid);
    let failure = refused(client.call("configure", json!({ "id": "m1", "spec": good }), &[null().as_fd()]));
    assert_eq!(failure.code, ErrorCode::SpecDescriptorInvalid);
    let failure = refused(client.call("configure", json!({ "id": "../m1", "spec": good }), &[]));
    assert_eq!(failure.code, ErrorCode::WorkerProtocol);
    if has_kvm() {
        worker.configure(&client, "hello");
        let failure = refused(client.configure(&"m2".parse().unwrap(), &spec(), &[], Outlets::default()));
        assert_eq!(failure.code, ErrorCode::MachineState);
    }
}

#[test]
fn descriptors_that_are_something_else_are_refused() {
    let worker = Worker::start();
    let client = worker.client();
    let id = "m1".parse().unwrap();
    let null_kvm =
        refused(client.configure(&id, &spec(), &[open("/dev/null"), open("/dev/null")], Outlets::default()));
    assert!(
        matches!(null_kvm.code, ErrorCode::KvmMissing | ErrorCode::KvmUnsupported | ErrorCode::Io),
        "{null_kvm:?}"
    );
    if has_kvm() {
        let failure = refused(client.configure(
            &id,
            &spec(),
            &[open("/dev/kvm"), open("/dev/null")],
            Outlets::default(),
        ));
        assert_eq!(failure.path.as_deref(), Some("$.boot.kernel"), "{failure:?}");
        let directory = File::open("/").unwrap().into();
        let failure =
            refused(client.configure(&id, &spec(), &[open("/dev/kvm"), directory], Outlets::default()));
        assert_eq!(
            (failure.code, failure.path.as_deref()),
            (ErrorCode::FileNotRegular, Some("$.boot.kernel"))
        );
    }
    let failure = refused(client.boot());
    assert_eq!((failure.code, failure.remedy.as_str()), (ErrorCode::MachineState, "Call configure first"));
}

#[test]
fn a_client_that_goes_changes_nothing_and_the_next_one_gets_what_it_missed() {
    if !has_kvm() {
        return;
    }
    let worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "ticker");
    client.boot().unwrap();
    let second = Client::connect(&worker.path("control.sock"), &ClientOptions::default());
    assert_eq!(second.err().unwrap().code(), ErrorCode::WorkerBusy);
    let mut console = worker.console(0, false);
    read_until(&mut console, "ready\n..");
    drop(client);
    // Whoever it was may also have left half a message.
    let mut rude = UnixStream::connect(worker.path("control.sock")).unwrap();
    rude.write_all(b"\x40\0\0\0{\"jsonrpc\"").unwrap();
    drop(rude);
    read_until(&mut console, "....................");
    let client = worker.client_after(Some(0));
    assert_eq!(client.welcome().machine.as_ref().unwrap().as_str(), "m1");
    let event = client.next_event(SOON).unwrap().unwrap();
    assert_eq!((event.seq, event.known()), (1, Some(MachineEvent::State { state: MachineState::Running })));
    assert_eq!(client.info().unwrap().state, MachineState::Running);
    let metrics = client.metrics().unwrap();
    let undeclared = metrics.keys().filter(|name| flotilla_spec::metrics::declared(name).is_none());
    assert_eq!(undeclared.collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(metrics["vcpu:0.thread_id"] > u64::from(client.info().unwrap().pid), "{metrics:?}");
}

#[test]
fn a_worker_follows_a_disk_that_grows_and_keeps_it_to_limits() {
    if !has_kvm() {
        return;
    }
    let worker = Worker::start();
    let client = worker.client();
    let path = worker.path("disk");
    let disk = File::create_new(&path).unwrap();
    disk.set_len(4096).unwrap();
    let spec = json!({
        "cpus": 1, "memory": 32 << 20, "boot": { "kernel": { "descriptor": 1 } },
        "disks": [{ "id": "root", "source": { "descriptor": 2 }, "format": "raw" }],
    });
    let spec: MachineSpec = serde_json::from_value(spec).unwrap();
    let kernel = File::open(guest(worker.directory.path(), "ticker")).unwrap();
    let descriptors = vec![
        open("/dev/kvm"),
        kernel.into(),
        File::options().read(true).write(true).open(&path).unwrap().into(),
    ];
    client.configure(&"m1".parse().unwrap(), &spec, &descriptors, Outlets::default()).unwrap();
    client.boot().unwrap();
    disk.set_len(1 << 20).unwrap();
    assert_eq!(client.refresh_disk("root").unwrap(), 1 << 20);
    assert_eq!(refused(client.refresh_disk("other")).code, ErrorCode::DiskUnknown);
    let limits =
        |per_second| LimitsSpec { bytes: None, operations: Some(RateSpec { per_second, burst: None }) };
    let disk = |id: &str| ThrottleTarget::Disk { id: id.to_owned() };
    client.set_throttle(&disk("root"), limits(5)).unwrap();
    assert_eq!(refused(client.set_throttle(&disk("other"), limits(5))).code, ErrorCode::ThrottleUnknown);
    let zero = refused(client.set_throttle(&disk("root"), limits(0)));
    assert_eq!(zero.code, ErrorCode::SpecThrottleInvalid);
    assert_eq!(zero.path.as_deref(), Some("$.limits.operations.perSecond"));
}

#[test]
fn pause_stops_the_guest_and_resume_lets_it_go_on() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "ticker");
    assert_eq!(refused(client.resume()).code, ErrorCode::MachineState);
    client.boot().unwrap();
    read_until(&mut worker.console(0, false), "ready\n.");
    client.pause().unwrap();
    assert_eq!(client.info().unwrap().state, MachineState::Paused);
    let end = worker.console(LIVE, false).welcome().offset;
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(worker.console(LIVE, false).welcome().offset, end);
    client.resume().unwrap();
    wait_until("the guest goes on", || worker.console(LIVE, false).welcome().offset > end);
    client.stop().unwrap();
    assert_eq!(reason(&events_to_the_end(&client)), ExitReason::Killed);
    assert_eq!(worker.process.wait(SOON).code(), Some(13));
}

#[test]
fn the_console_takes_input_from_one_writer() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "echo");
    client.boot().unwrap();
    let mut console = worker.console(0, true);
    read_until(&mut console, "ready\n");
    let taken = ConsoleClient::connect(&worker.path("console.sock"), hello(0, true));
    assert!(taken.is_err());
    let line = "The quick brwn fx jumps ver the lazy dg. ".replace(['r', 't', 'p'], "_");
    console.write_all(line.as_bytes()).unwrap();
    assert!(read_until(&mut console, &line).contains(&line));
    console.write_all(b"o").unwrap();
    assert_eq!(worker.process.wait(SOON).code(), Some(0));
}

#[test]
fn a_guest_reset_starts_it_again_in_the_same_process() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "reboot-once");
    let mut console = worker.console(0, false);
    client.boot().unwrap();
    let events = events_to_the_end(&client);
    assert!(events.contains(&MachineEvent::GuestReset));
    let mut output = String::new();
    console.read_to_string(&mut output).unwrap();
    assert_eq!(output, "first\nsecond\n");
    assert_eq!(worker.process.wait(SOON).code(), Some(0));
}

#[test]
fn signals_of_a_terminal_are_nothing_and_sigterm_is_the_power_button() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "button");
    client.boot().unwrap();
    let mut console = worker.console(0, false);
    read_until(&mut console, "ready");
    for signal in [Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGQUIT] {
        worker.process.signal(signal);
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(client.info().unwrap().state, MachineState::Running);
    client.power_button().unwrap();
    read_until(&mut console, "button");
    assert_eq!(worker.process.wait(SOON).code(), Some(0));

    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "button");
    client.boot().unwrap();
    read_until(&mut worker.console(0, false), "ready");
    drop(client);
    worker.process.signal(Signal::SIGTERM);
    assert_eq!(worker.process.wait(SOON).code(), Some(0));
}

#[test]
fn a_worker_that_nobody_wants_ends() {
    let mut worker = Worker::start();
    drop(worker.client());
    assert_eq!(worker.process.wait(SOON).code(), Some(14));
    assert!(worker.log().contains("status=14"), "{}", worker.log());
}

#[test]
fn a_worker_whose_machine_never_ran_ends_after_its_client() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "hello");
    drop(client);
    assert_eq!(worker.process.wait(SOON).code(), Some(14));
    // A client that comes back in time keeps it.
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "hello");
    drop(client);
    let client = worker.client();
    client.boot().unwrap();
    assert_eq!(reason(&events_to_the_end(&client)), ExitReason::PoweredOff);
    assert_eq!(worker.process.wait(SOON).code(), Some(0));
}

#[test]
fn anything_but_a_listening_socket_is_refused() {
    let (stream, _other) = UnixStream::pair().unwrap();
    for stdin in [Stdio::null(), Stdio::piped(), OwnedFd::from(stream).into()] {
        let mut command = Command::new(BINARY);
        command.arg("serve").stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = support::finish(command);
        assert_eq!(output.status.code(), Some(64));
        assert!(text(&output.stderr).contains("listening UNIX socket"));
    }
}

#[test]
fn the_worker_leads_a_session_of_its_own() {
    let worker = Worker::start();
    let _client = worker.client();
    let stat = fs::read_to_string(format!("/proc/{}/stat", worker.process.0.id())).unwrap();
    let session: u32 = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().parse().unwrap();
    assert_eq!(session, worker.process.0.id());
}

#[test]
fn the_worker_is_in_a_jail_before_it_hears_a_client() {
    let worker = Worker::start();
    let _client = worker.client();
    let process = format!("/proc/{}", worker.process.0.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(!status.contains("Uid:\t0\t"), "a worker is never root: {status}");
    assert!(worker.log().contains("worker is in its jail"), "{}", worker.log());
}

#[test]
fn the_end_and_the_whole_console_outlive_a_worker_that_nobody_watched() {
    if !has_kvm() {
        return;
    }
    let ends = [
        ("echo", ExitReason::PoweredOff, "ready\nabc"),
        ("panic", ExitReason::Panic, "panic\n"),
        ("triple-fault", ExitReason::TripleFault, "fault\n"),
        ("watchdog", ExitReason::Watchdog, "ready\n"),
    ];
    for (name, reason, output) in ends {
        let mut worker = Worker::start();
        let client = worker.client();
        worker.configure(&client, name);
        if name == "echo" {
            client.boot().unwrap();
            let mut console = worker.console(0, true);
            console.write_all(b"abc").unwrap();
            read_until(&mut console, "ready\nabc");
            drop(client);
            console.write_all(b"o").unwrap();
        } else {
            client.boot().unwrap();
            drop(client);
        }
        let start = Instant::now();
        worker.process.wait(SOON);
        assert!(start.elapsed() < LINGER, "it waits for nobody");
        let (console, exit) = worker.left();
        let exit = exit.expect("a worker that ends by itself leaves word");
        assert_eq!((exit.reason, console.as_str()), (reason, output));
        let crashed = matches!(reason, ExitReason::Panic | ExitReason::TripleFault);
        assert_eq!(exit.registers.is_some(), crashed, "{exit:?}");
    }
}

#[test]
fn kill_9_loses_less_of_the_console_than_is_gathered_and_leaves_no_exit() {
    if !has_kvm() {
        return;
    }
    let mut worker = Worker::start();
    let client = worker.client();
    worker.configure(&client, "ticker");
    client.boot().unwrap();
    let seen = read_until(&mut worker.console(0, false), &".".repeat(2 * black_box::GATHER));
    worker.process.signal(Signal::SIGKILL);
    worker.process.wait(SOON);
    let (console, exit) = worker.left();
    assert!(console.starts_with("ready\n"), "{console:?}");
    assert!(console.len() + black_box::GATHER > seen.len(), "{} of {}", console.len(), seen.len());
    assert_eq!(exit, None);
}

#[test]
fn each_call_around_the_end_is_answered_or_refused_at_once() {
    if !has_kvm() {
        return;
    }
    for _ in 0..10 {
        let mut worker = Worker::start();
        let client = worker.client();
        worker.configure(&client, "spin");
        client.boot().unwrap();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                loop {
                    match client.info() {
                        Ok(_) => {}
                        Err(error) => return error,
                    }
                }
            });
            // The answer to what ends the worker comes before the worker ends.
            client.stop().unwrap();
            assert_eq!(asking.join().unwrap().code(), ErrorCode::WorkerGone);
        });
        let start = Instant::now();
        assert_eq!(worker.process.wait(SOON).code(), Some(13));
        assert!(start.elapsed() < LINGER, "nothing is left to wait for");
        assert_eq!(worker.left().1.unwrap().reason, ExitReason::Killed);
    }
}

#[test]
fn a_black_box_that_is_none_is_refused() {
    let worker = Worker::start();
    let client = worker.client();
    let null = open("/dev/null");
    let outlets = Outlets { console: None, black_box: Some(null.as_fd()) };
    let failure = refused(client.configure(
        &"m1".parse().unwrap(),
        &spec(),
        &[open("/dev/null"), open("/dev/null")],
        outlets,
    ));
    assert_eq!((failure.code, failure.path.as_deref()), (ErrorCode::SpecDescriptorInvalid, Some("$")));
    assert!(failure.message.contains("regular file"), "{}", failure.message);
}
