// SPDX-License-Identifier: Apache-2.0
//! Bare-metal guests of a few hundred bytes that show one behaviour each: print, switch off, reset, crash, spin.
//!
//! They need no user land, no interrupts, no stack and no page faults, so that they run on every `/dev/kvm`, also on one
//! that interprets guest kernel code. Each is an ELF file with a PVH note; its code consists only of
//! instructions with one encoding for 32-bit and 64-bit mode, so both boot protocols may enter it.
//!
//! `cargo run -p flotilla-test-guests --bin make-guests -- <directory>` writes them as `<name>.elf`.
#![forbid(unsafe_code)]

mod assembler;
mod basics;
mod catalogue;
pub mod disk;
mod elf;
pub mod hostile;
pub mod net;
mod script;
mod smp;

pub use catalogue::{GUESTS, Guest, guest};
/// Where the guest `counters` counts.
pub mod counters {
    pub use crate::smp::{CENSUS, COUNTERS, MOST_CPUS};
}

pub use script::{Script, Width};
