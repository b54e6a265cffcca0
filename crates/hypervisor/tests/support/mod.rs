// SPDX-License-Identifier: Apache-2.0
//! Tiny guests for tests on a real KVM.
//!
//! User mode (64-bit, ring 3) runs at full speed on every kind of KVM, even on one that interprets kernel mode; such
//! a guest can use memory, loop and crash. Ports need kernel mode (ring 0), which may be slow.

use std::sync::Arc;

use flotilla_hypervisor::{CpuTopology, EntryState, Kvm, SegmentState, TableState, Vcpu, Vm};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};

/// RAM of a test guest.
pub const RAM: u64 = 8 << 20;
/// An address that the page tables map and no memory backs.
pub const MMIO: u64 = 0x1000_0000;

const CODE: u64 = 0x10_0000;
const STACK: u64 = 0x20_0000;
const PML4: u64 = 0x1000;

/// The host's KVM, or `None` with a visible note; a failure where KVM is required.
pub fn kvm() -> Option<Kvm> {
    match Kvm::open() {
        Ok(kvm) => Some(kvm),
        Err(error) => {
            assert!(std::env::var_os("REQUIRE_KVM").is_none(), "KVM is required: {error}");
            skipped(&error.to_string());
            None
        }
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
pub fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// A machine with one vCPU that is about to run `code`.
pub struct Guest {
    pub vm: Vm,
    pub vcpu: Vcpu,
    pub memory: Arc<GuestMemory>,
}

impl Guest {
    /// Starts in `entry`: [`user_mode`] or [`kernel_mode`].
    pub fn new(kvm: &Kvm, entry: &EntryState, code: &[u8]) -> Self {
        let memory = allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous).unwrap();
        let vm = kvm.create_vm().unwrap();
        vm.map_memory(&memory).unwrap();
        vm.create_interrupt_controllers().unwrap();
        vm.create_interval_timer().unwrap();
        write_page_tables(&memory);
        memory.write_slice(code, GuestAddress(CODE)).unwrap();
        let mut vcpu = vm.create_vcpu(0).unwrap();
        vcpu.configure_cpuid(&kvm.guest_cpuid().unwrap(), &CpuTopology::flat(1)).unwrap();
        vcpu.set_boot_state(Some(entry)).unwrap();
        Self { vm, vcpu, memory }
    }
}

/// Registers of a guest at the start of its code, in ring 0.
pub fn kernel_mode() -> EntryState {
    let flat = |selector, access| SegmentState { selector, base: 0, limit: u32::MAX, access };
    EntryState { code: flat(0x10, 0xa09b), data: flat(0x18, 0xc093), ..user_mode() }
}

/// Registers of a guest at the start of its code, in ring 3.
pub fn user_mode() -> EntryState {
    let flat = |selector, access| SegmentState { selector, base: 0, limit: u32::MAX, access };
    EntryState {
        rip: CODE,
        rsp: STACK,
        rflags: 2,
        cr0: 0x8000_0011,
        cr3: PML4,
        cr4: 1 << 5,
        efer: 1 << 8 | 1 << 10,
        code: flat(0x1b, 0xa0fb),
        data: flat(0x23, 0xc0f3),
        task: SegmentState { selector: 0x28, base: 0, limit: 0x67, access: 0x8b },
        gdt: TableState { base: 0x500, limit: 0x2f },
        idt: TableState::default(),
        ..EntryState::default()
    }
}

/// Maps the first 4 GiB onto themselves, for user mode too.
fn write_page_tables(memory: &GuestMemory) {
    const TABLE: u64 = 7;
    const LARGE_PAGE: u64 = 0x87;
    let write = |value: u64, address| memory.write_obj(value, GuestAddress(address)).unwrap();
    write(0x2000 | TABLE, PML4);
    for gib in 0..4 {
        write((0x3000 + gib * 0x1000) | TABLE, 0x2000 + gib * 8);
    }
    for page in 0..2048 {
        write(page << 21 | LARGE_PAGE, 0x3000 + page * 8);
    }
}
