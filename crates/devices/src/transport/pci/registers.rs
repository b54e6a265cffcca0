// SPDX-License-Identifier: Apache-2.0
//! The registers of a function in two parts, each behind a lock of its own.

use super::common::Common;
use crate::pci::bar::Bar;
use crate::pci::config::ConfigSpace;

/// Configuration space and the mapping it asks for.
pub(super) struct Function {
    pub(super) space: ConfigSpace,
    pub(super) bar: Bar,
}

/// Registers and whether the device works on them.
pub(super) struct Transport {
    pub(super) common: Common,
    pub(super) active: bool,
    /// Restored while `DRIVER_OK` was set: activate at the next resume.
    pub(super) activate_on_resume: bool,
}
