// SPDX-License-Identifier: Apache-2.0
//! Interrupts as a device sees them.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

/// A wired interrupt line (ISA interrupt, PCI `INTx`). Errors are counted by whoever supplies the line:
/// a device cannot mend them.
pub trait InterruptLine: Send + Sync {
    /// Drives the level of the line.
    fn set_level(&self, high: bool);

    /// One edge: high, then low.
    fn pulse(&self) {
        self.set_level(true);
        self.set_level(false);
    }
}

/// Where a message-signalled interrupt goes (PCI 3.0 §6.8.2): the address and data of the table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MsiMessage {
    /// Message address, both halves.
    pub address: u64,
    /// Message data.
    pub data: u32,
}

/// One MSI-X vector of one function.
///
/// Order that a holder keeps: `route` before the first `unmask`; a masked vector keeps its route.
pub trait MsiVector: Send + Sync {
    /// Sets where the message goes. Allowed while unmasked.
    fn route(&self, message: MsiMessage) -> io::Result<()>;
    /// Lets `trigger` reach the guest.
    fn unmask(&self) -> io::Result<()>;
    /// Stops `trigger` from reaching the guest; the holder keeps the pending bit.
    fn mask(&self) -> io::Result<()>;
    /// Sends the message. Cheap, from any thread, never blocks.
    fn trigger(&self);
    /// An eventfd that sends the message when somebody else signals it. What comes while masked waits in it, until the
    /// vector is unmasked or [`MsiVector::take_waiting`] moves it to the pending bit. `None` where there is none.
    fn event(&self) -> Option<io::Result<EventFd>> {
        None
    }
    /// Whether something came through the eventfd while masked; the next call does not know of it any more.
    fn take_waiting(&self) -> bool {
        false
    }
}

/// Hands out the MSI-X vectors of a function when the machine is built.
pub trait MsiVectors: Send + Sync {
    /// A new vector, masked and without a route. Dropping it frees what it holds.
    fn create(&self) -> io::Result<Arc<dyn MsiVector>>;
}
