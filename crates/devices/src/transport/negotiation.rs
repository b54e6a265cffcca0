// SPDX-License-Identifier: Apache-2.0
//! The device status field and the features (virtio 1.2 §2.1, §3.1.1) as a state machine.

/// `ACKNOWLEDGE`.
pub const ACKNOWLEDGE: u8 = 1;
/// `DRIVER`.
pub const DRIVER: u8 = 2;
/// `DRIVER_OK`.
pub const DRIVER_OK: u8 = 4;
/// `FEATURES_OK`.
pub const FEATURES_OK: u8 = 8;
/// `DEVICE_NEEDS_RESET`.
pub const DEVICE_NEEDS_RESET: u8 = 0x40;
/// `FAILED`.
pub const FAILED: u8 = 0x80;
/// `VIRTIO_F_VERSION_1` as a mask.
pub const F_VERSION_1: u64 = 1 << 32;

/// What a status write means for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusChange {
    /// Nothing, or only progress inside the negotiation.
    Progress,
    /// The driver is ready: activate.
    Activate,
    /// The driver wants a reset.
    Reset,
    /// The write breaks the protocol and was ignored.
    Refused,
}

/// Status bits set by the driver, and the features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiation {
    offered: u64,
    status: u8,
    accepted: u64,
}

impl Negotiation {
    /// Nothing negotiated. `VERSION_1` is offered in any case.
    pub fn new(device_features: u64) -> Self {
        Self { offered: device_features | F_VERSION_1, status: 0, accepted: 0 }
    }

    /// The driver's bits of the status field.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// The features the driver wrote; agreed on once `FEATURES_OK` is set.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Whether the driver may set up queues now.
    pub fn allows_queues(&self) -> bool {
        self.status & (FEATURES_OK | DRIVER_OK | FAILED) == FEATURES_OK
    }

    /// 32 of the offered features; pages from 2 on hold none.
    pub fn offered_page(&self, page: u32) -> u32 {
        page_of(self.offered, page)
    }

    /// 32 of the features the driver wrote.
    pub fn accepted_page(&self, page: u32) -> u32 {
        page_of(self.accepted, page)
    }

    /// Takes 32 features of the driver; `false` outside the phase for it.
    pub fn accept_page(&mut self, page: u32, value: u32) -> bool {
        if self.status != ACKNOWLEDGE | DRIVER {
            return false;
        }
        match page {
            0 => self.accepted = self.accepted & !0xffff_ffff | u64::from(value),
            1 => self.accepted = self.accepted & 0xffff_ffff | u64::from(value) << 32,
            _ => return value == 0,
        }
        true
    }

    /// Takes a write of the status field. `DEVICE_NEEDS_RESET` belongs to the device and is ignored here.
    pub fn write_status(&mut self, value: u8) -> StatusChange {
        let value = value & !DEVICE_NEEDS_RESET;
        if value == 0 {
            return StatusChange::Reset;
        }
        let new = value & !self.status;
        if self.status & !value != 0 {
            return StatusChange::Refused;
        }
        match (new, self.status) {
            (0, _) => StatusChange::Progress,
            // Small firmware drivers set both bits at once.
            (ACKNOWLEDGE | 0b11, 0) | (DRIVER, ACKNOWLEDGE) | (FAILED, _) => self.progress(new),
            (FEATURES_OK, 0b11) if self.is_acceptable() => self.progress(new),
            // The driver reads the status back and finds the bit missing.
            (FEATURES_OK, 0b11) => StatusChange::Progress,
            (DRIVER_OK, 0b1011) => {
                self.status |= new;
                StatusChange::Activate
            }
            _ => StatusChange::Refused,
        }
    }

    /// Back to the beginning.
    pub fn reset(&mut self) {
        self.status = 0;
        self.accepted = 0;
    }

    /// Takes over saved values; `false`, changing nothing, when no driver could have reached them.
    pub fn restore(&mut self, status: u8, accepted: u64) -> bool {
        let reachable = matches!(status & !FAILED, 0 | 1 | 0b11 | 0b1011 | 0b1111);
        let candidate = Self { offered: self.offered, status, accepted };
        if !reachable || status & FEATURES_OK != 0 && !candidate.is_acceptable() {
            return false;
        }
        *self = candidate;
        true
    }

    fn is_acceptable(&self) -> bool {
        self.accepted & !self.offered == 0 && self.accepted & F_VERSION_1 != 0
    }

    fn progress(&mut self, new: u8) -> StatusChange {
        self.status |= new;
        StatusChange::Progress
    }
}

fn page_of(features: u64, page: u32) -> u32 {
    let [low, high] = [features & 0xffff_ffff, features >> 32];
    let page = match page {
        0 => low,
        1 => high,
        _ => 0,
    };
    u32::try_from(page).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_new_bit_at_a_time_in_order() {
        for (from, value, change) in [
            (0, 1, StatusChange::Progress),
            (1, 3, StatusChange::Progress),
            (0, 3, StatusChange::Progress),
            (0, 2, StatusChange::Refused),
            (3, 2, StatusChange::Refused),
            (3, 7, StatusChange::Refused),
            (3, 15, StatusChange::Refused),
            (11, 15, StatusChange::Activate),
            (11, 11, StatusChange::Progress),
            (11, 0x8b, StatusChange::Progress),
            (15, 0x40, StatusChange::Reset),
            (15, 0, StatusChange::Reset),
            (15, 0x10, StatusChange::Refused),
        ] {
            let mut negotiation = Negotiation { offered: F_VERSION_1, status: from, accepted: F_VERSION_1 };
            assert_eq!(negotiation.write_status(value), change, "{from} -> {value}");
        }
    }

    #[test]
    fn features_ok_does_not_stick_for_features_never_offered() {
        let mut negotiation = Negotiation::new(1);
        negotiation.write_status(3);
        assert!(negotiation.accept_page(1, 1));
        assert!(negotiation.accept_page(0, 2));
        negotiation.write_status(11);
        assert_eq!(negotiation.status(), 3);
        assert!(negotiation.accept_page(0, 1));
        negotiation.write_status(11);
        assert_eq!(negotiation.status(), 11);
        assert!(!negotiation.accept_page(0, 0), "features are settled");
        assert_eq!((negotiation.offered_page(2), negotiation.offered_page(u32::MAX)), (0, 0));
    }
}
