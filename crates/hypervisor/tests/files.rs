// SPDX-License-Identifier: Apache-2.0
//! Files that a guest reaches as memory: what it reads and writes there, and what becomes of it when it may not, or when the file
//! goes away.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flotilla_hypervisor::{Exit, Kvm, RunError};
use flotilla_memory::{Bytes, GuestAddress, SharedFile};
use support::{Guest, MMIO, kvm, user_mode};

const LEN: u64 = 2 << 20;
/// RAM that the guest leaves what it has read in.
const SEEN: u64 = 0x30_0000;
const MARK: u32 = 0x5eed_cafe;

/// A guest that copies the first word of the file to RAM and back, then reads the second page.
const COPY: &[u8] = &[
    0xbb, 0x00, 0x00, 0x00, 0x10, // mov ebx, MMIO
    0x8b, 0x03, // mov eax, [rbx]
    0x89, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00, // mov [SEEN], eax
    0x89, 0x03, // mov [rbx], eax
    0x8b, 0x83, 0x00, 0x10, 0x00, 0x00, // mov eax, [rbx + 4096]
    0xeb, 0xfe, // jmp itself
];
/// A guest that writes to the second page of the file, then to where nothing is.
const STORE: &[u8] = &[
    0xbb, 0x00, 0x00, 0x00, 0x10, // mov ebx, MMIO
    0xb8, 0xfe, 0xca, 0xed, 0x5e, // mov eax, MARK
    0x89, 0x83, 0x00, 0x10, 0x00, 0x00, // mov [rbx + 4096], eax
    0x89, 0x83, 0x00, 0x00, 0x00, 0x10, // mov [rbx + 256 MiB], eax
    0xeb, 0xfe, // jmp itself
];

/// A guest with a file where else nothing is.
fn guest(kvm: &Kvm, code: &[u8], writable: bool) -> (Guest, File) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LEN).unwrap();
    file.write_all_at(&MARK.to_le_bytes(), 0).unwrap();
    let shared = Arc::new(SharedFile::map(file.try_clone().unwrap(), LEN, writable).unwrap());
    let guest = Guest::new(kvm, &user_mode(), code);
    guest.vm.map_file(GuestAddress(MMIO), &shared).unwrap();
    (guest, file)
}

/// Runs until something is to be answered.
fn run(guest: &mut Guest) -> Result<(u64, Vec<u8>), RunError> {
    loop {
        match guest.vcpu.run()? {
            Exit::MmioWrite { address, data } => return Ok((address, data.to_vec())),
            Exit::Interrupted => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_guest_reads_a_file_and_its_writes_come_out_as_exits() {
    let Some(kvm) = kvm() else { return };
    let (mut guest, file) = guest(&kvm, COPY, false);
    assert_eq!(run(&mut guest).unwrap(), (MMIO, MARK.to_le_bytes().to_vec()));
    assert_eq!(guest.memory.read_obj::<u32>(GuestAddress(SEEN)).unwrap(), MARK);
    // The access is complete, and the guest goes on: cut short, the file has no second page any more.
    file.set_len(0).unwrap();
    let gone = run(&mut guest).unwrap_err();
    assert!(
        matches!(&gone, RunError::Run { source, .. } if source.raw_os_error() == Some(libc::EFAULT)),
        "{gone:?}"
    );
}

#[test]
fn what_a_guest_writes_is_in_the_file() {
    let Some(kvm) = kvm() else { return };
    let (mut guest, file) = guest(&kvm, STORE, true);
    assert_eq!(run(&mut guest).unwrap().0, 2 * MMIO);
    let mut word = [0; 4];
    file.read_exact_at(&mut word, 4096).unwrap();
    assert_eq!(u32::from_le_bytes(word), MARK);
}

#[test]
fn files_have_slots_of_their_own_and_may_not_overlap() {
    let Some(kvm) = kvm() else { return };
    let (guest, file) = guest(&kvm, COPY, false);
    let another = Arc::new(SharedFile::map(file, LEN, false).unwrap());
    guest.vm.map_file(GuestAddress(MMIO + LEN), &another).unwrap();
    assert!(guest.vm.map_file(GuestAddress(MMIO), &another).is_err());
    assert!(guest.vm.map_file(GuestAddress(MMIO + 3 * LEN), &another).is_ok());
}
