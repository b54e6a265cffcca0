// SPDX-License-Identifier: Apache-2.0
//! virtiofsd: a process that serves one folder to one guest.
//!
//! It gets a listening socket whose one connection is ours already, and ends by itself when that is closed; so nobody has to
//! remember it, and it outlives its starter as the worker does. It is locked in twice: here into a copy of the mounts with
//! the folder alone to find, and by itself into namespaces whose root is that folder, with few capabilities and system calls.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::jail::{Jail, PLACE};
use crate::{ShareError, front};

/// Where distributions put the program: it is in no `PATH`. Debian 12 has it with QEMU.
const PLACES: [&str; 4] = [
    "/usr/local/libexec/virtiofsd",
    "/usr/libexec/virtiofsd",
    "/usr/lib/virtiofsd",
    "/usr/lib/qemu/virtiofsd",
];
/// How long it may take to end after a failure; then what it said is complete.
const LAST_WORDS: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(5);
/// Most of its complaints that are read.
const MAX_SAID: u64 = 4096;

/// The program, if this host has it.
pub fn program() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Starts a process that serves the folder, and waits until it answers; our end of its socket.
pub fn start(folder: &OwnedFd, read_only: bool) -> Result<OwnedFd, ShareError> {
    let program = program().ok_or(ShareError::Missing)?;
    let host = |step| move |source| ShareError::Host { step, source };
    let (ours, theirs) = connected_pair().map_err(host("make a socket for"))?;
    let jail = Jail { socket: theirs.as_raw_fd(), folder: folder.as_raw_fd(), read_only };
    let child = command(&program, jail).spawn();
    drop(theirs);
    let mut child = child.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ShareError::Missing,
        io::ErrorKind::PermissionDenied => ShareError::Denied(source),
        _ => ShareError::Host { step: "start", source },
    })?;
    let stderr = child.stderr.take();
    // The one that was started has started another and is gone.
    child.wait().map_err(host("wait for"))?;
    match front::wait_until_ready(&ours) {
        Ok(()) => Ok(ours.into()),
        Err(error) => {
            drop(ours);
            let said = stderr.map(last_words).filter(|said| !said.is_empty());
            Err(ShareError::Failed { said: said.unwrap_or_else(|| error.to_string()) })
        }
    }
}

/// A connection, and the listening socket that it waits at. Nobody else can have come first: the directory of the socket is
/// this user's alone, and gone afterwards.
fn connected_pair() -> io::Result<(UnixStream, UnixListener)> {
    let directory = tempfile::Builder::new().prefix("flotilla-share-").tempdir()?;
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path)?;
    Ok((UnixStream::connect(&path)?, listener))
}

fn command(program: &Path, jail: Jail) -> Command {
    let mut command = Command::new(program);
    // Secrets of ours may be in the environment.
    command.env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.arg(format!("--fd={}", jail.socket));
    // Attributes, locks and device files of the guest stay in the guest.
    let source = format!("source={}", PLACE.to_string_lossy());
    for option in [&source, "sandbox=namespace", "cache=auto", "modcaps=-mknod:-setfcap"] {
        command.args(["-o", option]);
    }
    // SAFETY: what runs between fork and exec makes system calls and takes neither memory nor locks.
    unsafe { command.pre_exec(move || jail.enter()) };
    command
}

/// The last line that says something.
fn last_words(stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let deadline = Instant::now() + LAST_WORDS;
    let _ = rustix::fs::fcntl_setfl(&stderr, OFlags::NONBLOCK);
    let mut stderr = stderr.take(MAX_SAID);
    while let Err(error) = stderr.read_to_end(&mut said) {
        if error.kind() != io::ErrorKind::WouldBlock || Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(STEP);
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().chars().filter(|letter| !letter.is_control()).take(200).collect()
}
