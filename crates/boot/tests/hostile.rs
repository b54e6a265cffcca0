// SPDX-License-Identifier: Apache-2.0
//! Kernels that are not what they seem: each gets a precise error, none gets a panic or a plan that does not apply.

use std::cell::Cell;

use flotilla_boot::{BootError, Image, MachineKind, Piece, PlanOptions, Protocol, Sources, plan};
use flotilla_memory::{Backing, GuestAddress, GuestMemory, allocate};
use proptest::prelude::*;

mod support;
use support::{Bz, Elf, Part, bzimage, elf, elf_of};

const RAM: u64 = 32 << 20;

fn memory() -> std::sync::Arc<GuestMemory> {
    allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous).unwrap()
}

const ONE_CPU: [flotilla_boot::acpi::Processor; 1] = [flotilla_boot::acpi::Processor { apic_id: 0, node: 0 }];

fn options() -> PlanOptions<'static> {
    let kind = MachineKind::Standard { pci_window_64: None };
    PlanOptions { protocol: Protocol::Auto, processors: &ONE_CPU, nodes: &[], kind, watchdog: false }
}

fn attempt(kernel: &Vec<u8>) -> Result<flotilla_boot::BootPlan, BootError> {
    let memory = memory();
    let sources = Sources { kernel, initrd: None };
    let plan = plan(&sources, "quiet", &memory, &options())?;
    // What can be planned can be carried out.
    plan.apply(&sources, &memory).unwrap();
    Ok(plan)
}

fn message(kernel: &[u8]) -> (&'static str, String) {
    let error = attempt(&kernel.to_vec()).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn names_what_a_file_is_instead_of_a_kernel() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "empty"),
        (b"hello, I am a README\n", "a text file"),
        (b"\x1f\x8b\x08\x00\x01", "a gzip file"),
        (b"070701000000", "an initrd (cpio archive)"),
        (b"QFI\xfb\0\0\0\x03", "a qcow2 disk image"),
        (b"\x00\x01\x02\x03", "of an unknown format"),
    ];
    for (bytes, name) in cases {
        let (code, text) = message(bytes);
        assert_eq!(code, "boot.kernel_format");
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_directory_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = std::fs::File::open(folder.path()).unwrap();
    let error = plan(&Sources { kernel: &kernel, initrd: None }, "", &memory(), &options()).unwrap_err();
    assert_eq!(error.code(), "boot.kernel_unreadable");
}

#[test]
fn a_pipe_or_device_is_unreadable() {
    let kernel = std::fs::File::open("/dev/zero").unwrap();
    let error = plan(&Sources { kernel: &kernel, initrd: None }, "", &memory(), &options()).unwrap_err();
    assert_eq!(error.code(), "boot.kernel_unreadable");
}

#[test]
fn every_truncation_of_a_kernel_is_an_error() {
    for whole in [elf(&Elf::default()), bzimage(&Bz::default())] {
        for len in 0..whole.len() {
            let Err(error) = attempt(&whole[..len].to_vec()) else {
                panic!("a kernel was accepted of which {len} of {} bytes are left", whole.len());
            };
            assert!(
                ["boot.kernel_damaged", "boot.kernel_format"].contains(&error.code()),
                "{len} of {} bytes: {error}",
                whole.len()
            );
        }
        assert!(attempt(&whole).is_ok());
    }
}

#[test]
fn other_processors_and_object_files_are_unsupported() {
    for (offset, value) in [(4, 1), (5, 2), (18, 183), (16, 1)] {
        let mut kernel = elf(&Elf::default());
        kernel[offset] = value;
        assert_eq!(message(&kernel).0, "boot.kernel_unsupported", "byte {offset} = {value}");
    }
}

#[test]
fn a_bzimage_needs_a_64_bit_entry_and_a_known_protocol() {
    for (offset, value) in [(0x236, 0), (0x206, 0x0b), (0x211, 0)] {
        let mut kernel = bzimage(&Bz::default());
        kernel[offset] = value;
        assert_eq!(message(&kernel).0, "boot.kernel_unsupported", "byte {offset:#x} = {value}");
    }
}

#[test]
fn a_kernel_beyond_ram_does_not_fit() {
    let high = Elf { address: 31 << 20, entry: 31 << 20, memory_len: 2 << 20, pvh: None };
    assert_eq!(message(&elf(&high)).0, "boot.out_of_memory");
    let low = Elf { address: 0x7000, entry: 0x7000, ..Elf::default() };
    assert_eq!(message(&elf(&low)).0, "boot.out_of_memory");
    assert_eq!(message(&bzimage(&Bz { init_size: 64 << 20, ..Bz::default() })).0, "boot.out_of_memory");
}

#[test]
fn an_entry_outside_of_the_kernel_is_damage() {
    assert_eq!(message(&elf(&Elf { entry: 0x10, ..Elf::default() })).0, "boot.kernel_damaged");
    assert_eq!(message(&elf(&Elf { pvh: Some(0x10), ..Elf::default() })).0, "boot.kernel_damaged");
}

#[test]
fn addresses_that_wrap_are_damage() {
    let wrapping = Elf { address: u64::MAX - 10, memory_len: 4096, ..Elf::default() };
    assert_eq!(message(&elf(&wrapping)).0, "boot.kernel_damaged");
}

/// An image that counts the bytes that are read of it.
struct Counted {
    bytes: Vec<u8>,
    read: Cell<u64>,
}

impl Image for Counted {
    fn size(&self) -> std::io::Result<u64> {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read_at(offset, buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

/// Plans and carries out the boot of a kernel. What that reads and writes is bounded by the memory and the file, however
/// the file's headers multiply it. Whether the kernel was accepted.
fn load_is_bounded(kernel: Vec<u8>) -> Result<(), BootError> {
    let kernel = Counted { bytes: kernel, read: Cell::new(0) };
    let (memory, len) = (memory(), kernel.bytes.len() as u64);
    let sources = Sources { kernel: &kernel, initrd: Some(&[1_u8; 100].to_vec()) };
    let planned = plan(&sources, "quiet", &memory, &options());
    assert!(kernel.read.get() <= 2 * len, "the plan read {} of {len} bytes", kernel.read.get());
    let plan = planned?;
    let mut ranges: Vec<_> = plan.pieces.iter().map(Piece::range).filter(|range| range.len > 0).collect();
    ranges.sort_by_key(|range| range.start);
    assert!(ranges.windows(2).all(|pair| pair[0].end() <= pair[1].start), "written twice: {ranges:#x?}");
    assert!(ranges.iter().map(|range| range.len).sum::<u64>() <= RAM, "{ranges:#x?}");
    kernel.read.set(0);
    plan.apply(&sources, &memory).unwrap();
    assert!(kernel.read.get() <= RAM, "a load read {} bytes", kernel.read.get());
    Ok(())
}

/// A part of a kernel that loads `len` bytes of the file and clears the rest of `memory_len`.
fn part(address: u64, len: u64, memory_len: u64) -> Part {
    Part { kind: 1, offset: 0, address, len, memory_len }
}

#[test]
fn segments_on_top_of_each_other_are_damage() {
    let code = |parts: &[Part]| {
        let (code, text) = message(&elf_of(parts, 0x20_0000, 4096));
        assert!(code != "boot.kernel_damaged" || text.contains("same place"), "{text}");
        code
    };
    // 256 times nearly all memory, of a file of 18 KiB.
    let mut many = vec![part(0x20_0000, 4096, 4096)];
    many.resize_with(256, || part(0x30_0000, 0, RAM - (4 << 20)));
    assert_eq!(code(&many), "boot.kernel_damaged");
    assert_eq!(code(&[part(0x20_0000, 64, 64), part(0x20_003f, 64, 64)]), "boot.kernel_damaged");
    // The cleared rest of one below the bytes of another.
    assert_eq!(code(&[part(0x20_0000, 64, 0x2000), part(0x20_1000, 64, 64)]), "boot.kernel_damaged");
    assert_eq!(code(&[part(0x20_0000, 64, 64), part(0x20_0000, 0, 64)]), "boot.kernel_damaged");
}

#[test]
fn segments_next_to_each_other_in_any_order_are_none() {
    // As Linux lays them out: two of its segments share no page, but touch.
    let linux = [part(0x20_0000, 0x800, 0x800), part(0x20_0d00, 64, 0x3000), part(0x20_0800, 0x500, 0x500)];
    load_is_bounded(elf_of(&linux, 0x20_0000, 4096)).unwrap();
}

#[test]
fn notes_are_read_once_however_many_segments_name_them() {
    let notes = 700 << 10;
    let note = || Part { kind: 4, offset: 0, address: 0, len: notes, memory_len: notes };
    let mut parts = vec![part(0x20_0000, 64, 64), note()];
    load_is_bounded(elf_of(&parts, 0x20_0000, notes)).unwrap();
    parts.resize_with(256, note);
    let error = load_is_bounded(elf_of(&parts, 0x20_0000, notes)).unwrap_err();
    assert_eq!(error.code(), "boot.kernel_damaged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_a_load_costs_is_bounded_by_memory_and_file(
        parts in proptest::collection::vec((0u64..0x40, 0u64..0x1000, 0u64..0x40), 1..8),
        entry in 0x20_0000u64..0x24_0000,
    ) {
        // Segments of up to 256 KiB in 256 KiB: some lie apart, most do not.
        let parts: Vec<Part> = parts
            .into_iter()
            .map(|(page, len, rest)| part(0x20_0000 + page * 0x1000, len, len + rest * 0x1000))
            .collect();
        let _ = load_is_bounded(elf_of(&parts, entry, 4096));
    }

    #[test]
    fn what_a_damaged_kernel_costs_is_bounded_by_memory_and_file(
        changes in proptest::collection::vec((64usize..64 + 4 * 56, any::<u8>()), 0..6),
    ) {
        let parts: Vec<Part> = (0..4).map(|index| part(0x20_0000 + index * 0x2000, 64, 0x2000)).collect();
        let mut kernel = elf_of(&parts, 0x20_0000, 4096);
        for (offset, value) in changes {
            kernel[offset] = value;
        }
        let _ = load_is_bounded(kernel);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = attempt(&bytes);
    }

    #[test]
    fn damaged_elf_files_never_panic(changes in proptest::collection::vec((0usize..512, any::<u8>()), 1..8)) {
        let mut kernel = elf(&Elf { pvh: Some(0x100_0000), ..Elf::default() });
        for (offset, value) in changes {
            if let Some(byte) = kernel.get_mut(offset) {
                *byte = value;
            }
        }
        let _ = attempt(&kernel);
    }

    #[test]
    fn damaged_bzimages_never_panic(changes in proptest::collection::vec((0x1f1usize..0x280, any::<u8>()), 1..8)) {
        let mut kernel = bzimage(&Bz::default());
        for (offset, value) in changes {
            kernel[offset] = value;
        }
        let _ = attempt(&kernel);
    }
}
