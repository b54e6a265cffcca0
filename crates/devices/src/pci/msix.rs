// SPDX-License-Identifier: Apache-2.0
//! MSI-X (PCI 3.0 §6.8.2): message control, vector table, pending bits.
//!
//! A vector reaches the guest while MSI-X is enabled, the function is not masked and the vector is not masked. At
//! all other times a trigger sets its pending bit, and the message goes out when the last mask falls. Masking keeps
//! the route: it is needed again, and dropping it under a live vector loses interrupts.

use std::io;
use std::sync::Arc;

use flotilla_device_model::interrupt::{MsiMessage, MsiVector, MsiVectors};
use flotilla_device_model::metrics::Counter;
use serde::{Deserialize, Serialize};
use vmm_sys_util::eventfd::EventFd;

/// Bytes of a table entry.
pub const ENTRY_LEN: u64 = 16;
/// Most vectors of a function.
pub const MAX_VECTORS: usize = 2048;
/// `MSI-X Enable` of message control.
const CONTROL_ENABLE: u16 = 1 << 15;
/// `Function Mask` of message control.
const CONTROL_FUNCTION_MASK: u16 = 1 << 14;
/// `Mask Bit` of vector control.
const VECTOR_MASK: u32 = 1;

struct Vector {
    sink: Arc<dyn MsiVector>,
    message: MsiMessage,
    masked: bool,
    pending: bool,
    /// Whether triggers go to the sink: the sum of all masks, unless the host refused.
    live: bool,
    /// The message the sink was given last.
    routed: Option<MsiMessage>,
}

/// One vector as saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorState {
    /// Message address.
    pub address: u64,
    /// Message data.
    pub data: u32,
    /// Mask bit.
    pub masked: bool,
    /// Pending bit.
    pub pending: bool,
}

/// The MSI-X part of a function as saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MsixState {
    /// `MSI-X Enable`.
    pub enabled: bool,
    /// `Function Mask`.
    pub function_masked: bool,
    /// The table.
    pub vectors: Vec<VectorState>,
}

/// Message control, table and pending bits of one function.
pub struct Msix {
    enabled: bool,
    function_masked: bool,
    vectors: Vec<Vector>,
    /// Triggers only set pending bits: the machine is not ready for interrupts.
    quiet: bool,
    failures: Arc<Counter>,
}

impl Msix {
    /// `count` vectors (1 to 2048), all masked. `failures` counts what the host refused.
    pub fn new(count: u16, source: &dyn MsiVectors, failures: Arc<Counter>) -> io::Result<Self> {
        if count == 0 || usize::from(count) > MAX_VECTORS {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let vectors = (0..count).map(|_| {
            let sink = source.create()?;
            Ok(Vector {
                sink,
                message: MsiMessage::default(),
                masked: true,
                pending: false,
                live: false,
                routed: None,
            })
        });
        let vectors = vectors.collect::<io::Result<_>>()?;
        Ok(Self { enabled: false, function_masked: false, vectors, quiet: false, failures })
    }

    /// Number of vectors.
    pub fn count(&self) -> u16 {
        u16::try_from(self.vectors.len()).unwrap_or(u16::MAX)
    }

    /// Bytes of the table.
    pub fn table_len(&self) -> u64 {
        ENTRY_LEN * u64::from(self.count())
    }

    /// Bytes of the pending bits, whole quad words.
    pub fn pending_len(&self) -> u64 {
        8 * u64::from(self.count().div_ceil(64))
    }

    /// Message control as the guest reads it.
    pub fn control(&self) -> u16 {
        self.control_with(self.enabled, self.function_masked)
    }

    /// Message control as it reads in a saved state.
    pub fn control_of(&self, state: &MsixState) -> u16 {
        self.control_with(state.enabled, state.function_masked)
    }

    fn control_with(&self, enabled: bool, function_masked: bool) -> u16 {
        let mut control = self.count().saturating_sub(1);
        if enabled {
            control |= CONTROL_ENABLE;
        }
        if function_masked {
            control |= CONTROL_FUNCTION_MASK;
        }
        control
    }

    /// Takes a write of message control. The size field is read-only.
    pub fn set_control(&mut self, control: u16) {
        self.enabled = control & CONTROL_ENABLE != 0;
        self.function_masked = control & CONTROL_FUNCTION_MASK != 0;
        self.apply_all();
    }

    /// Sends vector `index`, now or when it is unmasked. Ignored for a vector that does not exist.
    pub fn trigger(&mut self, index: u16) {
        let Some(vector) = self.vectors.get_mut(usize::from(index)) else { return };
        if vector.live && !self.quiet {
            vector.sink.trigger();
        } else {
            vector.pending = true;
        }
    }

    /// Reads the table: aligned accesses of 4 or 8 bytes, all ones otherwise.
    pub fn read_table(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if !is_table_access(offset, data.len()) {
            return;
        }
        for (index, word) in data.chunks_exact_mut(4).enumerate() {
            let at = offset / 4 + u64::try_from(index).unwrap_or(u64::MAX);
            if let Some(value) = self.table_word(at) {
                word.copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// Writes the table: aligned accesses of 4 or 8 bytes, ignored otherwise.
    pub fn write_table(&mut self, offset: u64, data: &[u8]) {
        if !is_table_access(offset, data.len()) {
            return;
        }
        for (index, word) in data.chunks_exact(4).enumerate() {
            let at = offset / 4 + u64::try_from(index).unwrap_or(u64::MAX);
            if let Ok(bytes) = word.try_into() {
                self.set_table_word(at, u32::from_le_bytes(bytes));
            }
        }
        if let Ok(index) = usize::try_from(offset / ENTRY_LEN) {
            self.apply(index);
        }
    }

    /// The eventfd of a vector, for somebody else to signal.
    pub fn event(&self, index: u16) -> Option<EventFd> {
        self.vectors.get(usize::from(index))?.sink.event()?.ok()
    }

    /// Reads the pending bits: aligned accesses of 4 or 8 bytes, all ones otherwise.
    pub fn read_pending(&mut self, offset: u64, data: &mut [u8]) {
        if !is_table_access(offset, data.len()) {
            data.fill(0xff);
            return;
        }
        self.collect_waiting();
        for (index, byte) in data.iter_mut().enumerate() {
            let first = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(index).saturating_mul(8);
            let bits = self.vectors.iter().skip(first).take(8).enumerate();
            *byte = bits.fold(0, |byte, (bit, vector)| byte | u8::from(vector.pending) << bit);
        }
    }

    /// All as after power-on: disabled, function unmasked, every vector masked, nothing pending.
    pub fn reset(&mut self) {
        self.enabled = false;
        self.function_masked = false;
        for vector in &mut self.vectors {
            vector.message = MsiMessage::default();
            vector.masked = true;
        }
        self.apply_all();
        self.clear_pending();
    }

    /// Forgets pending bits, as a device reset does.
    pub fn clear_pending(&mut self) {
        self.collect_waiting();
        self.vectors.iter_mut().for_each(|vector| vector.pending = false);
    }

    /// The present state.
    pub fn save(&mut self) -> MsixState {
        self.collect_waiting();
        let vectors = self.vectors.iter().map(|vector| VectorState {
            address: vector.message.address,
            data: vector.message.data,
            masked: vector.masked,
            pending: vector.pending,
        });
        MsixState { enabled: self.enabled, function_masked: self.function_masked, vectors: vectors.collect() }
    }

    /// Whether a saved state fits this function.
    pub fn accepts(&self, state: &MsixState) -> bool {
        state.vectors.len() == self.vectors.len()
    }

    /// Takes over a state that [`Msix::accepts`]. Nothing goes out before [`Msix::release`]: the interrupt
    /// controllers may not have been restored yet.
    pub fn restore(&mut self, state: &MsixState) {
        self.quiet = true;
        self.enabled = state.enabled;
        self.function_masked = state.function_masked;
        for (vector, saved) in self.vectors.iter_mut().zip(&state.vectors) {
            vector.message = MsiMessage { address: saved.address, data: saved.data };
            vector.masked = saved.masked;
            vector.pending = saved.pending;
        }
        self.apply_all();
    }

    /// Lets interrupts out after a restore, first those that are pending and unmasked.
    pub fn release(&mut self) {
        if std::mem::take(&mut self.quiet) {
            self.apply_all();
        }
    }

    /// Makes pending bits of what came through eventfds while masked.
    fn collect_waiting(&mut self) {
        for vector in self.vectors.iter_mut().filter(|vector| !vector.live) {
            vector.pending |= vector.sink.take_waiting();
        }
    }

    fn table_word(&self, word: u64) -> Option<u32> {
        let vector = self.vectors.get(usize::try_from(word / 4).ok()?)?;
        let [low, high] = halves(vector.message.address);
        Some(match word % 4 {
            0 => low,
            1 => high,
            2 => vector.message.data,
            _ => u32::from(vector.masked),
        })
    }

    fn set_table_word(&mut self, word: u64, value: u32) {
        let Some(vector) = usize::try_from(word / 4).ok().and_then(|index| self.vectors.get_mut(index))
        else {
            return;
        };
        let [low, high] = halves(vector.message.address);
        match word % 4 {
            // The two lowest bits of a message address are zero.
            0 => vector.message.address = joined(value & !3, high),
            1 => vector.message.address = joined(low, value),
            2 => vector.message.data = value,
            _ => vector.masked = value & VECTOR_MASK != 0,
        }
    }

    fn apply_all(&mut self) {
        for index in 0..self.vectors.len() {
            self.apply(index);
        }
    }

    /// Brings the sink in line with masks and message, and sends what is pending.
    fn apply(&mut self, index: usize) {
        let open = self.enabled && !self.function_masked;
        let Some(vector) = self.vectors.get_mut(index) else { return };
        let result = if open && !vector.masked { vector.open(self.quiet) } else { vector.close() };
        if result.is_err() {
            self.failures.increment();
        }
    }
}

impl Vector {
    fn open(&mut self, quiet: bool) -> io::Result<()> {
        if self.routed != Some(self.message) {
            self.sink.route(self.message)?;
            self.routed = Some(self.message);
        }
        if !self.live {
            self.sink.unmask()?;
            self.live = true;
        }
        if !quiet && std::mem::take(&mut self.pending) {
            self.sink.trigger();
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.live) {
            self.sink.mask()?;
        }
        Ok(())
    }
}

fn is_table_access(offset: u64, len: usize) -> bool {
    match len {
        4 => offset.is_multiple_of(4),
        8 => offset.is_multiple_of(8),
        _ => false,
    }
}

fn halves(value: u64) -> [u32; 2] {
    [value & 0xffff_ffff, value >> 32].map(|half| u32::try_from(half).unwrap_or_default())
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
