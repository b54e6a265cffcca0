// SPDX-License-Identifier: Apache-2.0
//! The entropy device (virtio 1.2 §5.4): the driver hands over writable buffers, the device fills them with random
//! bytes. One queue, no configuration space, no features of its own.

pub mod device;
mod metrics;
mod queue;
pub mod source;
mod state;
#[cfg(test)]
mod tests;
