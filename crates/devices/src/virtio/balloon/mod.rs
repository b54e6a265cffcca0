// SPDX-License-Identifier: Apache-2.0
//! The memory balloon (virtio 1.2 §5.5): the driver takes as many pages from its guest as the device asks for and names them,
//! and the host has them back until the driver wants them again. Beside that the driver tells how the guest is off for
//! memory, and which pages nobody uses, unasked (free page reporting) or when it is asked to (free page hinting).
//!
//! ```text
//!   set_target ──▶ configuration ──▶ driver ──▶ inflateq, deflateq ──▶ service ──▶ release ──▶ host
//!   statistics ──▶ statsq: a buffer is given back, and comes again with new numbers
//!                                    driver ──▶ reporting_vq ────────▶ service ──▶ release
//!   hint ──────▶ configuration ──▶ driver ──▶ free_page_vq ────────▶ service ──▶ release, while the vCPU waits
//! ```
//!
//! All of it is up to the guest: a target is a wish, and a guest that does not follow keeps its memory.

pub mod device;
mod features;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod hints;
mod metrics;
mod roles;
mod service;
mod shared;
mod state;
pub mod statistics;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_hints;
