// SPDX-License-Identifier: Apache-2.0
//! The guest that the probe runs: it counts down, then writes to memory that nothing backs.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};

use super::describe;
use crate::{
    CpuTopology, EntryState, Exit, HypervisorError, Kvm, SegmentState, TableState, Vcpu, VcpuKicker,
};

/// In which mode the guest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    User,
    Kernel,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It counted to the end in this time.
    Done(Duration),
    /// It was stopped.
    TooLong,
    /// It failed in this way.
    Failed(String),
}

const RAM: u64 = 2 << 20;
const GDT: u64 = 0x500;
const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PD: u64 = 0x3000;
const CODE: u64 = 0x8000;
const STACK: u64 = 0x7000;
/// Mapped by the page tables, backed by nothing.
const DONE: u64 = 0x1000_0000;
/// The guest is stopped after this time.
const LIMIT: Duration = Duration::from_secs(2);

/// `mov ecx, 0xc0000102; xor eax, eax; xor edx, edx; wrmsr; rdmsr; lgdt [0x540]; push 0x18; push rsp; pushfq;
/// push 0x10; lea rax, [rip + 3]; push rax; iretq`: an MSR, a descriptor table and a return from interrupt.
const KERNEL_INSTRUCTIONS: &[u8] = &[
    0xb9, 0x02, 0x01, 0x00, 0xc0, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, 0x0f, 0x32, 0x0f, 0x01, 0x14, 0x25,
    0x40, 0x05, 0x00, 0x00, 0x6a, 0x18, 0x54, 0x9c, 0x6a, 0x10, 0x48, 0x8d, 0x05, 0x03, 0x00, 0x00, 0x00,
    0x50, 0x48, 0xcf,
];
/// `mov ecx, 100000; l: dec ecx; jnz l; mov rbx, DONE; mov [rbx], ecx`.
const COUNT: &[u8] = &[
    0xb9, 0xa0, 0x86, 0x01, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0x48, 0xbb, 0, 0, 0, 0x10, 0, 0, 0, 0, 0x89, 0x0b,
];
/// Empty, empty, 64-bit code, data.
const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// Runs the guest once.
pub(super) fn run(kvm: &Kvm, mode: Mode) -> Result<Outcome, HypervisorError> {
    let memory = allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous)
        .map_err(|_| HypervisorError::Memory { reason: "2 MiB for the probe cannot be had" })?;
    fill(&memory, mode).map_err(|_| HypervisorError::Memory { reason: "the probe does not fit into it" })?;
    let vm = kvm.create_vm()?;
    vm.map_memory(&memory)?;
    vm.create_interrupt_controllers()?;
    let mut vcpu = vm.create_vcpu(0)?;
    vcpu.configure_cpuid(&kvm.guest_cpuid()?, &CpuTopology::flat(1))?;
    vcpu.set_boot_state(Some(&entry(mode)))?;
    let kicker = vcpu.kicker();
    let _binding = kicker.bind_current_thread()?;
    Ok(within_limit(kicker, || count(&mut vcpu)))
}

fn count(vcpu: &mut Vcpu) -> Outcome {
    let start = Instant::now();
    loop {
        match vcpu.run() {
            Ok(Exit::MmioWrite { address: DONE, .. }) => return Outcome::Done(start.elapsed()),
            Ok(Exit::Interrupted) if start.elapsed() >= LIMIT => return Outcome::TooLong,
            Ok(Exit::Interrupted) => {}
            Ok(exit) => return Outcome::Failed(describe(&exit)),
            Err(error) => return Outcome::Failed(error.to_string()),
        }
    }
}

/// Kicks the vCPU once the time is over, unless `work` ends first.
fn within_limit(kicker: VcpuKicker, work: impl FnOnce() -> Outcome) -> Outcome {
    std::thread::scope(|scope| {
        let (ended, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                kicker.kick();
            }
        });
        let outcome = work();
        drop(ended);
        outcome
    })
}

fn fill(memory: &GuestMemory, mode: Mode) -> Result<(), vm_memory::GuestMemoryError> {
    const TABLE: u64 = 7;
    const LARGE_PAGE: u64 = 0x87;
    let kernel = if mode == Mode::Kernel { KERNEL_INSTRUCTIONS } else { &[] };
    memory.write_slice(&[kernel, COUNT].concat(), GuestAddress(CODE))?;
    for (descriptor, address) in DESCRIPTORS.into_iter().zip((GDT..).step_by(8)) {
        memory.write_obj(descriptor, GuestAddress(address))?;
    }
    // The operand of `lgdt`: limit, base.
    memory.write_obj(8 * 4_u16 - 1, GuestAddress(GDT + 0x40))?;
    memory.write_obj(GDT, GuestAddress(GDT + 0x42))?;
    memory.write_obj(PDPT | TABLE, GuestAddress(PML4))?;
    memory.write_obj(PD | TABLE, GuestAddress(PDPT))?;
    for page in 0..512 {
        memory.write_obj(page << 21 | LARGE_PAGE, GuestAddress(PD + page * 8))?;
    }
    Ok(())
}

/// 64-bit mode with flat segments.
fn entry(mode: Mode) -> EntryState {
    let flat = |selector, access| SegmentState { selector, base: 0, limit: u32::MAX, access };
    let (code, data) = match mode {
        Mode::Kernel => (flat(0x10, 0xa09b), flat(0x18, 0xc093)),
        Mode::User => (flat(0x1b, 0xa0fb), flat(0x23, 0xc0f3)),
    };
    EntryState {
        rip: CODE,
        rsp: STACK,
        rflags: 2,
        cr0: 0x8000_0011,
        cr3: PML4,
        cr4: 1 << 5,
        efer: 1 << 8 | 1 << 10,
        code,
        data,
        task: SegmentState { selector: 0x28, base: 0, limit: 0x67, access: 0x8b },
        gdt: TableState { base: GDT, limit: 8 * 4 - 1 },
        ..EntryState::default()
    }
}
