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
