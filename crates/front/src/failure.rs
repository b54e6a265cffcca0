// SPDX-License-Identifier: Apache-2.0
//! The errors of a machine with their code, place and remedy.

use flotilla_control::Failure;
use flotilla_vmm::{BuildError, MachineError, describe};

/// Why a machine could not be built.
pub fn build_failure(error: &BuildError) -> Failure {
    let failure = Failure::new(error.code(), error.describe()).with_remedy(error.remedy());
    match error.field() {
        Some(path) => failure.at(path),
        None => failure,
    }
}

/// Why a machine did not do what it was asked.
pub fn machine_failure(error: &MachineError) -> Failure {
    Failure::new(error.code(), describe(error))
}

#[cfg(test)]
mod tests {
    use flotilla_spec::code::ErrorCode;

    use super::*;

    #[test]
    fn a_device_that_hangs_is_told_by_a_code_of_its_own_and_what_to_look_at() {
        for error in [MachineError::VcpuStuck { cpu: 3 }, MachineError::NoAnswer] {
            let failure = machine_failure(&error);
            assert_eq!(failure.code, ErrorCode::MachineStuck, "{error}");
            assert!(failure.remedy.contains("disks and interfaces"), "{}", failure.remedy);
        }
    }
}
