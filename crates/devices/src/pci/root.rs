// SPDX-License-Identifier: Apache-2.0
//! From a configuration access to the function that answers it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::PciFunction;

/// Bytes of ECAM space per function (PCI Express 4.0 §7.2.2).
const ECAM_FUNCTION_LEN: u64 = 4096;
/// Bytes of ECAM space for 256 buses.
pub const ECAM_LEN: u64 = 256 << 20;
/// Enable bit of `CONFIG_ADDRESS` (PCI 3.0 §3.2.2.3.2).
const CONFIG_ADDRESS_ENABLE: u32 = 1 << 31;

/// Bus, device and function numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf(u16);

impl Bdf {
    /// `None` when `device` is above 31 or `function` above 7.
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device > 31 || function > 7 {
            return None;
        }
        Some(Self(((bus as u16) << 8) | ((device as u16) << 3) | function as u16))
    }

    /// Device number, 0 to 31.
    pub fn device(self) -> u16 {
        self.0 >> 3 & 0x1f
    }
}

impl std::fmt::Display for Bdf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.0 >> 8, self.device(), self.0 & 7)
    }
}

/// A function could not be added.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SlotError {
    /// Another function is there.
    #[error("PCI function {bdf} is taken: choose a free device number")]
    Taken {
        /// Where.
        bdf: Bdf,
    },
}

/// The root complex: functions by their numbers. As a [`BusDevice`] it answers ECAM accesses.
#[derive(Default)]
pub struct PciRoot {
    functions: RwLock<BTreeMap<Bdf, Arc<dyn PciFunction>>>,
}

impl PciRoot {
    /// A root without functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function.
    pub fn insert(&self, bdf: Bdf, function: Arc<dyn PciFunction>) -> Result<(), SlotError> {
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        if functions.contains_key(&bdf) {
            return Err(SlotError::Taken { bdf });
        }
        functions.insert(bdf, function);
        Ok(())
    }

    /// All functions in order of their numbers.
    pub fn functions(&self) -> Vec<(Bdf, Arc<dyn PciFunction>)> {
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.iter().map(|(bdf, function)| (*bdf, Arc::clone(function))).collect()
    }

    /// Reads a register; all ones where there is no function.
    pub fn read_config(&self, bdf: Bdf, offset: u16, data: &mut [u8]) {
        match self.find(bdf) {
            Some(function) if is_inside_dword(offset, data.len()) => function.read_config(offset, data),
            Some(function) if is_two_dwords(offset, data.len()) => {
                let (low, high) = data.split_at_mut(4);
                function.read_config(offset, low);
                function.read_config(offset + 4, high);
            }
            _ => data.fill(0xff),
        }
    }

    /// Writes a register; ignored where there is no function.
    pub fn write_config(&self, bdf: Bdf, offset: u16, data: &[u8]) {
        let Some(function) = self.find(bdf) else { return };
        if is_inside_dword(offset, data.len()) {
            function.write_config(offset, data);
        } else if is_two_dwords(offset, data.len()) {
            let (low, high) = data.split_at(4);
            function.write_config(offset, low);
            function.write_config(offset + 4, high);
        }
    }

    fn find(&self, bdf: Bdf) -> Option<Arc<dyn PciFunction>> {
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        functions.get(&bdf).map(Arc::clone)
    }
}

fn is_inside_dword(offset: u16, len: usize) -> bool {
    matches!(len, 1 | 2 | 4) && usize::from(offset % 4) + len <= 4
}

fn is_two_dwords(offset: u16, len: usize) -> bool {
    len == 8 && offset.is_multiple_of(8)
}

/// The function and register of an ECAM offset.
fn decode_ecam(offset: u64) -> Option<(Bdf, u16)> {
    let bdf = Bdf(u16::try_from(offset / ECAM_FUNCTION_LEN).ok()?);
    Some((bdf, u16::try_from(offset % ECAM_FUNCTION_LEN).ok()?))
}

impl BusDevice for PciRoot {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match decode_ecam(offset) {
            Some((bdf, register)) => self.read_config(bdf, register, data),
            None => data.fill(0xff),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let Some((bdf, register)) = decode_ecam(offset) {
            self.write_config(bdf, register, data);
        }
    }
}

/// Ports 0xCF8 to 0xCFF: `CONFIG_ADDRESS`, `CONFIG_DATA` and, in between, the reset control byte at 0xCF9.
pub struct ConfigPorts {
    root: Arc<PciRoot>,
    reset_control: Arc<dyn BusDevice>,
    address: Mutex<u32>,
}

const KIND: &str = "pci-config-ports";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortsState {
    address: u32,
}

impl ConfigPorts {
    /// Ports to the functions of `root`. Byte accesses to 0xCF9 go to `reset_control`, at its offset 0.
    pub fn new(root: Arc<PciRoot>, reset_control: Arc<dyn BusDevice>) -> Self {
        Self { root, reset_control, address: Mutex::new(0) }
    }

    fn address(&self) -> u32 {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_address(&self, address: u32) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// The function and register that an access to `CONFIG_DATA` reaches.
    fn target(&self, offset: u64) -> Option<(Bdf, u16)> {
        let address = self.address();
        let within = u16::try_from(offset.checked_sub(4)?).ok()?;
        if address & CONFIG_ADDRESS_ENABLE == 0 || within > 3 {
            return None;
        }
        let bdf = Bdf(u16::try_from(address >> 8 & 0xffff).ok()?);
        Some((bdf, u16::try_from(address & 0xfc).ok()? + within))
    }
}

impl BusDevice for ConfigPorts {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match (offset, data.len()) {
            (0, 4) => data.copy_from_slice(&self.address().to_le_bytes()),
            (1, 1) => self.reset_control.read(0, data),
            (4.., 1 | 2 | 4) => match self.target(offset) {
                Some((bdf, register)) => self.root.read_config(bdf, register, data),
                None => data.fill(0xff),
            },
            _ => data.fill(0xff),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match (offset, data) {
            (0, &[a, b, c, d]) => self.set_address(u32::from_le_bytes([a, b, c, d])),
            (1, [_]) => self.reset_control.write(0, data),
            (4.., _) if data.len() <= 4 => {
                if let Some((bdf, register)) = self.target(offset) {
                    self.root.write_config(bdf, register, data);
                }
            }
            _ => {}
        }
    }
}

impl Lifecycle for ConfigPorts {
    fn name(&self) -> &'static str {
        KIND
    }

    fn reset(&self) {
        self.set_address(0);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &PortsState { address: self.address() })
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let PortsState { address } = state.unpack(KIND, VERSION)?;
        self.set_address(address);
        Ok(())
    }
}
