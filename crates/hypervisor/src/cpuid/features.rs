// SPDX-License-Identifier: Apache-2.0
//! Features: single bits, and what hangs together.

use super::{Cpuid, CpuidEntry, set};

/// An output register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the registers say it all")]
pub enum CpuidRegister {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// Leaf of the extended state: which parts there are, how large each is and where it lies.
const EXTENDED_STATE: u32 = 0xd;
/// x87 and SSE registers, which lie in the fixed part.
const FIXED_STATE: u32 = 3;
/// Bytes of the fixed part with the header behind it (Intel SDM volume 1, "XSAVE-Managed State").
const FIXED_SIZE: u32 = 576;

/// The parts of the extended state that belong to features: (leaf, register, bit of the feature, bits of the parts).
const STATE_OF: &[(u32, CpuidRegister, u32, u32)] = &[
    (0x1, CpuidRegister::Ecx, 28, 1 << 2),            // AVX
    (0x7, CpuidRegister::Ebx, 14, 1 << 3 | 1 << 4),   // MPX
    (0x7, CpuidRegister::Ebx, 16, 7 << 5),            // AVX-512
    (0x7, CpuidRegister::Ecx, 3, 1 << 9),             // protection keys
    (0x7, CpuidRegister::Edx, 24, 1 << 17 | 1 << 18), // AMX tiles
];

impl CpuidEntry {
    fn value(&self, register: CpuidRegister) -> u32 {
        match register {
            CpuidRegister::Eax => self.eax,
            CpuidRegister::Ebx => self.ebx,
            CpuidRegister::Ecx => self.ecx,
            CpuidRegister::Edx => self.edx,
        }
    }

    fn value_mut(&mut self, register: CpuidRegister) -> &mut u32 {
        match register {
            CpuidRegister::Eax => &mut self.eax,
            CpuidRegister::Ebx => &mut self.ebx,
            CpuidRegister::Ecx => &mut self.ecx,
            CpuidRegister::Edx => &mut self.edx,
        }
    }
}

impl Cpuid {
    /// Whether a bit is set.
    pub fn has(&self, function: u32, index: u32, register: CpuidRegister, bit: u32) -> bool {
        self.leaf(function, index).is_some_and(|leaf| leaf.value(register) >> (bit & 31) & 1 == 1)
    }

    /// Clears in a register every bit that `kept` does not have.
    pub fn mask(&mut self, function: u32, index: u32, register: CpuidRegister, kept: u32) {
        for entry in &mut self.entries {
            if entry.function == function && entry.index == index {
                *entry.value_mut(register) &= kept;
            }
        }
    }

    /// Removes leaves: they read as zero.
    pub fn remove(&mut self, functions: &[u32]) {
        self.entries.retain(|entry| !functions.contains(&entry.function));
    }

    /// Whether the guest could run virtual machines: VMX or SVM.
    pub fn has_virtualization(&self) -> bool {
        self.has(0x1, 0, CpuidRegister::Ecx, 5) || self.has(0x8000_0001, 0, CpuidRegister::Ecx, 2)
    }

    /// Takes virtualization from the guest.
    pub fn hide_virtualization(&mut self) {
        self.mask(0x1, 0, CpuidRegister::Ecx, !(1 << 5));
        self.mask(0x8000_0001, 0, CpuidRegister::Ecx, !(1 << 2));
        self.remove(&[0x8000_000a]);
    }

    /// Makes the leaves that follow from others agree with them, after features were taken away: the parts of the extended state,
    /// its size, and AMD's copy of the basic features.
    pub fn settle(&mut self) {
        self.settle_copies();
        if !self.has(0x1, 0, CpuidRegister::Ecx, 26) {
            return self.remove(&[EXTENDED_STATE]);
        }
        let gone = STATE_OF
            .iter()
            .filter(|(leaf, register, bit, _)| !self.has(*leaf, 0, *register, *bit))
            .fold(0, |gone, (.., parts)| gone | parts);
        let Some(first) = self.leaf(EXTENDED_STATE, 0).copied() else { return };
        let supervisor = self.settle_supervisor_state();
        if first.eax & gone == 0 {
            return;
        }
        let parts = first.eax & !gone;
        let mut size = FIXED_SIZE;
        self.entries.retain(|entry| {
            if entry.function != EXTENDED_STATE || entry.index < 2 {
                return true;
            }
            let bit = 1_u32.checked_shl(entry.index).unwrap_or_default();
            let user = parts & bit & !FIXED_STATE != 0;
            if user {
                size = size.max(entry.ebx.saturating_add(entry.eax));
            }
            user || supervisor & bit != 0
        });
        for entry in
            self.entries.iter_mut().filter(|entry| entry.function == EXTENDED_STATE && entry.index == 0)
        {
            (entry.eax, entry.ecx) = (parts, size);
        }
    }

    /// The parts that only XSAVES keeps; none without it.
    fn settle_supervisor_state(&mut self) -> u32 {
        const XSAVES: u32 = 3;
        if !self.has(EXTENDED_STATE, 1, CpuidRegister::Eax, XSAVES) {
            self.mask(EXTENDED_STATE, 1, CpuidRegister::Ecx, 0);
            self.mask(EXTENDED_STATE, 1, CpuidRegister::Edx, 0);
        }
        self.leaf(EXTENDED_STATE, 1).map_or(0, |leaf| leaf.ecx)
    }

    /// AMD repeats in leaf 0x80000001 what leaf 1 says of these bits.
    fn settle_copies(&mut self) {
        const COPIED: u32 = 0x0183_f3ff;
        let Some(basic) = self.leaf(0x1, 0).map(|leaf| leaf.edx) else { return };
        self.mask(0x8000_0001, 0, CpuidRegister::Edx, basic | !COPIED);
        // The second name of the operating system's own switch goes with the first.
        if !self.has(0x1, 0, CpuidRegister::Ecx, 26) {
            for entry in self.entries.iter_mut().filter(|entry| entry.function == 0x1) {
                set(&mut entry.ecx, 27, false);
            }
        }
    }
}
