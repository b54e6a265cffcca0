// SPDX-License-Identifier: Apache-2.0
//! What is known of processors: features by name, baselines, and how a machine's CPUs are numbered.
//!
//! The tables are data, and this crate applies none of them: whoever builds a machine does.

mod baselines;
mod features;
mod topology;

pub use baselines::{Baseline, KEPT, baseline};
pub use features::{DEPENDENCIES, FEATURES, Feature, GOVERNED, Register, feature};
pub use topology::Topology;
