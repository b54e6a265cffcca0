// SPDX-License-Identifier: Apache-2.0
//! CPUs and memory.

use super::{Faults, HostLimits};
use crate::code::ErrorCode;

/// The most virtual CPUs of a machine.
pub const MAX_CPUS: u32 = 64;
/// The least guest memory in bytes.
pub const MIN_MEMORY: u64 = 16 << 20;
/// Guest memory is a multiple of this many bytes: the page size, because KVM maps whole pages.
pub const MEMORY_ALIGNMENT: u64 = 4096;

pub(super) fn check_cpus(faults: &mut Faults, cpus: u32, limits: &HostLimits) {
    let most = limits.cpus.min(MAX_CPUS);
    if cpus == 0 || cpus > most {
        let message = format!("{cpus} CPUs are not within 1 to {most}");
        faults.add(ErrorCode::SpecCpusOutOfRange, "$.cpus", message);
    }
}

pub(super) fn check_memory(faults: &mut Faults, memory: u64, most: u64) {
    const PATH: &str = "$.memory";
    if memory < MIN_MEMORY {
        let message = format!("{memory} bytes of memory are less than {MIN_MEMORY}");
        faults.add(ErrorCode::SpecMemoryTooSmall, PATH, message);
    }
    if memory > most {
        let message = format!("{memory} bytes of memory are more than the host's {most}");
        faults.add(ErrorCode::SpecMemoryTooLarge, PATH, message);
    }
    if !memory.is_multiple_of(MEMORY_ALIGNMENT) {
        let message = format!("{memory} bytes of memory are not a multiple of {MEMORY_ALIGNMENT}");
        faults.add(ErrorCode::SpecMemoryUnaligned, PATH, message);
    }
}
