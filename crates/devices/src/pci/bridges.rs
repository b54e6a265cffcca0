// SPDX-License-Identifier: Apache-2.0
//! The two bridges that system software expects on a Q35 board (Intel Q35 and ICH9 data sheets). They carry
//! registers to read; what they describe is built into the machine and does not change when they are written.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::PciFunction;
use super::config::{ConfigSpace, Register};

const KIND: &str = "pci-bridge";
const VERSION: u32 = 1;

/// A function that only has registers.
pub struct Bridge {
    name: &'static str,
    config: Mutex<ConfigSpace>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BridgeState {
    name: String,
    config: Vec<u8>,
}

/// The host bridge 8086:29c0. `ecam` is the base of 256 MiB of ECAM space, a multiple of its size.
pub fn host_bridge(ecam: u64) -> Bridge {
    /// `PCIEXBAREN` of `PCIEXBAR`; size bits 0 mean 256 MiB.
    const PCIEXBAR_ENABLE: u64 = 1;
    let registers = [
        Register::constant(0x00, 4, 0x29c0_8086),
        Register::writable(0x04, 2, 0x0006, 0x0146),
        Register::constant(0x08, 4, 0x0600_0000),
        Register::constant(0x60, 8, ecam | PCIEXBAR_ENABLE),
        // PAM and SMRAM: kept, without effect, for firmware that switches its shadow memory.
        Register::writable(0x90, 7, 0, 0x33_3333_3333_3330),
        Register::writable(0x9d, 1, 0x02, 0x70),
    ];
    Bridge { name: "pci-host-bridge", config: Mutex::new(ConfigSpace::new(&registers)) }
}

/// The ISA bridge 8086:2918 with the power management ports at `pm_base` and the SCI on interrupt 9.
pub fn isa_bridge(pm_base: u16) -> Bridge {
    /// `ACPI_EN` of `ACPI_CNTL`; SCI selection bits 0 mean interrupt 9.
    const ACPI_ENABLE: u64 = 1 << 7;
    /// A PIRQ register that routes nowhere.
    const PIRQ_OFF: u64 = 0x8080_8080;
    let registers = [
        Register::constant(0x00, 4, 0x2918_8086),
        Register::writable(0x04, 2, 0x0007, 0x0147),
        Register::constant(0x08, 4, 0x0601_0002),
        Register::constant(0x40, 4, u64::from(pm_base) | 1),
        Register::constant(0x44, 1, ACPI_ENABLE),
        Register::writable(0x60, 4, PIRQ_OFF, 0x8f8f_8f8f),
        Register::writable(0x64, 1, 0x10, 0xd3),
        Register::writable(0x68, 4, PIRQ_OFF, 0x8f8f_8f8f),
    ];
    Bridge { name: "pci-isa-bridge", config: Mutex::new(ConfigSpace::new(&registers)) }
}

impl Bridge {
    fn config(&self) -> MutexGuard<'_, ConfigSpace> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PciFunction for Bridge {
    fn read_config(&self, offset: u16, data: &mut [u8]) {
        self.config().read(offset, data);
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        self.config().write(offset, data);
    }
}

impl Lifecycle for Bridge {
    fn name(&self) -> &str {
        self.name
    }

    fn reset(&self) {
        self.config().reset();
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        let state = BridgeState { name: self.name.to_owned(), config: self.config().save() };
        DeviceState::pack(KIND, VERSION, &state)
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let saved: BridgeState = state.unpack(KIND, VERSION)?;
        let mut config = self.config();
        if saved.name != self.name || !config.accepts(&saved.config) {
            return Err(StateError::Impossible { kind: KIND, field: "config" });
        }
        config.restore(&saved.config);
        Ok(())
    }
}
