// SPDX-License-Identifier: Apache-2.0
//! `--console` and `--port`.

use std::path::PathBuf;

use clap::ValueEnum;
use flotilla_spec::{ConsolePortSpec, ConsoleSpec, SerialSpec};

use super::RunOptions;

/// Where the terminal of the console device leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Terminal {
    /// The terminal of this process.
    Stdio,
    /// Nowhere.
    Null,
}

/// A port of the console device, and the socket that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in the guest.
    pub name: String,
    /// The UNIX socket that programs of the host connect to.
    pub path: PathBuf,
}

pub(super) fn port(text: &str) -> Result<Port, String> {
    let (mut name, mut path) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("name", value)) => name = Some(value.to_owned()),
            Some(("path", value)) => path = Some(PathBuf::from(value)),
            _ => return Err(format!("{part:?} is no option of a port: name, path")),
        }
    }
    Ok(Port { name: name.ok_or("name= is missing")?, path: path.ok_or("path= is missing")? })
}

impl RunOptions {
    /// The console device that the flags mean.
    pub fn console_spec(&self) -> Option<ConsoleSpec> {
        let ports = self.port.iter().map(|port| ConsolePortSpec { name: port.name.clone() }).collect();
        (self.console.is_some() || !self.port.is_empty()).then_some(ConsoleSpec { ports })
    }

    /// Where the serial port leads: one of the two has the terminal.
    pub fn serial_spec(&self) -> SerialSpec {
        let other =
            || if self.console == Some(Terminal::Stdio) { SerialSpec::Null } else { SerialSpec::Stdio };
        self.serial.clone().unwrap_or_else(other)
    }

    /// The kernel's command line. Without one it speaks where the terminal is.
    pub fn command_line(&self) -> String {
        let port = if self.console == Some(Terminal::Stdio) { "hvc0" } else { "ttyS0" };
        self.cmdline.clone().unwrap_or_else(|| format!("console={port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_a_name_and_a_path() {
        let expected = Port { name: "agent.0".to_owned(), path: "/run/a".into() };
        assert_eq!(port("name=agent.0,path=/run/a"), Ok(expected));
        for bad in ["", "name=a", "path=/a", "name=a,path=/a,mode=raw"] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }
}
