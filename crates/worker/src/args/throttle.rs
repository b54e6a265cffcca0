// SPDX-License-Identifier: Apache-2.0
//! Limits of a disk, an interface or the entropy device, and `--throttle`, which names limits that several share.

use flotilla_spec::{LimitsSpec, RateSpec, ThrottleGroupSpec, ThrottleSpec};

use super::memory_size;

/// Takes one option of a device's limits. `prefix` comes before each, `operations` is what the device calls them. `false`:
/// it is none of them.
pub(super) fn take(
    throttle: &mut Option<ThrottleSpec>,
    prefix: &str,
    operations: &str,
    (option, value): (&str, &str),
) -> Result<bool, String> {
    let Some(option) = option.strip_prefix(prefix) else { return Ok(false) };
    let of_operations = option.strip_prefix(operations);
    let throttle = match (option, of_operations) {
        ("bps" | "bps-burst" | "throttle", _) | (_, Some("" | "-burst")) => throttle.get_or_insert_default(),
        _ => return Ok(false),
    };
    match (option, of_operations) {
        ("throttle", _) => throttle.group = Some(value.to_owned()),
        ("bps", _) => rate(&mut throttle.bytes).per_second = units(option, value)?,
        ("bps-burst", _) => rate(&mut throttle.bytes).burst = Some(units(option, value)?),
        (_, Some("")) => rate(&mut throttle.operations).per_second = units(option, value)?,
        _ => rate(&mut throttle.operations).burst = Some(units(option, value)?),
    }
    Ok(true)
}

/// A burst may come before its rate. A rate that never comes is zero, which no machine takes.
fn rate(rate: &mut Option<RateSpec>) -> &mut RateSpec {
    rate.get_or_insert(RateSpec { per_second: 0, burst: None })
}

fn units(option: &str, value: &str) -> Result<u64, String> {
    let size = memory_size(value)
        .map_err(|_| format!("{option}={value:?}: give a number, perhaps with K, M or G"))?;
    Ok(size.bytes())
}

/// `--throttle`.
pub(super) fn group(text: &str) -> Result<ThrottleGroupSpec, String> {
    let (mut id, mut throttle) = (None, None);
    for part in text.split(',') {
        let option = part.split_once('=').unwrap_or((part, ""));
        match option {
            ("id", value) => id = Some(value.to_owned()),
            ("throttle", _) => return Err("a group is in no group".to_owned()),
            _ if take(&mut throttle, "", "ops", option)? => {}
            _ => return Err(format!("{part:?} is no option of a group: id, bps, bps-burst, ops, ops-burst")),
        }
    }
    let limits = throttle.map_or_else(LimitsSpec::default, |throttle: ThrottleSpec| throttle.limits());
    Ok(ThrottleGroupSpec { id: id.ok_or("id= is missing")?, limits })
}

/// `--rng-throttle`.
pub(super) fn device(text: &str) -> Result<ThrottleSpec, String> {
    let mut throttle = None;
    for part in text.split(',') {
        if !take(&mut throttle, "", "ops", part.split_once('=').unwrap_or((part, "")))? {
            return Err(format!("{part:?} is no limit: bps, bps-burst, ops, ops-burst, throttle"));
        }
    }
    throttle.ok_or_else(|| "give a limit".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_any_order() {
        let throttle = device("bps-burst=1M,bps=10M,ops=5").unwrap();
        assert_eq!(throttle.bytes, Some(RateSpec { per_second: 10 << 20, burst: Some(1 << 20) }));
        assert_eq!(throttle.operations, Some(RateSpec { per_second: 5, burst: None }));
        let shared = group("id=slow,bps=1K,ops=3,ops-burst=7").unwrap();
        assert_eq!((shared.id.as_str(), shared.limits.operations.unwrap().burst), ("slow", Some(7)));
        assert_eq!(device("throttle=slow").unwrap().group.as_deref(), Some("slow"));
        for bad in ["", "bps", "bps=fast", "speed=3", "rx-bps=1", "iops=3"] {
            assert!(device(bad).is_err(), "{bad}");
        }
        for bad in ["bps=1", "id=a,throttle=b", "id=a,queues=1"] {
            assert!(group(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_tells_two_directions_apart() {
        let (mut receive, mut transmit) = (None, None);
        assert!(take(&mut receive, "rx-", "pps", ("rx-pps", "9")).unwrap());
        assert!(!take(&mut transmit, "tx-", "pps", ("rx-pps", "9")).unwrap());
        assert!(!take(&mut transmit, "tx-", "pps", ("tx-queues", "9")).unwrap());
        assert_eq!((receive.unwrap().operations.unwrap().per_second, transmit), (9, None));
    }
}
