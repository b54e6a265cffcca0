// SPDX-License-Identifier: Apache-2.0
//! The jail from inside. Nothing here can be undone, so each scenario runs in a process of its own: this program
//! starts itself once for each, and looks at how it ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

use flotilla_sandbox::filters::{self, ThreadKind};
use flotilla_sandbox::{Outcome, Policy, SandboxError, Step, enter};

const SCENARIO: &str = "JAIL_SCENARIO";
const KVM_GET_API_VERSION: libc::c_ulong = 0xae00;
const KVM_CREATE_VM: libc::c_ulong = 0xae01;

/// How a scenario must end.
#[derive(Clone, Copy)]
enum End {
    Well,
    Killed,
}

struct Scenario {
    name: &'static str,
    needs_root: bool,
    end: End,
    run: fn(),
}

const fn well(name: &'static str, needs_root: bool, run: fn()) -> Scenario {
    Scenario { name, needs_root, end: End::Well, run }
}

const fn killed(name: &'static str, run: fn()) -> Scenario {
    Scenario { name, needs_root: false, end: End::Killed, run }
}

const SCENARIOS: &[Scenario] = &[
    well("sees no file of the host", true, sees_no_file),
    well("is nobody and stays nobody", true, is_nobody),
    well("sees no network of the host", true, sees_no_network),
    well("keeps only the descriptors it was to keep", true, keeps_descriptors),
    well("still makes virtual machines through a descriptor", true, makes_machines),
    well("dumps no core and opens few descriptors", true, has_limits),
    well("starts threads, which are in the jail as well", true, starts_threads),
    well("refuses to jail a process with other threads", false, refuses_threads),
    well("refuses to become root", true, refuses_root),
    well("says what an unprivileged user goes without", true, reports_what_is_missing),
    well("takes nothing less when strict", true, is_strict),
    well("lets each kind of thread do its work", false, filters_let_work),
    well("answers an attempt to open a file with an error", false, filters_refuse_files),
    well("survives a panic with its backtrace", false, filters_let_panics),
    well("lets threads signal each other and read their limits", false, filters_let_signal),
    well("lets the control side make a ring, and answers a vCPU with an error", false, filters_refuse_rings),
    killed("no thread executes a program", || forbidden(ThreadKind::Control, execute)),
    killed("the control side opens no socket", || forbidden(ThreadKind::Control, open_socket)),
    killed("the control side makes no process", || forbidden(ThreadKind::Control, fork)),
    killed("the control side signals no other process", || forbidden(ThreadKind::Control, signal_init)),
    killed("the control side signals no thread of another process", || {
        forbidden(ThreadKind::Control, signal_thread);
    }),
    killed("the control side limits no other process", || forbidden(ThreadKind::Control, limit_other)),
    killed("the control side places no process", || forbidden(ThreadKind::Control, place_other)),
    killed("no descriptor signals another process", || forbidden(ThreadKind::Control, own_descriptor)),
    killed("no socket signals another process", || forbidden(ThreadKind::Control, own_socket)),
    killed("the control side pairs only local sockets", || forbidden(ThreadKind::Control, pair_netlink)),
    killed("a ring gets no other setting", || forbidden(ThreadKind::Control, extend_ring)),
    killed("a vCPU signals no thread of another process", || forbidden(ThreadKind::Vcpu, signal_thread)),
    killed("an I/O thread signals no thread of another process", || forbidden(ThreadKind::Io, signal_thread)),
    killed("a vCPU executes no program", || forbidden(ThreadKind::Vcpu, execute)),
    killed("a vCPU takes no descriptors", || forbidden(ThreadKind::Vcpu, take_descriptors)),
    killed("a vCPU makes no request of a terminal", || forbidden(ThreadKind::Vcpu, inject_input)),
    killed("an I/O thread makes no request of KVM", || forbidden(ThreadKind::Io, ask_kvm)),
    killed("an I/O thread starts no thread", || forbidden(ThreadKind::Io, start_thread)),
    killed("a thread cannot widen the filter it inherited", widen),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(SCENARIO) {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        (scenario.run)();
        return ExitCode::SUCCESS;
    }
    let failed = SCENARIOS.iter().filter(|scenario| !check(scenario)).count();
    // The line of cargo's own harness, for whoever adds up results; a skipped scenario is told apart by its own line.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    say(&format!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored;",
        SCENARIOS.len() - failed
    ));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether this host is to have everything.
fn required() -> bool {
    std::env::var("REQUIRE_KVM").is_ok_and(|value| value == "1")
}

fn check(scenario: &Scenario) -> bool {
    let Scenario { name, needs_root, end, .. } = *scenario;
    // SAFETY: takes no memory.
    if needs_root && unsafe { libc::geteuid() } != 0 {
        let verdict = if required() { "FAILED: REQUIRE_KVM=1" } else { "SKIPPED" };
        say(&format!("{verdict}: {name} needs root"));
        return !required();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env(SCENARIO, name).env("RUST_BACKTRACE", "1").stdin(Stdio::null()).stdout(Stdio::null());
    let output = child.stderr(Stdio::piped()).output().unwrap();
    let good = match end {
        End::Well => output.status.success(),
        End::Killed => output.status.signal() == Some(libc::SIGSYS),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if good {
        let skipped: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).collect();
        // A line of its own, which whoever adds up results counts.
        let (mark, rest) = if skipped.is_empty() { ("ok", "") } else { ("SKIPPED", ": a part of it: ") };
        say(&format!("{mark}: {name}{rest}{}", skipped.join(", ")));
    } else {
        say(&format!("FAILED: {name}: {}\n{said}", output.status));
    }
    good
}

fn jail() -> flotilla_sandbox::Report {
    enter(&Policy::default()).unwrap()
}

fn refused<T>(result: &io::Result<T>) -> bool {
    result.is_err()
}

fn sees_no_file() {
    let report = jail();
    for step in [Step::Namespaces, Step::EmptyRoot] {
        assert_eq!(report.outcome(step), Some(&Outcome::Applied), "{report}");
    }
    for path in ["/etc/passwd", "/proc/self/status", "/dev/null", "/tmp", "../../../etc/passwd", "/root"] {
        assert!(refused(&File::open(path)), "{path}");
    }
    for path in ["/x", "x", "/tmp/x"] {
        assert!(refused(&File::create(path)), "{path}");
    }
    assert!(refused(&std::fs::create_dir("/d")));
    // With Landlock the root cannot even be listed, without it there is nothing to list.
    assert!(std::fs::read_dir("/").map_or(0, Iterator::count) == 0);
}

fn is_nobody() {
    jail();
    let mut ids = [0; 6];
    let [r, e, s, gr, ge, gs] = &mut ids;
    // SAFETY: writes three ids to three places.
    assert_eq!(unsafe { libc::getresuid(&raw mut *r, &raw mut *e, &raw mut *s) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::getresgid(&raw mut *gr, &raw mut *ge, &raw mut *gs) }, 0);
    assert_eq!(ids, [65_534; 6]);
    // SAFETY: takes no memory.
    assert_eq!(unsafe { libc::setuid(0) }, -1);
    // SAFETY: a null list of length 0 only asks for the number.
    assert_eq!(unsafe { libc::getgroups(0, std::ptr::null_mut()) }, 0);
    // SAFETY: takes no memory.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, -1);
}

fn sees_no_network() {
    let before = interface(2);
    jail();
    assert_eq!(interface(2), None, "the host had {before:?}");
    assert!(refused(&std::net::TcpStream::connect("127.0.0.1:22")));
}

/// The name of an interface of this network namespace.
fn interface(index: u32) -> Option<String> {
    let mut name = [0_u8; libc::IF_NAMESIZE];
    // SAFETY: writes at most IF_NAMESIZE bytes to a buffer of that size.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    (!found.is_null()).then(|| String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
}

fn keeps_descriptors() {
    let kept = tempfile::tempfile().unwrap();
    let leaked = File::open("/etc").unwrap().into_raw_fd();
    enter(&Policy { keep: vec![kept.as_raw_fd()], ..Policy::default() }).unwrap();
    kept.write_all_at(b"still here", 0).unwrap();
    let mut back = [0; 10];
    kept.read_exact_at(&mut back, 0).unwrap();
    assert_eq!(&back, b"still here");
    // SAFETY: takes no memory.
    assert_eq!(unsafe { libc::fcntl(leaked, libc::F_GETFD) }, -1, "a directory of the host is still open");
    // SAFETY: takes no memory.
    assert_ne!(unsafe { libc::fcntl(2, libc::F_GETFD) }, -1);
}

fn kvm() -> Option<File> {
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    if kvm.is_err() {
        assert!(!required(), "REQUIRE_KVM=1 and /dev/kvm cannot be opened");
        say("SKIPPED: no /dev/kvm");
    }
    kvm.ok()
}

fn request(descriptor: RawFd, request: libc::c_ulong) -> libc::c_int {
    // SAFETY: the requests used here take a plain number.
    unsafe { libc::ioctl(descriptor, request, 0) }
}

fn makes_machines() {
    let Some(kvm) = kvm() else { return };
    enter(&Policy { keep: vec![kvm.as_raw_fd()], ..Policy::default() }).unwrap();
    assert_eq!(request(kvm.as_raw_fd(), KVM_GET_API_VERSION), 12);
    assert!(request(kvm.as_raw_fd(), KVM_CREATE_VM) >= 0, "{}", io::Error::last_os_error());
}

fn has_limits() {
    enter(&Policy { max_descriptors: 20, ..Policy::default() }).unwrap();
    let limit = |resource| {
        let mut limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: writes one rlimit.
        assert_eq!(unsafe { libc::getrlimit(resource, &raw mut limit) }, 0);
        (limit.rlim_cur, limit.rlim_max)
    };
    assert_eq!(limit(libc::RLIMIT_CORE), (0, 0));
    assert_eq!(limit(libc::RLIMIT_NOFILE), (20, 20));
    assert_eq!(limit(libc::RLIMIT_FSIZE).0, libc::RLIM_INFINITY);
}

fn starts_threads() {
    jail();
    let inside = std::thread::spawn(|| refused(&File::open("/etc/passwd")));
    assert!(inside.join().unwrap());
}

fn refuses_threads() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || receiver.recv());
    assert!(matches!(enter(&Policy::default()), Err(SandboxError::Threads { count: 2 })));
    assert!(File::open("/etc/passwd").is_ok());
    drop(sender);
    let _ = other.join().unwrap();
}

fn refuses_root() {
    let policy = Policy { user: 0, ..Policy::default() };
    assert!(matches!(enter(&policy), Err(SandboxError::RootUser)));
}

fn become_user() {
    // SAFETY: takes no memory.
    assert_eq!(unsafe { libc::setresuid(1000, 1000, 1000) }, 0);
}

fn reports_what_is_missing() {
    become_user();
    let report = jail();
    for step in [Step::Namespaces, Step::EmptyRoot, Step::User] {
        assert!(matches!(report.outcome(step), Some(Outcome::Skipped(_))), "{report}");
    }
    assert_eq!(report.outcome(Step::NoNewPrivileges), Some(&Outcome::Applied));
    assert!(!report.is_complete() && report.to_string().contains("not applied"));
    match report.outcome(Step::Landlock) {
        Some(Outcome::Skipped(why)) => say(&format!("SKIPPED: Landlock: {why}")),
        _ => assert!(refused(&File::open("/etc/passwd"))),
    }
}

fn is_strict() {
    become_user();
    let policy = Policy { strict: true, ..Policy::default() };
    assert!(matches!(enter(&policy), Err(SandboxError::Incomplete { .. })));
}

fn filters_let_work() {
    let kvm = kvm();
    let (mut reader, mut writer) = io::pipe().unwrap();
    let file = tempfile::tempfile().unwrap();
    filters::apply(ThreadKind::Control).unwrap();
    let vcpu = std::thread::Builder::new().name("vcpu0".to_owned()).spawn(move || {
        filters::apply(ThreadKind::Vcpu).unwrap();
        if let Some(kvm) = kvm {
            assert_eq!(request(kvm.as_raw_fd(), KVM_GET_API_VERSION), 12);
            assert!(request(kvm.as_raw_fd(), KVM_CREATE_VM) >= 0);
        }
        let io = std::thread::Builder::new().name("virtio-block".to_owned()).spawn(move || {
            filters::apply(ThreadKind::Io).unwrap();
            file.write_all_at(&[1; 512], 512).unwrap();
            file.sync_data().unwrap();
            writer.write_all(b"done").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
            drop(vec![0_u8; 8 << 20]);
        });
        io.unwrap().join().unwrap();
    });
    vcpu.unwrap().join().unwrap();
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "done");
}

fn filters_refuse_files() {
    let thread = |kind| {
        let thread = std::thread::spawn(move || {
            filters::apply(kind).unwrap();
            File::open("/etc/passwd").unwrap_err().raw_os_error()
        });
        assert_eq!(thread.join().unwrap(), Some(libc::EACCES));
    };
    thread(ThreadKind::Io);
    thread(ThreadKind::Vcpu);
}

fn filters_let_panics() {
    for kind in [ThreadKind::Io, ThreadKind::Vcpu, ThreadKind::Control] {
        let thread = std::thread::spawn(move || {
            filters::apply(kind).unwrap();
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
    }
}

/// Signal 0 reaches nobody.
fn tgkill(process: libc::pid_t, thread: libc::pid_t) -> libc::c_long {
    // SAFETY: takes no memory.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) }
}

fn filters_let_signal() {
    // SAFETY: takes no argument and cannot fail.
    let first = unsafe { libc::gettid() };
    let process = libc::pid_t::try_from(std::process::id()).unwrap();
    filters::apply(ThreadKind::Control).unwrap();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) }, 0);
    for kind in [ThreadKind::Vcpu, ThreadKind::Io] {
        let other = std::thread::spawn(move || {
            filters::apply(kind).unwrap();
            tgkill(process, first)
        });
        assert_eq!(other.join().unwrap(), 0);
    }
    assert_eq!(tgkill(process, first), 0);
}

/// Asks for a ring of one entry. The error, if there is one.
fn ring() -> Option<i32> {
    // `struct io_uring_params` has 120 bytes; all zero asks for nothing special.
    let mut parameters = [0_u64; 15];
    // SAFETY: reads and writes one io_uring_params.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    (ring < 0).then(|| io::Error::last_os_error().raw_os_error()).flatten()
}

fn filters_refuse_rings() {
    let allowed = ring();
    filters::apply(ThreadKind::Control).unwrap();
    assert_eq!(ring(), allowed);
    let vcpu = std::thread::spawn(|| {
        filters::apply(ThreadKind::Vcpu).unwrap();
        ring()
    });
    assert_eq!(vcpu.join().unwrap(), Some(libc::EACCES));
}

fn forbidden(kind: ThreadKind, act: fn()) {
    filters::apply(kind).unwrap();
    act();
}

fn widen() {
    filters::apply(ThreadKind::Io).unwrap();
    filters::apply(ThreadKind::Control).unwrap();
    ask_kvm();
}

fn execute() {
    let arguments: [*const libc::c_char; 2] = [c"/bin/true".as_ptr(), std::ptr::null()];
    // SAFETY: a C string and a list that ends with a null pointer.
    unsafe { libc::execv(arguments[0], arguments.as_ptr()) };
}

fn open_socket() {
    // SAFETY: takes no memory.
    unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
}

fn fork() {
    // SAFETY: the child, should there be one, does nothing but end.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
}

fn signal_init() {
    // SAFETY: takes no memory, and signal 0 does nothing.
    unsafe { libc::kill(1, 0) };
}

fn signal_thread() {
    tgkill(1, 1);
}

fn limit_other() {
    // SAFETY: null pointers neither set nor read a limit.
    unsafe { libc::prlimit(1, libc::RLIMIT_CORE, std::ptr::null(), std::ptr::null_mut()) };
}

fn place_other() {
    // SAFETY: a null mask of length 0 is not read.
    unsafe { libc::sched_setaffinity(1, 0, std::ptr::null()) };
}

fn own_descriptor() {
    // SAFETY: takes no memory.
    unsafe { libc::fcntl(0, libc::F_SETOWN, 1) };
}

fn own_socket() {
    // FIOSETOWN
    request(0, 0x8901);
}

fn pair_netlink() {
    let mut pair = [0; 2];
    // SAFETY: writes at most two descriptors.
    unsafe { libc::socketpair(libc::AF_NETLINK, libc::SOCK_RAW, 0, pair.as_mut_ptr()) };
}

fn extend_ring() {
    // SAFETY: IORING_REGISTER_BUFFERS of no ring and no buffers.
    unsafe { libc::syscall(libc::SYS_io_uring_register, -1, 0, std::ptr::null::<u8>(), 0) };
}

fn take_descriptors() {
    // SAFETY: the descriptor is not open, so the message is not looked at.
    unsafe { libc::recvmsg(-1, std::ptr::null_mut(), 0) };
}

fn inject_input() {
    request(0, libc::TIOCSTI);
}

fn ask_kvm() {
    request(-1, KVM_GET_API_VERSION);
}

fn start_thread() {
    let _ = std::thread::Builder::new().spawn(|| ()).map(std::thread::JoinHandle::join);
}
