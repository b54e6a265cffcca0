// SPDX-License-Identifier: Apache-2.0
//! Port and memory-mapped I/O: who answers at which address.
//!
//! A lookup clones the `Arc` of the handler and drops the lock before the handler runs, so that a slow
//! device never stops another vCPU.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

/// A device that answers accesses. Widths are 1, 2, 4 or 8; a guest chooses them freely.
pub trait BusDevice: Send + Sync {
    /// Fills `data` from the register at `offset` (relative to the range the device was inserted at).
    fn read(&self, offset: u64, data: &mut [u8]);
    /// Takes `data` for the register at `offset`.
    fn write(&self, offset: u64, data: &[u8]);
}

/// An address range could not be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BusError {
    /// Another device answers in the range.
    #[error("Address range {start:#x}+{len:#x} is taken: place the device elsewhere")]
    Taken {
        /// First address.
        start: u64,
        /// Length in bytes.
        len: u64,
    },
    /// The range is empty or runs past the end of the address space.
    #[error("Address range {start:#x}+{len:#x} is empty or wraps: give a range inside the address space")]
    Invalid {
        /// First address.
        start: u64,
        /// Length in bytes.
        len: u64,
    },
}

#[derive(Clone)]
struct Entry {
    len: u64,
    device: Arc<dyn BusDevice>,
}

/// Address ranges and their devices. Reads of absent hardware give all ones, writes to it vanish.
#[derive(Default)]
pub struct Bus {
    ranges: RwLock<BTreeMap<u64, Entry>>,
}

impl Bus {
    /// An empty bus.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `device` answer at `start..start + len`.
    pub fn insert(&self, start: u64, len: u64, device: Arc<dyn BusDevice>) -> Result<(), BusError> {
        let Some(last) = len.checked_sub(1).and_then(|rest| start.checked_add(rest)) else {
            return Err(BusError::Invalid { start, len });
        };
        let mut ranges = self.ranges.write().unwrap_or_else(PoisonError::into_inner);
        let below = ranges.range(..=last).next_back();
        if below.is_some_and(|(&base, entry)| entry.len > start.saturating_sub(base) || base >= start) {
            return Err(BusError::Taken { start, len });
        }
        ranges.insert(start, Entry { len, device });
        Ok(())
    }

    /// Takes the device away that was inserted at `start`.
    pub fn remove(&self, start: u64) -> Option<Arc<dyn BusDevice>> {
        let mut ranges = self.ranges.write().unwrap_or_else(PoisonError::into_inner);
        ranges.remove(&start).map(|entry| entry.device)
    }

    /// Takes every device away. For the end of a machine: a device may hold the bus that holds it.
    pub fn clear(&self) {
        let mut ranges = self.ranges.write().unwrap_or_else(PoisonError::into_inner);
        let devices = std::mem::take(&mut *ranges);
        drop(ranges);
        // Outside the lock: the drop of a device may come back to this bus.
        drop(devices);
    }

    /// Answers a read; `false` when no device did and `data` holds all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) -> bool {
        let Some((offset, device)) = self.find(address, data.len()) else {
            data.fill(0xff);
            return false;
        };
        device.read(offset, data);
        true
    }

    /// Delivers a write; `false` when no device took it.
    pub fn write(&self, address: u64, data: &[u8]) -> bool {
        let Some((offset, device)) = self.find(address, data.len()) else { return false };
        device.write(offset, data);
        true
    }

    fn find(&self, address: u64, width: usize) -> Option<(u64, Arc<dyn BusDevice>)> {
        let ranges = self.ranges.read().unwrap_or_else(PoisonError::into_inner);
        let (&base, entry) = ranges.range(..=address).next_back()?;
        let offset = address - base;
        let end = offset.checked_add(u64::try_from(width).ok()?)?;
        (end <= entry.len).then(|| (offset, Arc::clone(&entry.device)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    /// Answers with its number and records writes as (offset, length).
    struct Numbered(u8, Mutex<Vec<(u64, usize)>>);

    impl BusDevice for Numbered {
        fn read(&self, _offset: u64, data: &mut [u8]) {
            data.fill(self.0);
        }

        fn write(&self, offset: u64, data: &[u8]) {
            self.1.lock().unwrap().push((offset, data.len()));
        }
    }

    fn numbered(number: u8) -> Arc<Numbered> {
        Arc::new(Numbered(number, Mutex::default()))
    }

    #[test]
    fn absent_hardware_reads_all_ones_and_swallows_writes() {
        let bus = Bus::new();
        let mut data = [0; 4];
        assert!(!bus.read(0, &mut data));
        assert_eq!(data, [0xff; 4]);
        assert!(!bus.write(0, &data));
    }

    #[test]
    fn an_access_over_the_end_reaches_nobody() {
        let bus = Bus::new();
        let device = numbered(1);
        bus.insert(0x10, 4, device.clone()).unwrap();
        assert!(!bus.read(0x12, &mut [0; 4]));
        assert!(!bus.write(0x13, &[0; 2]));
        assert!(bus.write(0x12, &[0; 2]));
        assert_eq!(*device.1.lock().unwrap(), [(2, 2)]);
    }

    #[test]
    fn refuses_ranges_that_overlap_are_empty_or_wrap() {
        let bus = Bus::new();
        bus.insert(0x10, 0x10, numbered(1)).unwrap();
        for (start, len) in [(0x10, 0x10), (0x1f, 1), (0x0f, 2), (0, 0x100), (0x14, 2)] {
            assert_eq!(bus.insert(start, len, numbered(2)), Err(BusError::Taken { start, len }));
        }
        for (start, len) in [(0, 0), (u64::MAX, 2)] {
            assert_eq!(bus.insert(start, len, numbered(2)), Err(BusError::Invalid { start, len }));
        }
        bus.insert(u64::MAX, 1, numbered(3)).unwrap();
        assert!(bus.read(u64::MAX, &mut [0]));
        assert!(!bus.read(u64::MAX, &mut [0; 2]));
        assert!(bus.remove(0x10).is_some() && bus.remove(0x10).is_none());
        bus.insert(0, 0x100, numbered(4)).unwrap();
    }

    #[test]
    fn a_device_may_change_the_bus_that_calls_it() {
        struct Mover(Arc<Bus>);
        impl BusDevice for Mover {
            fn read(&self, _: u64, _: &mut [u8]) {}
            fn write(&self, _: u64, _: &[u8]) {
                let own = self.0.remove(0x10).unwrap();
                self.0.insert(0x20, 4, own).unwrap();
            }
        }
        let bus = Arc::new(Bus::new());
        bus.insert(0x10, 4, Arc::new(Mover(Arc::clone(&bus)))).unwrap();
        assert!(bus.write(0x10, &[0]));
        assert!(bus.read(0x20, &mut [0]) && !bus.read(0x10, &mut [0]));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map_of_bytes(steps in prop::collection::vec((0..3_u8, 0..100_u64, 0..20_u64), 1..100)) {
            let bus = Bus::new();
            let mut model = [None; 128];
            for (number, (what, start, len)) in (0..).zip(steps) {
                let range = usize::try_from(start).unwrap()..usize::try_from(start + len).unwrap();
                match what {
                    0 => {
                        let free = len > 0 && model[range.clone()].iter().all(Option::is_none);
                        prop_assert_eq!(bus.insert(start, len, numbered(number)).is_ok(), free);
                        if free {
                            model[range].fill(Some((number, start)));
                        }
                    }
                    1 => {
                        let held = model[range.start].filter(|(_, base)| *base == start);
                        prop_assert_eq!(bus.remove(start).is_some(), held.is_some());
                        for slot in &mut model {
                            if held.is_some() && *slot == held {
                                *slot = None;
                            }
                        }
                    }
                    _ => {
                        let mut data = [0; 2];
                        let pair = [model[range.start], model[range.start + 1]];
                        let expected = pair[0].filter(|_| pair[0] == pair[1]);
                        prop_assert_eq!(bus.read(start, &mut data), expected.is_some());
                        prop_assert_eq!(data, [expected.map_or(0xff, |(number, _)| number); 2]);
                    }
                }
            }
        }
    }
}
