// SPDX-License-Identifier: Apache-2.0
//! Choices that follow from a seed.

use crate::script::Width;

/// Small, fast and the same everywhere (xorshift64*, Vigna 2016).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        u32::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32).unwrap_or(0)
    }

    pub(super) fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.next()).unwrap_or(0) % choices.len()]
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub(super) fn width(&mut self) -> Width {
        self.of(&Width::ALL)
    }

    /// A value near the edges more often than not.
    pub(super) fn value(&mut self) -> u32 {
        let any = self.next();
        self.of(&[
            0,
            1,
            2,
            0x7fff,
            0x8000,
            0xffff,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX,
            any,
            any & 0xff,
            any & 0xffff,
        ])
    }
}
