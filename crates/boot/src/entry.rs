// SPDX-License-Identifier: Apache-2.0
//! The registers of the first vCPU when the guest starts.

pub use flotilla_device_model::entry::{EntryState, SegmentState, TableState};

pub(crate) const EFER_LME: u64 = 1 << 8;
pub(crate) const EFER_LMA: u64 = 1 << 10;
pub(crate) const CR0_PE: u64 = 1;
pub(crate) const CR0_ET: u64 = 1 << 4;
pub(crate) const CR0_PG: u64 = 1 << 31;
pub(crate) const CR4_PAE: u64 = 1 << 5;
pub(crate) const RFLAGS_RESERVED: u64 = 2;
