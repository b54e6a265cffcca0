// SPDX-License-Identifier: Apache-2.0
//! What stands behind memory that outlives its machine.

use std::io;

/// A file that the guest reaches as memory.
pub trait PersistentMemory: Send + Sync {
    /// Makes durable what the guest has written. It may take long; never called on the thread of a vCPU.
    fn flush(&self) -> io::Result<()>;
}
