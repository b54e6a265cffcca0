// SPDX-License-Identifier: Apache-2.0
//! Saved state of vCPUs and of the machine's parts in the kernel.
//!
//! Each state begins with its kind and version. The registers inside are KVM's own structures as byte arrays, which
//! stay readable when a newer kernel appends to them. A state that is read back is untrusted: its header and sizes
//! are checked here, its values by KVM, which checks them as it does those of any user program.
//!
//! Order of saving: devices, vCPUs, machine. Order of restoring: machine's clock, vCPUs, the rest of the machine
//! ([`crate::Vm::restore`] does both parts), devices.

pub(crate) mod vcpu;
mod vm;

use serde::{Deserialize, Serialize};

pub use crate::msr::Msr;
pub use vcpu::VcpuState;
pub use vm::{Clock, ClockPolicy, VmState};

use crate::HypervisorError;

/// What a state is and how it is laid out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What wrote it.
    pub kind: String,
    /// Version of the layout, from 1. Fields may be added with a default; anything else raises it.
    pub version: u32,
}

impl Header {
    fn new(kind: &str, version: u32) -> Self {
        Self { kind: kind.to_owned(), version }
    }

    fn check(&self, kind: &str, known: u32) -> Result<(), HypervisorError> {
        if self.kind != kind {
            return Err(HypervisorError::State {
                reason: "it is of another kind: restore it where it belongs",
            });
        }
        if self.version == 0 || self.version > known {
            return Err(HypervisorError::State {
                reason: "its version is unknown here: use the build that wrote it",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_another_kind_or_version_is_refused() {
        assert!(Header::new("vcpu", 1).check("vcpu", 1).is_ok());
        assert!(Header::new("vm", 1).check("vcpu", 1).is_err());
        assert!(Header::new("vcpu", 2).check("vcpu", 1).is_err());
        assert!(Header::new("vcpu", 0).check("vcpu", 1).is_err());
    }
}
