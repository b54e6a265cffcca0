// SPDX-License-Identifier: Apache-2.0
//! Why a vCPU stopped running guest code.

use kvm_bindings::{
    KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN, KVM_SYSTEM_EVENT_SUSPEND,
    KVM_SYSTEM_EVENT_WAKEUP,
};

/// Why a vCPU stopped running guest code. A read is answered by filling `data` before the next run.
#[derive(Debug, PartialEq, Eq)]
pub enum Exit<'a> {
    /// The guest reads an I/O port.
    PortIn {
        /// The port.
        port: u16,
        /// Bytes of one access: 1, 2 or 4. A string instruction asks for several accesses of this width at the
        /// same port, one after the other in `data`.
        width: u8,
        /// To be filled.
        data: &'a mut [u8],
    },
    /// The guest writes an I/O port.
    PortOut {
        /// The port.
        port: u16,
        /// Bytes of one access, as in `PortIn`.
        width: u8,
        /// What it wrote.
        data: &'a [u8],
    },
    /// The guest reads memory that nothing backs.
    MmioRead {
        /// Guest physical address.
        address: u64,
        /// To be filled; at most 8 bytes.
        data: &'a mut [u8],
    },
    /// The guest writes memory that nothing backs.
    MmioWrite {
        /// Guest physical address.
        address: u64,
        /// What it wrote; at most 8 bytes.
        data: &'a [u8],
    },
    /// The guest halted and no interrupt controller in the kernel waits for it.
    Halt,
    /// Triple fault: the processor shut down.
    Shutdown,
    /// The guest asked KVM for something that concerns the whole machine.
    SystemEvent {
        /// What it asked for.
        kind: SystemEventKind,
    },
    /// KVM cannot go on, most often because it cannot emulate an instruction.
    InternalError {
        /// KVM's reason: 1 emulation, 2 simultaneous exceptions, 3 event delivery, 4 unexpected exit.
        suberror: u32,
        /// Details that KVM adds; for an emulation error flags, length and bytes of the instruction.
        data: Vec<u64>,
    },
    /// The processor refused the guest's state.
    FailEntry {
        /// Hardware's reason.
        reason: u64,
        /// The host processor.
        cpu: u32,
    },
    /// Guest memory could not be reached for the guest.
    MemoryFault {
        /// Guest physical address.
        address: u64,
        /// Length in bytes.
        len: u64,
    },
    /// A kick or another signal came; or the vCPU waits for its start-up interrupt. Look at your requests.
    Interrupted,
    /// A debug event.
    Debug {
        /// Guest virtual address.
        pc: u64,
    },
    /// An exit that this machine never asks for, with KVM's number for it.
    Unknown(u32),
}

/// What a guest asked of the whole machine through KVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemEventKind {
    /// Switch off.
    Shutdown,
    /// Reset.
    Reset,
    /// The guest's operating system crashed.
    Crash,
    /// Wake up.
    Wakeup,
    /// Suspend.
    Suspend,
    /// KVM's number for something else.
    Other(u32),
}

impl From<u32> for SystemEventKind {
    fn from(kind: u32) -> Self {
        match kind {
            KVM_SYSTEM_EVENT_SHUTDOWN => Self::Shutdown,
            KVM_SYSTEM_EVENT_RESET => Self::Reset,
            KVM_SYSTEM_EVENT_CRASH => Self::Crash,
            KVM_SYSTEM_EVENT_WAKEUP => Self::Wakeup,
            KVM_SYSTEM_EVENT_SUSPEND => Self::Suspend,
            other => Self::Other(other),
        }
    }
}
