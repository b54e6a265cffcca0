// SPDX-License-Identifier: Apache-2.0
//! The terminal in raw mode, for as long as the guest has it.

use std::io::{self, IsTerminal};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Columns and rows of the terminal on the standard input, if there is one.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdin()).ok()?;
    Some((size.ws_col, size.ws_row))
}

/// Puts the terminal on the standard input into raw mode and restores it when dropped, also by a panic. Signals end
/// the machine first (see `signals`), so they come past here too.
pub struct RawMode {
    before: Option<Termios>,
}

impl RawMode {
    /// Enters raw mode, if there is a terminal.
    pub fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}
