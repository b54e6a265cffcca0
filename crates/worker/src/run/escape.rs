// SPDX-License-Identifier: Apache-2.0
//! What a person types: input for the guest, with commands behind ^].

/// ^].
const ESCAPE: u8 = 0x1d;

/// A command typed after ^].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `x`: end the machine.
    Stop,
    /// `p`: press the power button.
    PowerButton,
}

/// Takes commands out of what is typed; knows whether the last byte was ^].
#[derive(Debug, Default)]
pub struct Escape {
    pending: bool,
}

impl Escape {
    /// Splits typed bytes into input for the guest and the commands between. An unknown command is dropped.
    pub fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, Vec<Command>) {
        let mut input = Vec::with_capacity(typed.len());
        let mut commands = Vec::new();
        for &byte in typed {
            match (std::mem::take(&mut self.pending), byte) {
                (false, ESCAPE) => self.pending = true,
                (false, _) | (true, ESCAPE) => input.push(byte),
                (true, b'x' | b'X') => commands.push(Command::Stop),
                (true, b'p' | b'P') => commands.push(Command::PowerButton),
                (true, _) => {}
            }
        }
        (input, commands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_behind_the_escape_also_across_reads() {
        let mut escape = Escape::default();
        assert_eq!(escape.filter(b"ls\r"), (b"ls\r".to_vec(), vec![]));
        assert_eq!(escape.filter(b"a\x1dpb"), (b"ab".to_vec(), vec![Command::PowerButton]));
        assert_eq!(escape.filter(b"\x1d"), (vec![], vec![]));
        assert_eq!(escape.filter(b"x"), (vec![], vec![Command::Stop]));
        assert_eq!(escape.filter(b"\x1d\x1dx"), (b"\x1dx".to_vec(), vec![]));
        assert_eq!(escape.filter(b"\x1dq\x03"), (b"\x03".to_vec(), vec![]));
    }
}
