// SPDX-License-Identifier: Apache-2.0
//! What a machine shall be, as plain data.
//!
//! ```text
//!   JSON ──from_json──▶ MachineSpec ──validate(HostLimits)──▶ ValidSpec ──▶ a machine is built from it
//!            │                            │
//!            └── one Violation            └── every Violation: code, JSON path, message, remedy
//! ```
//!
//! This crate opens nothing and knows no host: the limits it checks against are given to it. It is also the one
//! source of the TypeScript types, the JSON schema and the error codes of the core ([`generate`]).
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod code;
pub mod cpu;
pub mod descriptors;
pub mod generate;
pub mod id;
mod machine;
mod parse;
pub mod report;
mod size;
mod source;
mod validate;
mod violation;

pub use machine::{
    BackingSpec, BootProtocol, BootSpec, CrashPolicy, DiskCache, DiskEngine, DiskFormat, DiskSpec,
};
pub use machine::{CpuModel, CpuSpec, PinSpec, TopologySpec};
pub use machine::{
    InterfaceBackend, InterfaceSpec, LinkState, MachineSpec, Profile, RebootPolicy, SerialSpec, SpacePolicy,
    VsockSpec,
};
pub use machine::{MemoryBacking, MemoryOptions, NumaNodeSpec, TransparentHugepages};
pub use size::{MacAddress, MacAddressError, MemorySize};
pub use source::{FileSource, TapSource};
pub use validate::{
    HostLimits, LAST_HOST_NUMBER, MAX_BACKING, MAX_BACKING_IN_ALL, MAX_COMMAND_LINE, MAX_CPUS,
    MAX_DISK_QUEUES, MAX_DISKS, MAX_FEATURES, MAX_INTERFACE_QUEUES, MAX_INTERFACES, MAX_NUMA_NODES,
};
pub use validate::{MAX_SERIAL, MAX_VSOCK_CONNECTIONS, MEMORY_ALIGNMENT, MIN_MEMORY, ValidSpec};
pub use violation::Violation;
