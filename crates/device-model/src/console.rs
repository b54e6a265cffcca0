// SPDX-License-Identifier: Apache-2.0
//! The seam between a console device and the host's ends of its ports.

use std::sync::Arc;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// Called from any thread when something has changed; must be quick.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The host's end of a port. Nothing here waits.
pub trait PortHost: Send + Sync {
    /// Moves the first bytes that wait for the guest into `buffer`, and returns how many.
    fn take_input(&self, buffer: &mut [u8]) -> usize;

    /// Whether bytes wait for the guest.
    fn has_input(&self) -> bool;

    /// Forgets what waits for the guest, unless somebody who wrote it is still there.
    fn drop_stale_input(&self);

    /// Whether so many bytes of output can be taken now. Once it said no, it wakes the device when there is room.
    fn has_room(&self, len: usize) -> bool;

    /// Takes output of the guest.
    fn write_output(&self, bytes: &[u8]);

    /// Whether somebody is there.
    fn is_open(&self) -> bool;

    /// How large the terminal is, once that is known.
    fn size(&self) -> Option<TerminalSize>;

    /// From now on `wake` is called when input came, somebody came or went, the size is another one, or there is room again.
    fn watch(&self, wake: Wake);
}
