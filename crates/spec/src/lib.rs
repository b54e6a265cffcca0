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
pub mod metrics;
mod parse;
pub mod report;
mod size;
mod source;
mod validate;
mod violation;

pub use machine::{
    BackingSpec, BalloonSpec, BootProtocol, BootSpec, CrashPolicy, DiskAttachment, DiskCache, DiskEngine,
    DiskFormat, DiskSpec,
};
pub use machine::{ConsolePortSpec, ConsoleSpec};
pub use machine::{CpuModel, CpuSpec, PinSpec, TopologySpec};
pub use machine::{ForwardProtocol, ForwardSpec, UserNetworkSpec};
pub use machine::{
    InterfaceBackend, InterfaceSpec, LinkState, MachineSpec, Profile, RebootPolicy, SerialSpec, ShareSpec,
    SpacePolicy, VsockSpec,
};
pub use machine::{LimitsSpec, RateSpec, ThrottleGroupSpec, ThrottleSpec, ThrottleTarget};
pub use machine::{MemoryBacking, MemoryOptions, NumaNodeSpec, TransparentHugepages};
pub use machine::{WatchdogAction, WatchdogSpec};
pub use size::{MacAddress, MacAddressError, MemorySize};
pub use source::{FileSource, TapSource};
pub use validate::{
    HostLimits, LAST_HOST_NUMBER, MAX_BACKING, MAX_BACKING_IN_ALL, MAX_COMMAND_LINE, MAX_CONSOLE_PORTS,
    MAX_CPUS, MAX_DISK_QUEUES, MAX_DISKS, MAX_FEATURES, MAX_FORWARDS, MAX_INTERFACE_QUEUES, MAX_INTERFACES,
    MAX_NUMA_NODES,
};
pub use validate::{MAX_RATE, MAX_SHARES, MAX_THROTTLE_GROUPS};
pub use validate::{
    MAX_SERIAL, MAX_STATISTICS_INTERVAL, MAX_VSOCK_CONNECTIONS, MEMORY_ALIGNMENT, MIN_MEMORY, ValidSpec,
};
pub use violation::Violation;
