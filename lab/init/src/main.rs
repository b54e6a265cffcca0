// SPDX-License-Identifier: Apache-2.0
//! First process of the lab: makes the host's root file system usable, runs one command, reports how it ended.
//!
//! It speaks with the host over one virtio-serial port (`wire`), reaps every orphan, and when the command ends
//! kills whatever the command left behind, so that all output has been delivered before the exit status is.
#![forbid(unsafe_code)]

mod boot;
mod config;
mod session;
mod tsc;
mod wire;

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use nix::sys::reboot::{RebootMode, reboot};

/// How long the host gets to take the last frame before the machine powers off.
const FAREWELL: Duration = Duration::from_secs(10);

/// What went wrong, in words for the person who started the lab.
type Failure = String;

/// Turns an error into a [`Failure`] that says what was being done.
trait Doing<T> {
    /// Adds `what` in front of the error's own text.
    fn doing(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--tsc-kilohertz") {
        println!("{}", tsc::kilohertz().unwrap_or_default());
        return;
    }
    if let Err(failure) = run() {
        // Reaches the serial console, which the host prints when the lab fails before the port works.
        let _ = writeln!(std::io::stderr(), "lab init: {failure}");
    }
    nix::unistd::sync();
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn run() -> Result<(), Failure> {
    boot::mount_kernel_file_systems()?;
    boot::load_modules("early")?;
    let port = wire::Port::open()?;
    let last = match serve(&port) {
        Ok(exit) => exit,
        Err(failure) => wire::Frame::Failure(failure),
    };
    port.send(&last)?;
    port.wait_for_host_to_leave(FAREWELL);
    Ok(())
}

fn serve(port: &wire::Port) -> Result<wire::Frame, Failure> {
    boot::load_modules("late")?;
    let config = config::Config::parse(&port.receive_config()?)?;
    boot::enter_host_root(&config)?;
    session::run(port, &config)
}
