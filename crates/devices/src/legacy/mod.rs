// SPDX-License-Identifier: Apache-2.0
//! The devices that every PC has had for decades, as far as today's system software still looks for them.
//!
//! | module | ports | what for |
//! |---|---|---|
//! | [`serial`] | 0x3f8 + 8 | 16550A: console |
//! | [`i8042`] | 0x60 + 5 | keyboard controller without a keyboard: reset |
//! | [`rtc`] | 0x70 + 2 | MC146818: time of day, alarm and ticks, 128 bytes of NVRAM |
//! | [`acpi_pm`] | 0x600 + 128, 0xb2 + 2 | ACPI fixed hardware: power button, soft-off, timer, GPE0 |
//! | [`reset`] | 0xcf9 | reset control |
//! | [`pvpanic`] | 0x505 | the guest kernel reports a panic |
//! | [`watchdog`] | 0x680 + 16 | resets, or whatever is wanted, a guest that hangs |
//! | [`vm_generation`] | none | an identity in memory that every restore makes anew |
//! | [`post`] | 0x80 | progress codes of firmware |
//!
//! Effects are injected: interrupt lines, signals to the machine, clocks, the sink of the serial output.

pub mod acpi_pm;
pub mod clock;
pub mod i8042;
pub mod post;
pub mod pvpanic;
pub mod reset;
pub mod rtc;
pub mod serial;
mod timer;
pub mod vm_generation;
pub mod watchdog;
