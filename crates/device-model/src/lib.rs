// SPDX-License-Identifier: Apache-2.0
//! Contracts between devices, their transports, their back-ends and the machine that holds them.
//!
//! ```text
//!   vCPU exit ──▶ bus ──▶ BusDevice (legacy device, PCI root, transport)
//!                              │ owns
//!                              ▼
//!                        VirtioDevice ──▶ BlockBackend / PacketBackend
//!                              │
//!          Doorbells, MsiVectors, InterruptLine: supplied by the machine
//! ```
//!
//! Nothing here knows KVM, a file or a tap: a device states the few methods it needs, the crate that
//! assembles the machine supplies them, and a test supplies fakes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod block;
pub mod bus;
pub mod console;
pub mod entry;
pub mod interrupt;
pub mod lifecycle;
pub mod metrics;
pub mod net;
pub mod pmem;
pub mod power;
pub mod ring;
pub mod segments;
pub mod share;
pub mod state;
pub mod threads;
pub mod throttle;
pub mod virtio;
pub mod vsock;
