// SPDX-License-Identifier: Apache-2.0
//! The address space that BARs share: windows to lie in, the bus to be mapped on.

use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::bus::{Bus, BusDevice};
use thiserror::Error;

use super::ranges::RangeAllocator;

/// Where a BAR is placed when the machine is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the window below 4 GiB, for firmware that does not reach higher.
    Below4G,
    /// In the window above 4 GiB.
    Above4G,
}

/// A BAR could not be mapped.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MapError {
    /// The range is in no window.
    #[error("BAR range {start:#x}+{len:#x} lies in no PCI window: move it into one")]
    Outside {
        /// First address.
        start: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Another device answers there.
    #[error("Cannot map BAR: move it to a free range")]
    Bus(#[from] flotilla_device_model::bus::BusError),
    /// The window is full.
    #[error("No room for a BAR of {len:#x} bytes: use fewer devices or a larger window")]
    Full {
        /// Length in bytes.
        len: u64,
    },
}

struct Windows {
    low: RangeAllocator,
    high: RangeAllocator,
}

/// Windows and bus of all functions of a root.
pub struct PciMemory {
    bus: Arc<Bus>,
    windows: Mutex<Windows>,
}

impl PciMemory {
    /// BARs lie in `low` (below 4 GiB) or `high` and answer on `bus`.
    pub fn new(bus: Arc<Bus>, low: RangeAllocator, high: RangeAllocator) -> Self {
        Self { bus, windows: Mutex::new(Windows { low, high }) }
    }

    /// Finds an initial place for a BAR of `len` bytes, a power of two.
    pub fn place(&self, len: u64, placement: Placement) -> Result<u64, MapError> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match placement {
            Placement::Below4G => &mut windows.low,
            Placement::Above4G => &mut windows.high,
        };
        window.allocate(len, len).ok_or(MapError::Full { len })
    }

    /// Moves a mapping from `old` to `new`; `None` is unmapped. After an error it is where it was.
    ///
    /// One move happens at a time, so that the old range cannot be taken by another before a failed move is
    /// rolled back.
    pub fn relocate(
        &self,
        old: Option<u64>,
        new: Option<u64>,
        len: u64,
        device: &Arc<dyn BusDevice>,
    ) -> Result<(), MapError> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(start) = new
            && !windows.low.contains(start, len)
            && !windows.high.contains(start, len)
        {
            return Err(MapError::Outside { start, len });
        }
        if let Some(old) = old {
            self.bus.remove(old);
        }
        let Some(new) = new else { return Ok(()) };
        let moved = self.bus.insert(new, len, Arc::clone(device));
        if let (Err(_), Some(old)) = (&moved, old) {
            // The range was ours under the lock that is still held.
            self.bus.insert(old, len, Arc::clone(device))?;
        }
        Ok(moved?)
    }
}
