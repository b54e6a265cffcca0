// SPDX-License-Identifier: Apache-2.0
//! Runs the command, carries its streams, reaps orphans, and reports its end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::config::{Config, Stdin};
use crate::wire::{Frame, Port};
use crate::{Doing, Failure};

/// A little under what one virtio-serial write carries at once.
const CHUNK: usize = 32 << 10;
/// Pieces of standard input that may wait for a slow reader before the port itself waits.
const QUEUED_INPUT: usize = 64;
/// As shells have it: the program was not found, or found and not executable.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the command to its end and returns the frame that says how it ended.
pub fn run(port: &Port, config: &Config) -> Result<Frame, Failure> {
    std::env::set_current_dir(&config.cwd).map_err(|error| {
        format!("Working directory {}: {error} (in the lab /tmp and /run start empty)", config.cwd)
    })?;
    let (command, terminal) = prepare(config)?;
    let mut child = match start(command) {
        Ok(child) => child,
        Err(error) => return cannot_start(port, config, &error),
    };
    port.send(&Frame::Started)?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let pumps = start_pumps(port, &mut child, terminal.as_ref())?;
    let input = start_input(&mut child, terminal);
    let commands = port.clone();
    thread::spawn(move || obey(&commands, pid, &input));
    let status = reap_until(pid)?;
    // Every other process: closes the last write ends of the pipes, so that the pumps see the end of file.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
    for pump in pumps {
        let _ = pump.join();
    }
    nix::unistd::sync();
    Ok(Frame::Exit(status))
}

/// The command with its streams; in terminal mode also the master side.
fn prepare(config: &Config) -> Result<(Command, Option<File>), Failure> {
    let program = config.args.first().ok_or("There is no command to run")?;
    let terminal = config.stdin == Stdin::Terminal;
    // setsid makes the terminal the controlling one; the command then has job control and ^C.
    let mut command = if terminal { Command::new("/usr/bin/setsid") } else { Command::new(program) };
    if terminal {
        command.arg("--ctty").arg(program);
    }
    command.args(config.args.iter().skip(1)).env_clear().envs(config.env.iter().cloned());
    if !terminal {
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if config.stdin == Stdin::Pipe { Stdio::piped() } else { Stdio::null() });
        return Ok((command, None));
    }
    let size = Winsize { ws_row: config.window.0, ws_col: config.window.1, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).doing("Cannot open a terminal")?;
    let copy = |fd: &OwnedFd| fd.try_clone().doing("Cannot duplicate the terminal");
    command.stdin(copy(&pty.slave)?).stdout(copy(&pty.slave)?).stderr(pty.slave);
    Ok((command, Some(File::from(pty.master))))
}

/// Takes the command by value: its copies of the terminal must be closed here once the child has them.
fn start(mut command: Command) -> io::Result<Child> {
    command.spawn()
}

fn cannot_start(port: &Port, config: &Config, error: &io::Error) -> Result<Frame, Failure> {
    let program = config.args.first().map_or("", String::as_str);
    port.send(&Frame::Error(format!("lab: {program}: {error}\n").into_bytes()))?;
    Ok(Frame::Exit(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }))
}

fn start_pumps(
    port: &Port,
    child: &mut Child,
    terminal: Option<&File>,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut pumps = Vec::new();
    if let Some(master) = terminal {
        pumps.push(pump(
            port.clone(),
            master.try_clone().doing("Cannot duplicate the terminal")?,
            Frame::Output,
        ));
    }
    if let Some(stdout) = child.stdout.take() {
        pumps.push(pump(port.clone(), stdout, Frame::Output));
    }
    if let Some(stderr) = child.stderr.take() {
        pumps.push(pump(port.clone(), stderr, Frame::Error));
    }
    Ok(pumps)
}

fn pump(port: Port, mut source: impl Read + Send + 'static, frame: fn(Vec<u8>) -> Frame) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        // A terminal whose last user is gone answers with an error rather than with an end of file.
        while let Ok(length @ 1..) = source.read(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if port.send(&frame(bytes)).is_err() {
                return;
            }
        }
    })
}

/// A thread that feeds standard input, so that a command which does not read does not hold up signals.
fn start_input(child: &mut Child, terminal: Option<File>) -> SyncSender<Vec<u8>> {
    let (sender, receiver) = sync_channel(QUEUED_INPUT);
    match (terminal, child.stdin.take()) {
        (Some(master), _) => thread::spawn(move || feed(&receiver, master)),
        (None, Some(stdin)) => thread::spawn(move || feed(&receiver, stdin)),
        (None, None) => thread::spawn(move || feed(&receiver, io::sink())),
    };
    sender
}

/// Writes until the end-of-file marker (an empty piece) or until the reader is gone.
fn feed(receiver: &Receiver<Vec<u8>>, mut target: impl Write) {
    while let Ok(bytes) = receiver.recv() {
        if bytes.is_empty() || target.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Carries out what the host sends. When the host goes away the command is killed: nobody can see it any more.
fn obey(port: &Port, command: Pid, input: &SyncSender<Vec<u8>>) {
    while let Ok(Some(frame)) = port.receive() {
        match frame {
            Frame::Input(bytes) => drop(input.send(bytes)),
            Frame::Signal(number) => {
                if let Ok(signal) = Signal::try_from(number) {
                    let _ = killpg(command, signal);
                }
            }
            Frame::Window(rows, columns) => resize(rows, columns),
            _ => {}
        }
    }
    let _ = killpg(command, Signal::SIGKILL);
}

/// Only one terminal is ever in use when a window changes: the first one of this kernel.
fn resize(rows: u16, columns: u16) {
    let _ = Command::new("/usr/bin/stty")
        .args(["-F", "/dev/pts/0", "rows", &rows.to_string(), "columns", &columns.to_string()])
        .spawn();
}

/// Waits for children of every kind until the command itself has ended.
fn reap_until(command: Pid) -> Result<u8, Failure> {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == command => return Ok(status.to_le_bytes()[0]),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                return Ok((128 + signal as i32).to_le_bytes()[0]);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(format!("Lost track of the command: {error}")),
        }
    }
}
