// SPDX-License-Identifier: Apache-2.0
//! Limits of devices, and the groups that share some.

use std::collections::HashSet;

use super::{Faults, check_id};
use crate::code::ErrorCode;
use crate::{InterfaceBackend, LimitsSpec, MachineSpec, RateSpec, ThrottleSpec, Violation};

/// The most units of a rate: what a JSON number holds exactly (RFC 8259 §6).
pub const MAX_RATE: u64 = (1 << 53) - 1;
/// The most groups of a machine.
pub const MAX_THROTTLE_GROUPS: usize = 32;

pub(super) fn check_throttles(faults: &mut Faults, spec: &MachineSpec) {
    if spec.throttle_groups.len() > MAX_THROTTLE_GROUPS {
        let message = format!("{} groups are more than {MAX_THROTTLE_GROUPS}", spec.throttle_groups.len());
        faults.add(ErrorCode::SpecThrottleInvalid, "$.throttleGroups", message);
    }
    let mut groups = HashSet::new();
    for (index, group) in spec.throttle_groups.iter().enumerate() {
        let path = format!("$.throttleGroups[{index}]");
        check_id(faults, &path, &group.id, &mut groups);
        check_limits(faults, &format!("{path}.limits"), group.limits);
    }
    let mut check = |path: String, throttle: Option<&ThrottleSpec>, unlimited: Option<&str>| {
        let Some(throttle) = throttle else { return };
        check_throttle(faults, &path, throttle, &groups);
        if let Some(reason) = unlimited {
            faults.add(ErrorCode::SpecThrottleUnsupported, path, reason);
        }
    };
    for (index, disk) in spec.disks.iter().enumerate() {
        check(format!("$.disks[{index}].throttle"), disk.throttle.as_ref(), None);
    }
    for (index, interface) in spec.interfaces.iter().enumerate() {
        let by_kernel = interface.backend == InterfaceBackend::Vhost;
        let unlimited = by_kernel.then_some("vhost-net keeps to no limits");
        let path = format!("$.interfaces[{index}]");
        check(format!("{path}.receiveThrottle"), interface.receive_throttle.as_ref(), unlimited);
        check(format!("{path}.transmitThrottle"), interface.transmit_throttle.as_ref(), unlimited);
    }
    let unlimited = (!spec.rng).then_some("Machine has no entropy device that could be limited");
    check("$.rngThrottle".to_owned(), spec.rng_throttle.as_ref(), unlimited);
}

fn check_throttle(faults: &mut Faults, path: &str, throttle: &ThrottleSpec, groups: &HashSet<&str>) {
    check_limits(faults, path, throttle.limits());
    let Some(group) = &throttle.group else { return };
    if throttle.limits() != LimitsSpec::default() {
        let message = "Device of a group cannot have limits of its own";
        faults.add(ErrorCode::SpecThrottleGroup, path, message);
    } else if !groups.contains(group.as_str()) {
        let message = "Machine has no group of this name";
        faults.add(ErrorCode::SpecThrottleGroup, format!("{path}.group"), message);
    }
}

fn check_limits(faults: &mut Faults, path: &str, limits: LimitsSpec) {
    for (field, rate) in [("bytes", limits.bytes), ("operations", limits.operations)] {
        let Some(RateSpec { per_second, burst }) = rate else { continue };
        for (part, units) in [("perSecond", Some(per_second)), ("burst", burst)] {
            if units.is_some_and(|units| !(1..=MAX_RATE).contains(&units)) {
                let message = format!("Rate is not within 1 to {MAX_RATE}");
                faults.add(ErrorCode::SpecThrottleInvalid, format!("{path}.{field}.{part}"), message);
            }
        }
    }
}

impl LimitsSpec {
    /// Checks limits that come apart from a specification.
    ///
    /// # Errors
    /// Every violation, with paths that begin with `path`.
    pub fn check(self, path: &str) -> Result<(), Vec<Violation>> {
        let mut faults = Faults(Vec::new());
        check_limits(&mut faults, path, self);
        if faults.0.is_empty() { Ok(()) } else { Err(faults.0) }
    }
}
