// SPDX-License-Identifier: Apache-2.0
//! The configuration space of a function (PCI 3.0 §6): registers as a table, one engine for accesses of any width.

/// Bytes of configuration space that hold registers; the rest of the 4096 reads as zero.
pub const CONFIG_LEN: usize = 256;

/// `Command` register.
pub const COMMAND: u16 = 0x04;
/// `Memory Space` bit of the command register: BARs answer.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// First base address register.
pub const BAR0: u16 = 0x10;
/// `Capabilities Pointer`.
pub const CAPABILITIES: u16 = 0x34;
/// `Capabilities List` bit of the status register.
pub const STATUS_CAPABILITIES: u64 = 1 << 4;

/// One register of a table.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// First byte.
    pub offset: u16,
    /// Length in bytes, 1 to 8.
    pub width: u8,
    /// Value after power-on.
    pub value: u64,
    /// The bits a guest may change.
    pub writable: u64,
}

impl Register {
    /// A register nobody can change.
    pub const fn constant(offset: u16, width: u8, value: u64) -> Self {
        Self { offset, width, value, writable: 0 }
    }

    /// A register of which the guest may change some bits.
    pub const fn writable(offset: u16, width: u8, value: u64, writable: u64) -> Self {
        Self { offset, width, value, writable }
    }
}

/// The bytes of a configuration space, each with the bits a guest may change.
#[derive(Debug, Clone)]
pub struct ConfigSpace {
    bytes: [u8; CONFIG_LEN],
    initial: [u8; CONFIG_LEN],
    writable: [u8; CONFIG_LEN],
}

impl ConfigSpace {
    /// A space with these registers; all else reads as zero. Later registers replace earlier ones.
    pub fn new(registers: &[Register]) -> Self {
        let mut space = Self { bytes: [0; CONFIG_LEN], initial: [0; CONFIG_LEN], writable: [0; CONFIG_LEN] };
        for register in registers {
            space.define(*register);
        }
        space
    }

    /// Adds a register.
    pub fn define(&mut self, register: Register) {
        let width = usize::from(register.width);
        let values = register.value.to_le_bytes();
        let masks = register.writable.to_le_bytes();
        for (index, (value, mask)) in values.iter().zip(masks).take(width).enumerate() {
            let at = usize::from(register.offset) + index;
            if let (Some(byte), Some(initial), Some(writable)) =
                (self.bytes.get_mut(at), self.initial.get_mut(at), self.writable.get_mut(at))
            {
                (*byte, *initial, *writable) = (*value, *value, mask);
            }
        }
    }

    /// Reads as the guest does.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = self.bytes.get(usize::from(offset) + index).copied().unwrap_or(0);
        }
    }

    /// Writes as the guest does: only writable bits change.
    pub fn write(&mut self, offset: u16, data: &[u8]) {
        for (index, new) in data.iter().enumerate() {
            let at = usize::from(offset) + index;
            if let (Some(byte), Some(mask)) = (self.bytes.get_mut(at), self.writable.get(at)) {
                *byte = (*byte & !mask) | (new & mask);
            }
        }
    }

    /// A 16-bit register.
    pub fn word(&self, offset: u16) -> u16 {
        let mut data = [0; 2];
        self.read(offset, &mut data);
        u16::from_le_bytes(data)
    }

    /// A 32-bit register.
    pub fn dword(&self, offset: u16) -> u32 {
        let mut data = [0; 4];
        self.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    /// Sets bytes whether or not the guest may.
    pub fn set(&mut self, offset: u16, data: &[u8]) {
        for (index, new) in data.iter().enumerate() {
            if let Some(byte) = self.bytes.get_mut(usize::from(offset) + index) {
                *byte = *new;
            }
        }
    }

    /// All registers at their values after power-on.
    pub fn reset(&mut self) {
        self.bytes = self.initial;
    }

    /// The bytes, for saving.
    pub fn save(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// Whether these bytes can be a state of this space: they differ from its power-on values only where a guest
    /// may write.
    pub fn accepts(&self, bytes: &[u8]) -> bool {
        let rules = self.initial.iter().zip(&self.writable);
        bytes.len() == CONFIG_LEN
            && bytes.iter().zip(rules).all(|(byte, (initial, mask))| (byte ^ initial) & !mask == 0)
    }

    /// Takes over bytes that [`ConfigSpace::accepts`].
    pub fn restore(&mut self, bytes: &[u8]) {
        for (byte, new) in self.bytes.iter_mut().zip(bytes) {
            *byte = *new;
        }
    }
}
