// SPDX-License-Identifier: Apache-2.0
//! The memory balloon.

use std::time::Duration;

use flotilla_devices::virtio::balloon::device::{Balloon, BalloonOptions};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{BalloonSpec, MemorySize, Violation};

use crate::error::BuildError;

pub fn device(spec: &BalloonSpec, memory: MemorySize) -> Result<Balloon, BuildError> {
    let options = BalloonOptions {
        target: spec.target,
        limit: BalloonSpec::limit(memory),
        deflate_on_oom: spec.deflate_on_oom,
        free_page_reporting: spec.free_page_reporting,
        free_page_hinting: spec.free_page_hinting,
        statistics_interval: (spec.statistics_interval > 0)
            .then(|| Duration::from_secs(spec.statistics_interval.into())),
    };
    Balloon::new("balloon", options).map_err(|error| {
        let code = ErrorCode::SpecBalloonInvalid;
        BuildError::Resource(Violation::new(code, "$.balloon.target", error.to_string()))
    })
}
