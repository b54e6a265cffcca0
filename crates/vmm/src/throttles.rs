// SPDX-License-Identifier: Apache-2.0
//! The limits of a machine: one throttle for each device that has its own, one for each group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use flotilla_device_model::throttle::{Limits, Rate, Throttle};
use flotilla_spec::{LimitsSpec, RateSpec, ThrottleSpec, ThrottleTarget, ValidSpec};

use crate::error::MachineError;

/// All throttles whose limits can be changed.
#[derive(Debug, Default)]
pub struct Throttles(BTreeMap<ThrottleTarget, Arc<Throttle>>);

impl Throttles {
    /// Those of the groups.
    pub fn of_groups(spec: &ValidSpec) -> Self {
        let mut throttles = Self::default();
        for group in &spec.throttle_groups {
            throttles.add(ThrottleTarget::Group { id: group.id.clone() }, group.limits);
        }
        throttles
    }

    /// The throttle of a device: that of its group, or one of its own, which may have no limits yet.
    pub fn of_device(&mut self, target: ThrottleTarget, spec: Option<&ThrottleSpec>) -> Arc<Throttle> {
        let group = spec.and_then(|spec| spec.group.clone());
        let shared = group.and_then(|id| self.0.get(&ThrottleTarget::Group { id }).cloned());
        shared.unwrap_or_else(|| self.add(target, spec.map(ThrottleSpec::limits).unwrap_or_default()))
    }

    fn add(&mut self, target: ThrottleTarget, limits: LimitsSpec) -> Arc<Throttle> {
        let throttle = Arc::new(Throttle::new(in_units(limits), Instant::now()));
        self.0.insert(target, Arc::clone(&throttle));
        throttle
    }

    /// Other limits from now on. The devices must be told to look.
    pub fn change(&self, target: &ThrottleTarget, limits: LimitsSpec) -> Result<(), MachineError> {
        let throttle = self.0.get(target).ok_or(MachineError::NoThrottle)?;
        throttle.change(in_units(limits), Instant::now());
        Ok(())
    }
}

fn in_units(LimitsSpec { bytes, operations }: LimitsSpec) -> Limits {
    let rate = |RateSpec { per_second, burst }| Rate { per_second, burst: burst.unwrap_or(0) };
    Limits { bytes: bytes.map(rate), operations: operations.map(rate) }
}
