// SPDX-License-Identifier: Apache-2.0
//! The device of a shared folder (virtio 1.2 §5.11). Its rings are served in another process, which alone knows what files
//! there are.

pub mod device;
mod metrics;
pub mod service;
#[cfg(test)]
mod tests;
