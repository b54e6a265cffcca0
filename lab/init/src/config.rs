// SPDX-License-Identifier: Apache-2.0
//! What the host asks for: NUL-terminated `key=value` records in the first frame.

use crate::{Doing, Failure};

/// Where the command's standard input comes from, and whether it gets a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// A pipe fed by the host.
    Pipe,
    /// A pseudo-terminal for all three streams; its output travels as standard output.
    Terminal,
}

/// One command, and the surroundings it wants.
#[derive(Debug)]
pub struct Config {
    /// Program and its arguments; never empty.
    pub args: Vec<String>,
    /// The command's whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory inside the lab.
    pub cwd: String,
    /// `(virtiofs tag, directory)` pairs mounted read-write over the root.
    pub writable: Vec<(String, String)>,
    /// Standard input.
    pub stdin: Stdin,
    /// First size of the terminal: rows, columns.
    pub window: (u16, u16),
    /// Directory, seen from the host's root, that holds the modules of the lab's kernel.
    pub modules: String,
}

impl Config {
    /// Parses the records; an unknown key means that host and initramfs do not belong together.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let text = std::str::from_utf8(bytes).doing("The command is not valid UTF-8")?;
        let mut config = Self {
            args: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            writable: Vec::new(),
            stdin: Stdin::Null,
            window: (24, 80),
            modules: String::new(),
        };
        for record in text.split_terminator('\0') {
            let (key, value) =
                record.split_once('=').ok_or_else(|| format!("Record without a key: {record}"))?;
            config.set(key, value)?;
        }
        if config.args.is_empty() {
            return Err("There is no command to run".into());
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Failure> {
        match key {
            "arg" => self.args.push(value.into()),
            "env" => self.env.push(pair(value, '=')?),
            "cwd" => self.cwd = value.into(),
            "writable" => self.writable.push(pair(value, ':')?),
            "modules" => self.modules = value.into(),
            "stdin" => self.stdin = stdin(value)?,
            "rows" => self.window.0 = value.parse().doing("rows")?,
            "columns" => self.window.1 = value.parse().doing("columns")?,
            _ => return Err(format!("Unknown record {key}: host and lab are of different versions")),
        }
        Ok(())
    }
}

fn stdin(value: &str) -> Result<Stdin, Failure> {
    match value {
        "null" => Ok(Stdin::Null),
        "pipe" => Ok(Stdin::Pipe),
        "terminal" => Ok(Stdin::Terminal),
        _ => Err(format!("Unknown standard input: {value}")),
    }
}

fn pair(value: &str, separator: char) -> Result<(String, String), Failure> {
    let (left, right) = value.split_once(separator).ok_or_else(|| format!("No '{separator}' in {value}"))?;
    Ok((left.into(), right.into()))
}
