// SPDX-License-Identifier: Apache-2.0
//! Small kernels, made to measure.

/// What a made ELF kernel holds.
pub struct Elf {
    pub address: u64,
    pub memory_len: u64,
    pub entry: u64,
    pub pvh: Option<u32>,
}

impl Default for Elf {
    fn default() -> Self {
        Self { address: 0x100_0000, memory_len: 0x3000, entry: 0x100_0000, pvh: None }
    }
}

/// Bytes of the one loaded segment.
pub const ELF_BYTES: usize = 64;

/// An ELF file with a note segment (if there is a PVH entry) and one loaded segment of [`ELF_BYTES`] bytes 0xcc.
pub fn elf(kernel: &Elf) -> Vec<u8> {
    let note: Vec<u8> = kernel.pvh.map_or(Vec::new(), |entry| {
        [&[4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0][..], b"Xen\0", &entry.to_le_bytes()].concat()
    });
    let (notes_at, code_at) = (64 + 2 * 56, 64 + 2 * 56 + note.len());
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    file.extend(kernel.entry.to_le_bytes());
    file.extend(64_u64.to_le_bytes());
    file.extend([0; 14]);
    file.extend([56, 0, 2, 0]);
    file.resize(64, 0);
    let mut program = |kind: u32, at: usize, address: u64, len: usize, memory: u64| {
        file.extend(kind.to_le_bytes());
        file.extend([5, 0, 0, 0]);
        for field in [at as u64, address, address, len as u64, memory, 0x1000] {
            file.extend(field.to_le_bytes());
        }
    };
    program(4, notes_at, 0, note.len(), note.len() as u64);
    program(1, code_at, kernel.address, ELF_BYTES, kernel.memory_len);
    file.extend(note);
    file.extend([0xcc; ELF_BYTES]);
    file
}

/// A program header of a made ELF file.
#[derive(Clone, Copy)]
pub struct Part {
    pub kind: u32,
    /// From the end of the program headers.
    pub offset: u64,
    pub address: u64,
    pub len: u64,
    pub memory_len: u64,
}

/// An ELF file of these parts, and `bytes` bytes 0xcc that they take from.
pub fn elf_of(parts: &[Part], entry: u64, bytes: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    file.extend(entry.to_le_bytes());
    file.extend(64_u64.to_le_bytes());
    file.extend([0; 14]);
    file.extend(56_u16.to_le_bytes());
    file.extend(u16::try_from(parts.len()).unwrap().to_le_bytes());
    file.resize(64, 0);
    let start = 64 + 56 * parts.len() as u64;
    for part in parts {
        file.extend(part.kind.to_le_bytes());
        file.extend([7, 0, 0, 0]);
        for field in [start + part.offset, part.address, part.address, part.len, part.memory_len, 0x1000] {
            file.extend(field.to_le_bytes());
        }
    }
    file.resize(file.len() + usize::try_from(bytes).unwrap(), 0xcc);
    file
}

/// What a made bzImage holds.
pub struct Bz {
    pub init_size: u32,
    pub preferred: u64,
}

impl Default for Bz {
    fn default() -> Self {
        Self { init_size: 0x10_0000, preferred: 0x100_0000 }
    }
}

/// A bzImage of one setup sector and a payload of 1 KiB.
pub fn bzimage(kernel: &Bz) -> Vec<u8> {
    let mut file = vec![0; 1024 + 1024];
    let mut put = |offset: usize, bytes: &[u8]| file[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1f4, &64_u32.to_le_bytes());
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &[0x0f, 0x02]);
    put(0x211, &[1]);
    put(0x214, &0x10_0000_u32.to_le_bytes());
    put(0x22c, &0x7fff_ffff_u32.to_le_bytes());
    put(0x230, &0x20_0000_u32.to_le_bytes());
    put(0x234, &[1]);
    put(0x236, &[1]);
    put(0x238, &2047_u32.to_le_bytes());
    put(0x258, &kernel.preferred.to_le_bytes());
    put(0x260, &kernel.init_size.to_le_bytes());
    file
}
