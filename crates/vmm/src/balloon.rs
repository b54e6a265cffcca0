// SPDX-License-Identifier: Apache-2.0
//! What is told of the balloon of a machine, and asked of its guest.

use std::time::Duration;

use flotilla_devices::virtio::balloon::device::Balloon;
use flotilla_spec::report::{BalloonReport, BalloonStatistics, ReclaimReport};

use crate::error::MachineError;

/// How long a guest may take to tell how it is off for memory. One that takes longer is told of with what it said before.
const STATISTICS: Duration = Duration::from_secs(1);
/// How long a guest may name what nothing in it uses. It has the rest back then, unnamed.
const HINTS: Duration = Duration::from_secs(4);

/// Asks the guest for all that nothing in it uses and gives it back to the host, for 4 seconds at most.
pub fn reclaim(balloon: &Balloon) -> Result<ReclaimReport, MachineError> {
    let hinted = balloon.hint(HINTS).ok_or(MachineError::NoHinting)?;
    Ok(ReclaimReport { released: hinted.released, complete: hinted.complete })
}

/// The balloon at this moment. With `ask` the guest is asked for new statistics, and waited for a second at most.
pub fn report(balloon: &Balloon, ask: bool) -> BalloonReport {
    if ask {
        balloon.refresh_statistics(STATISTICS);
    }
    let statistics = balloon.statistics().map(|(told, age)| BalloonStatistics {
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        free_memory: told.free_memory,
        available_memory: told.available_memory,
        total_memory: told.total_memory,
        disk_caches: told.disk_caches,
        swap_in: told.swap_in,
        swap_out: told.swap_out,
        major_faults: told.major_faults,
        minor_faults: told.minor_faults,
        hugetlb_allocations: told.hugetlb_allocations,
        hugetlb_failures: told.hugetlb_failures,
    });
    BalloonReport { target: balloon.target(), actual: balloon.actual(), statistics }
}
