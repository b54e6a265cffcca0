// SPDX-License-Identifier: Apache-2.0
//! The memory balloon.

use super::Faults;
use super::resources::{MEMORY_ALIGNMENT, MIN_MEMORY};
use crate::code::ErrorCode;
use crate::{BalloonSpec, MachineSpec, MemorySize};

/// The longest time in seconds between two times that a guest is asked for statistics.
pub const MAX_STATISTICS_INTERVAL: u32 = 86_400;

impl BalloonSpec {
    /// The most bytes that the balloon of a machine with `memory` may be asked to hold: what is left is the least a machine has.
    pub fn limit(memory: MemorySize) -> u64 {
        memory.bytes().saturating_sub(MIN_MEMORY)
    }
}

pub(super) fn check_balloon(faults: &mut Faults, spec: &MachineSpec, balloon: &BalloonSpec) {
    let (target, limit) = (balloon.target, BalloonSpec::limit(spec.memory));
    if target > limit || !target.is_multiple_of(MEMORY_ALIGNMENT) {
        let message = format!("Balloon of {target} bytes is not whole pages of 4096, or more than {limit}");
        faults.add(ErrorCode::SpecBalloonInvalid, "$.balloon.target", message);
    }
    if balloon.statistics_interval > MAX_STATISTICS_INTERVAL {
        let message = format!("{} seconds are more than a day", balloon.statistics_interval);
        faults.add(ErrorCode::SpecBalloonInvalid, "$.balloon.statisticsInterval", message);
    }
    let options = &spec.memory_options;
    if options.lock {
        let message = "Locked memory stays with the machine: the host takes none of it back";
        faults.add(ErrorCode::SpecMemoryConflict, "$.balloon", message);
    }
    if options.backing.is_hugetlb() {
        let message = "Pages of the pool are reserved for the machine: another could take those it gave back";
        faults.add(ErrorCode::SpecMemoryConflict, "$.balloon", message);
    }
    if options.prefault && balloon.free_page_reporting {
        let message = "Memory that is committed in advance would go back as soon as the guest starts";
        faults.add(ErrorCode::SpecMemoryConflict, "$.balloon.freePageReporting", message);
    }
}
