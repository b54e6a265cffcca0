// SPDX-License-Identifier: Apache-2.0
//! A 64-bit memory BAR (PCI 3.0 §6.2.5.1).
//!
//! The guest writes it in two halves and, to learn its size, with all ones. So the register and the address in
//! force are two things: the register, in configuration space, holds what was written; the mapping follows when that
//! is an address the machine can give. When it is not (outside the windows, taken by another device), the mapping
//! stays where it was.

use super::config::{BAR0, Register};

/// Type bits of a 64-bit, prefetchable memory BAR.
const TYPE_BITS: u64 = 0b1100;

/// Size of a BAR and where it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    size: u64,
    in_force: Option<u64>,
}

/// What a register change asks of the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where it is mapped.
    pub from: Option<u64>,
    /// Where it is to be mapped.
    pub to: Option<u64>,
}

impl Bar {
    /// An unmapped BAR of `size` bytes, a power of two of at least 16.
    pub fn new(size: u64) -> Self {
        Self { size, in_force: None }
    }

    /// The register pair of this BAR as the first of its function, with `address` after power-on.
    pub fn register(&self, address: u64) -> Register {
        let mask = !(self.size.wrapping_sub(1));
        Register::writable(BAR0, 8, address & mask | TYPE_BITS, mask)
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the BAR answers now.
    pub fn in_force(&self) -> Option<u64> {
        self.in_force
    }

    /// The move that is due with this register pair, while the function does or does not decode memory; `None`
    /// when all is in place.
    pub fn wanted(&self, register: u64, decodes: bool) -> Option<Move> {
        let to = decodes.then_some(register & !(self.size.wrapping_sub(1)));
        (to != self.in_force).then_some(Move { from: self.in_force, to })
    }

    /// Records that a move was carried out.
    pub fn moved(&mut self, to: Option<u64>) {
        self.in_force = to;
    }
}
