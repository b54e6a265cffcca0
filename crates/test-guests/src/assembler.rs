// SPDX-License-Identifier: Apache-2.0
//! The dozen instructions the guests are made of. All encode alike in 32-bit and 64-bit mode (Intel SDM vol. 2).

use crate::elf::LOAD_ADDRESS;

/// 32-bit registers; in 64-bit mode a write clears the upper half.
#[derive(Clone, Copy)]
pub enum Register {
    Eax = 0,
    Ecx = 1,
    Edx = 2,
    Ebx = 3,
    Esi = 6,
    Edi = 7,
}

/// A place in the code, known now or later.
#[derive(Clone, Copy)]
pub struct Label(usize);

enum Reference {
    Relative(Label),
    Absolute(Label),
}

/// Code under construction, to be loaded at [`LOAD_ADDRESS`].
#[derive(Default)]
pub struct Assembler {
    code: Vec<u8>,
    labels: Vec<Option<usize>>,
    references: Vec<(usize, Reference)>,
    strings: Vec<(Label, Vec<u8>)>,
}

impl Assembler {
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.code.extend_from_slice(bytes);
    }

    /// `mov register, value`
    pub fn load(&mut self, register: Register, value: u32) {
        self.bytes(&[0xb8 + register as u8]);
        self.bytes(&value.to_le_bytes());
    }

    /// `mov register, address of label`
    pub fn load_address(&mut self, register: Register, label: Label) {
        self.bytes(&[0xb8 + register as u8]);
        self.reference(Reference::Absolute(label));
    }

    /// `out dx, al`: one byte to a port. Changes EAX and EDX.
    pub fn out_byte(&mut self, port: u16, value: u8) {
        self.load(Register::Edx, u32::from(port));
        self.load(Register::Eax, u32::from(value));
        self.bytes(&[0xee]);
    }

    /// `out dx, ax`: two bytes to a port. Changes EAX and EDX.
    pub fn out_word(&mut self, port: u16, value: u16) {
        self.load(Register::Edx, u32::from(port));
        self.load(Register::Eax, u32::from(value));
        self.bytes(&[0x66, 0xef]);
    }

    /// `in al, dx`. Changes EAX and EDX.
    pub fn in_byte(&mut self, port: u16) {
        self.load(Register::Edx, u32::from(port));
        self.bytes(&[0xec]);
    }

    /// `in ax, dx`. Changes EAX and EDX.
    pub fn in_word(&mut self, port: u16) {
        self.load(Register::Edx, u32::from(port));
        self.bytes(&[0x66, 0xed]);
    }

    /// `mov dword [address], value`. Changes EDI.
    pub fn store(&mut self, address: u32, value: u32) {
        self.load(Register::Edi, address);
        self.bytes(&[0xc7, 0x07]);
        self.bytes(&value.to_le_bytes());
    }

    /// `mov eax, [address]`. Changes EDI.
    pub fn fetch(&mut self, address: u32) {
        self.load(Register::Edi, address);
        self.bytes(&[0x8b, 0x07]);
    }

    /// `cmp eax, value`
    pub fn compare(&mut self, value: u32) {
        self.bytes(&[0x3d]);
        self.bytes(&value.to_le_bytes());
    }

    /// `cmp al, value`
    pub fn compare_byte(&mut self, value: u8) {
        self.bytes(&[0x3c, value]);
    }

    /// `test eax, mask`
    pub fn test(&mut self, mask: u32) {
        self.bytes(&[0xa9]);
        self.bytes(&mask.to_le_bytes());
    }

    pub fn jump(&mut self, label: Label) {
        self.bytes(&[0xe9]);
        self.reference(Reference::Relative(label));
    }

    /// Jumps if the last comparison found both equal, or the last test no bit.
    pub fn jump_if_zero(&mut self, label: Label) {
        self.bytes(&[0x0f, 0x84]);
        self.reference(Reference::Relative(label));
    }

    pub fn jump_unless_zero(&mut self, label: Label) {
        self.bytes(&[0x0f, 0x85]);
        self.reference(Reference::Relative(label));
    }

    /// `cli; hlt` for ever: nothing but a reset gets the CPU out of it.
    pub fn halt(&mut self) {
        let again = self.here();
        self.bytes(&[0xfa, 0xf4]);
        self.jump(again);
    }

    /// Bytes that are placed behind the code.
    pub fn data(&mut self, bytes: &[u8]) -> Label {
        let label = self.label();
        self.strings.push((label, bytes.to_vec()));
        label
    }

    /// The finished image with all references filled in.
    pub fn finish(mut self) -> Vec<u8> {
        for (label, bytes) in std::mem::take(&mut self.strings) {
            self.bind(label);
            self.bytes(&bytes);
        }
        for (position, reference) in &self.references {
            let value = match reference {
                Reference::Absolute(label) => LOAD_ADDRESS.wrapping_add(self.offset(*label)),
                Reference::Relative(label) => {
                    self.offset(*label).wrapping_sub(u32::try_from(position + 4).expect("small guest"))
                }
            };
            self.code[*position..position + 4].copy_from_slice(&value.to_le_bytes());
        }
        self.code
    }

    fn offset(&self, label: Label) -> u32 {
        let offset = self.labels[label.0].expect("each label is bound before the end");
        u32::try_from(offset).expect("small guest")
    }

    fn reference(&mut self, reference: Reference) {
        self.references.push((self.code.len(), reference));
        self.bytes(&[0; 4]);
    }
}
