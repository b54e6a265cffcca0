// SPDX-License-Identifier: Apache-2.0
//! The network interface (virtio 1.2 §5.1). Frames pass between the driver's buffers and the back-end as they are,
//! each behind the 12-byte header; the device looks only at what the header says about itself. One queue for each
//! direction, both served by a thread of their own.

pub mod device;
mod metrics;
mod receive;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod transmit;
