// SPDX-License-Identifier: Apache-2.0
//! Fakes for the seams of `flotilla_device_model`, one each, for the tests of other crates.
//!
//! - [`memory::guest_memory`]: RAM to lay rings in.
//! - [`driver::FakeQueue`]: the driver's side of a virtqueue; lays rings, adds chains, rings, waits for used ones,
//!   and breaks every rule when asked to.
//! - [`interrupts`]: lines, MSI vectors and virtio interrupts that count.
//! - [`doorbells::FakeDoorbells`]: ioeventfds in a map; ringing them is a method.
//! - [`disk::FakeDisk`], [`packets::FakePackets`]: back-ends in memory.
//! - [`ports::FakePort`]: the host's end of a console port.
//! - [`signals::FakeSignals`]: what the guest asked of the machine.
//!
//! Everything here panics on misuse: it is for tests only.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "every function here may panic on misuse, as a test should")]

pub mod disk;
pub mod doorbells;
pub mod driver;
pub mod interrupts;
pub mod memory;
pub mod packets;
pub mod ports;
pub mod signals;
pub mod sockets;
pub mod vhost_user;
