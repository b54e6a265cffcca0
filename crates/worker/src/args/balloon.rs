// SPDX-License-Identifier: Apache-2.0
//! `--balloon`.

use flotilla_spec::BalloonSpec;

use super::memory_size;

pub(super) fn balloon(text: &str) -> Result<BalloonSpec, String> {
    let mut balloon = BalloonSpec::default();
    let switch = |value: &str| match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{value:?} is neither on nor off")),
    };
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("target", value)) => balloon.target = memory_size(value)?.bytes(),
            Some(("oom", value)) => balloon.deflate_on_oom = switch(value)?,
            Some(("reporting", value)) => balloon.free_page_reporting = switch(value)?,
            Some(("hinting", value)) => balloon.free_page_hinting = switch(value)?,
            Some(("statistics", value)) => {
                balloon.statistics_interval = value.parse().map_err(|error| format!("{value:?}: {error}"))?;
            }
            _ => {
                return Err(format!(
                    "{part:?} is no option of a balloon: target, oom, reporting, hinting, statistics"
                ));
            }
        }
    }
    Ok(balloon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balloon_has_a_target_and_switches() {
        let balloon = balloon("target=64M,oom=off,reporting=on,hinting=on,statistics=5");
        let expected = BalloonSpec {
            target: 64 << 20,
            deflate_on_oom: false,
            free_page_reporting: true,
            free_page_hinting: true,
            statistics_interval: 5,
        };
        assert_eq!(balloon, Ok(expected));
        assert_eq!(super::balloon("target=0"), Ok(BalloonSpec::default()));
        for bad in ["", "target=much", "oom=maybe", "hinting=1", "statistics=-1", "size=1"] {
            assert!(super::balloon(bad).is_err(), "{bad}");
        }
    }
}
