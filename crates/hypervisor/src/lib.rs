// SPDX-License-Identifier: Apache-2.0
//! KVM behind our own types. No other crate names a `kvm-*` crate.
//!
//! ```text
//!   Kvm ──create_vm──▶ Vm ──create_vcpu──▶ Vcpu ──run──▶ Exit
//!                      │                    └─ kicker ──▶ VcpuKicker (other threads)
//!                      ├─ map_memory, create_interrupt_controllers, create_interval_timer
//!                      └─ interrupt_line, msi_vectors, doorbells ──▶ devices
//! ```
//!
//! Order that KVM demands: memory and interrupt controllers first, then vCPUs; on each vCPU CPUID first, then the
//! boot registers and MSRs ([`Vcpu::configure_cpuid`], [`Vcpu::set_boot_state`]).
//!
//! The one thing that is global to the process is the handler of the kick signal, see [`VcpuKicker`].
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod capabilities;
mod cpuid;
mod doorbell;
mod entry;
mod error;
mod exit;
mod interrupt;
mod kick;
mod kvm;
mod msi;
mod msr;
pub mod probe;
mod registers;
mod routing;
mod run_page;
pub mod state;
mod vcpu;
mod vm;

pub use capabilities::Capabilities;
pub use cpuid::{CpuTopology, Cpuid, CpuidEntry, CpuidRegister};
pub use entry::{EntryState, SegmentState, TableState};
pub use error::{HypervisorError, RunError};
pub use exit::{Exit, SystemEventKind};
pub use kick::{Binding, VcpuKicker};
pub use kvm::Kvm;
pub use registers::Registers;
pub use state::{Clock, ClockPolicy, VcpuState, VmState};
pub use vcpu::Vcpu;
pub use vm::Vm;
