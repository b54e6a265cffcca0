// SPDX-License-Identifier: Apache-2.0
//! Kernels that are not what they seem: each gets a precise error, none gets a panic or a plan that does not apply.

use flotilla_boot::{BootError, PlanOptions, Protocol, Sources, plan};
use flotilla_memory::{Backing, GuestAddress, GuestMemory, allocate};
use proptest::prelude::*;

mod support;
use support::{Bz, Elf, bzimage, elf};

fn memory() -> std::sync::Arc<GuestMemory> {
    allocate(&[(GuestAddress(0), 32 << 20)], Backing::Anonymous).unwrap()
}

fn options() -> PlanOptions {
    PlanOptions { protocol: Protocol::Auto, cpus: 1, acpi: true, pci_window_64: None }
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
