// SPDX-License-Identifier: Apache-2.0
//! Persistent tap interfaces.

use std::fs;
use std::path::Path;

use flotilla_net::{TapError, tap};
use flotilla_spec::code::ErrorCode;

use crate::HostError;

const LINKS: &str = "/sys/class/net";
/// `IFF_TAP` of `linux/if_tun.h`.
const IFF_TAP: u32 = 0x0002;

/// Creates a tap interface that stays until it is deleted; one that exists is left as it is. With `owner`, that user
/// may use it without privilege; with `multi_queue` a machine may have several queues on it.
pub fn create(name: &str, owner: Option<u32>, multi_queue: bool) -> Result<(), HostError> {
    match tap::create_persistent(name, owner, multi_queue) {
        Err(TapError::Exists { .. }) if is_tap(&Path::new(LINKS).join(name)) => Ok(()),
        other => other.map_err(|error| failed(&error)),
    }
}

/// Deletes a tap interface. One that does not exist is no error, one in use is.
pub fn delete(name: &str) -> Result<(), HostError> {
    match tap::delete(name) {
        Err(TapError::Missing { .. }) => Ok(()),
        other => other.map_err(|error| failed(&error)),
    }
}

/// The tap interfaces of this network namespace whose names begin with `prefix`, sorted.
pub fn list(prefix: &str) -> Result<Vec<String>, HostError> {
    let folder = Path::new(LINKS);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(HostError::file("read", folder))? {
        let entry = entry.map_err(HostError::file("read", folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with(prefix) && is_tap(&entry.path()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_tap(link: &Path) -> bool {
    let Ok(text) = fs::read_to_string(link.join("tun_flags")) else { return false };
    let flags = text.trim().strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    flags.is_some_and(|flags| flags & IFF_TAP != 0)
}

fn failed(error: &TapError) -> HostError {
    let code = match error {
        TapError::Name { .. } => ErrorCode::SpecTapInvalid,
        TapError::Missing { .. } => ErrorCode::TapMissing,
        TapError::Busy { .. } => ErrorCode::TapBusy,
        TapError::Denied { .. } => ErrorCode::FileDenied,
        _ => ErrorCode::Io,
    };
    HostError::Argument { code, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn refuses_names_that_no_link_can_have() {
        for name in ["", "a/b", "..", "sixteen-letters-", "tap%d"] {
            assert_eq!(create(name, None, false).unwrap_err().code(), ErrorCode::SpecTapInvalid, "{name}");
        }
    }

    #[test]
    fn makes_lists_and_deletes_a_tap_where_it_may() {
        let name = format!("flt{}", std::process::id());
        match create(&name, None, false) {
            Err(error) if error.code() == ErrorCode::FileDenied => {
                assert!(
                    !std::env::var("REQUIRE_KVM").is_ok_and(|value| value == "1"),
                    "REQUIRE_KVM=1: {error}"
                );
                let _ = writeln!(std::io::stderr(), "SKIPPED: {error}");
                return;
            }
            other => other.unwrap(),
        }
        create(&name, None, false).unwrap();
        assert_eq!(list(&name).unwrap(), [name.as_str()]);
        delete(&name).unwrap();
        delete(&name).unwrap();
        assert_eq!(list(&name).unwrap(), [""; 0]);
        assert_eq!(create("lo", None, false).unwrap_err().code(), ErrorCode::Io);
    }
}
