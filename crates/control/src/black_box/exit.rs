// SPDX-License-Identifier: Apache-2.0
//! The exit report as JSON, and back as if its author were an enemy.

use flotilla_spec::report::{CpuReport, MachineExit};

use super::{BlackBoxError, MAX_EXIT};

/// Most characters of a message.
const MAX_MESSAGE: usize = 2000;
const MAX_REGISTERS: usize = 128;
/// Longest name or value of a register.
const MAX_REGISTER: usize = 64;

/// The report as JSON of at most [`MAX_EXIT`] bytes: what does not fit is left out, the reason never.
pub(super) fn encode(exit: &MachineExit) -> Vec<u8> {
    let json = |exit: &MachineExit| serde_json::to_vec(exit).unwrap_or_default();
    let mut exit = MachineExit { message: exit.message.as_deref().map(clean), ..exit.clone() };
    let whole = json(&exit);
    if whole.len() <= MAX_EXIT {
        return whole;
    }
    exit.registers = None;
    let without = json(&exit);
    if without.len() <= MAX_EXIT { without } else { json(&MachineExit { message: None, ..exit }) }
}

/// The report of untrusted bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<MachineExit, BlackBoxError> {
    let exit: MachineExit =
        serde_json::from_slice(bytes).map_err(|_| BlackBoxError::Exit("it is no report in JSON"))?;
    if !exit.registers.as_ref().is_none_or(plausible) {
        return Err(BlackBoxError::Exit("its registers are too many or no plain text"));
    }
    Ok(MachineExit { message: exit.message.as_deref().map(clean), ..exit })
}

fn plausible(report: &CpuReport) -> bool {
    let plain =
        |text: &String| text.len() <= MAX_REGISTER && text.bytes().all(|byte| byte.is_ascii_graphic());
    report.registers.len() <= MAX_REGISTERS
        && report.registers.iter().all(|(name, value)| plain(name) && plain(value))
}

/// Text that neither fills a log nor steers a terminal.
fn clean(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
