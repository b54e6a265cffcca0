// SPDX-License-Identifier: Apache-2.0
//! `--watchdog`.

use flotilla_spec::{WatchdogAction, WatchdogSpec};

pub(super) fn watchdog(text: &str) -> Result<WatchdogSpec, String> {
    let Some(("action", value)) = text.split_once('=') else {
        return Err(format!("{text:?} is no option of a watchdog: action"));
    };
    let found = WatchdogAction::ALL.into_iter().find(|action| action.text() == value);
    let action = found.ok_or_else(|| {
        let known = WatchdogAction::ALL.map(WatchdogAction::text).join(", ");
        format!("{value:?} is no action of a watchdog: {known}")
    })?;
    Ok(WatchdogSpec { action })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_has_an_action() {
        for action in WatchdogAction::ALL {
            assert_eq!(watchdog(&format!("action={}", action.text())), Ok(WatchdogSpec { action }));
        }
        for bad in ["", "reset", "action", "action=", "action=bark", "action=reset,timeout=3"] {
            assert!(watchdog(bad).is_err(), "{bad}");
        }
    }
}
