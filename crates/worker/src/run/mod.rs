// SPDX-License-Identifier: Apache-2.0
//! `flotilla-vmm run`: a machine on the terminal of a person. The one place that opens files by path.

mod escape;
mod ports;
mod spec;
mod stdio;
mod terminal;

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use flotilla_control::Failure;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineExit};
use flotilla_spec::{ConsoleSpec, SerialSpec, ValidSpec};
use flotilla_vmm::{Console, IgnoreEvents, Machine, MachineOptions, Resources, named};
use tracing::level_filters::LevelFilter;

use crate::args::{RunOptions, Terminal};
use crate::exit::ExitStatus;
use crate::signals::{self, Request};
use crate::{host, log};
use ports::Ports;

/// How long a guest may take to switch itself off after the power button was pressed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a machine that was ended from outside may still write what its guest wrote.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

enum Message {
    Request(Request),
    Ended(MachineExit),
}

/// Runs the machine and says how it ended.
pub fn run(options: RunOptions) -> ExitStatus {
    log::start(LevelFilter::WARN);
    match boot_and_watch(options) {
        Ok(exit) => {
            report(&exit);
            ExitStatus::of(&exit)
        }
        Err(failure) => {
            complain(&failure);
            ExitStatus::of_error(failure.code)
        }
    }
}

fn boot_and_watch(options: RunOptions) -> Result<MachineExit, Failure> {
    let (ports, dark) = (options.port.clone(), options.console == Some(Terminal::Null));
    let spec = spec::from_options(options)?.validate(&host::limits()).map_err(Failure::invalid_spec)?;
    let (sender, receiver) = mpsc::channel();
    let io = |error: std::io::Error| Failure::new(ErrorCode::Io, error.to_string());
    signals::listen(sender.clone(), false, Message::Request).map_err(io)?;
    let on_serial = matches!(spec.serial, SerialSpec::Console | SerialSpec::Stdio);
    let console = Console::new();
    let mut ports = Ports::listen(ports)?;
    let machine = build(spec, Arc::clone(&console))?;
    ports.serve(&machine).map_err(io)?;
    let terminal = if on_serial { Some(&console) } else { machine.consoles().get(ConsoleSpec::TERMINAL) };
    let terminal = terminal.filter(|_| on_serial || !dark);
    let resize = || {
        if let Some((console, (columns, rows))) = terminal.zip(terminal::size()) {
            console.set_size(columns, rows);
        }
    };
    resize();
    machine.boot().map_err(|error| flotilla_front::machine_failure(&error))?;
    let attached =
        terminal.map(|console| stdio::attach(console, &sender, Message::Request)).transpose().map_err(io)?;
    watch_end(&machine, sender).map_err(io)?;
    let exit = wait(&machine, &receiver, resize);
    if let Some(attached) = attached {
        let limit = (exit.reason == ExitReason::Killed).then(|| Instant::now() + LAST_OUTPUT);
        attached.finish(|| {
            limit.is_some_and(|limit| Instant::now() >= limit)
                || asked_within(&receiver, Duration::from_millis(5))
        });
    }
    Ok(exit)
}

/// Whether a signal or an escape comes within that time: whoever sends one does not wait for output.
fn asked_within(messages: &Receiver<Message>, limit: Duration) -> bool {
    match messages.recv_timeout(limit) {
        Ok(Message::Request(Request::PowerOff | Request::Stop)) => true,
        Ok(Message::Ended(_) | Message::Request(Request::Resized)) | Err(RecvTimeoutError::Timeout) => false,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(limit);
            false
        }
    }
}

fn build(spec: ValidSpec, console: Arc<Console>) -> Result<Machine, Failure> {
    let resources = Resources::open(&spec)?;
    let options = MachineOptions::new(Arc::new(IgnoreEvents), console);
    Machine::build(spec, resources, options).map_err(|error| flotilla_front::build_failure(&error))
}

fn watch_end(machine: &Machine, to: Sender<Message>) -> std::io::Result<()> {
    let machine = machine.clone();
    let wait = move || {
        if let Some(exit) = machine.wait(None) {
            let _ = to.send(Message::Ended(exit));
        }
    };
    named("watch").spawn(wait).map(drop)
}

/// Carries out requests until the machine has ended.
fn wait(machine: &Machine, messages: &Receiver<Message>, resize: impl Fn()) -> MachineExit {
    let mut deadline: Option<Instant> = None;
    loop {
        let left =
            deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match messages.recv_timeout(left.min(Duration::from_hours(1))) {
            Ok(Message::Ended(exit)) => return exit,
            Ok(Message::Request(Request::Resized)) => resize(),
            // A second request, or a machine without a guest that listens, ends it.
            Ok(Message::Request(Request::PowerOff))
                if deadline.is_none() && machine.power_button().is_ok() =>
            {
                deadline = Some(Instant::now() + PATIENCE);
            }
            Err(RecvTimeoutError::Timeout) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            Ok(Message::Request(_)) | Err(_) => {
                // It ends either way; the exit follows as a message.
                let _ = machine.stop();
                deadline = None;
            }
        }
    }
}

fn report(exit: &MachineExit) {
    use ExitReason::{Error, Killed, Panic, PoweredOff, Reset, TripleFault, Watchdog};
    let text = match exit.reason {
        PoweredOff | Killed => return,
        Reset => "The guest asked for a reset; onReboot is stop",
        Panic => "The guest kernel panicked",
        TripleFault => "A virtual CPU met a triple fault",
        Watchdog => "The guest did not reset its watchdog in time",
        Error => exit.message.as_deref().unwrap_or("The machine could not go on"),
    };
    say(text);
    let Some(report) = &exit.registers else { return };
    if report.after_reset {
        return say(&format!("cpu {}: its registers are lost, KVM has reset it", report.cpu));
    }
    let values: Vec<String> =
        report.registers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    say(&format!("cpu {}: {}", report.cpu, values.join(" ")));
}

fn complain(failure: &Failure) {
    if failure.violations.is_empty() {
        let at = failure.path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default();
        say(&format!("{} [{}{at}]", failure.message, failure.code));
        say(&format!("  {}", failure.remedy));
    }
    for fault in &failure.violations {
        say(&format!("{} [{} at {}]", fault.message, fault.code, fault.path));
        say(&format!("  {}", fault.remedy));
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "flotilla-vmm: {text}");
}
