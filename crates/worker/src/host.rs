// SPDX-License-Identifier: Apache-2.0
//! What this host can give a machine.

use flotilla_spec::{HostLimits, MAX_CPUS};

/// The limits of this host. More CPUs than the host has are allowed: they take turns.
pub fn limits() -> HostLimits {
    // The system call, not /proc/meminfo: a jailed worker sees no /proc.
    let info = rustix::system::sysinfo();
    HostLimits { memory: info.totalram.saturating_mul(u64::from(info.mem_unit)), cpus: MAX_CPUS }
}
