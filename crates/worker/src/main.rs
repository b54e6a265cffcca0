// SPDX-License-Identifier: Apache-2.0
//! The `flotilla-vmm` binary: one process, one machine.
//!
//! `run` boots a machine on the terminal of a person; `serve` runs one for a client on a control socket. Both stand
//! on the same crates and differ only in who opens the files and who watches.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod args;
mod exit;
mod host;
mod jail;
mod log;
mod run;
mod serve;
mod signals;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};
use crate::exit::ExitStatus;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; they go to the standard output.
            let _ = error.print();
            return if error.use_stderr() { ExitStatus::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| match arguments.command {
        Command::Run(options) => run::run(*options),
        Command::Serve => serve::serve(),
    }));
    outcome.unwrap_or(ExitStatus::Internal).into()
}
