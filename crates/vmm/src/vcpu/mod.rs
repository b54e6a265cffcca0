// SPDX-License-Identifier: Apache-2.0
//! vCPU threads: [`thread`] runs a vCPU, [`exits`] answers its exits, [`control`] is how the driver commands it.

pub mod control;
pub mod exits;
pub mod thread;
