// SPDX-License-Identifier: Apache-2.0
//! The registers of the first vCPU when the guest starts: a boot plan says them, a hypervisor sets them.

/// A segment register with its hidden part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentState {
    /// Visible selector.
    pub selector: u16,
    /// Base address.
    pub base: u64,
    /// Limit in bytes, already scaled.
    pub limit: u32,
    /// Access byte (bits 0 to 7) and flags nibble (bits 12 to 15), as in a descriptor's second word shifted by 8.
    pub access: u16,
}

/// A descriptor table register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableState {
    /// Guest address of the table.
    pub base: u64,
    /// Length in bytes minus 1.
    pub limit: u16,
}

/// The registers of the first vCPU when the guest starts. Registers that are not named are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryState {
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer; the base pointer gets the same value.
    pub rsp: u64,
    /// PVH: address of the start information.
    pub rbx: u64,
    /// Linux: address of the zero page.
    pub rsi: u64,
    /// Flags.
    pub rflags: u64,
    /// Control register 0.
    pub cr0: u64,
    /// Address of the top page table.
    pub cr3: u64,
    /// Control register 4.
    pub cr4: u64,
    /// Extended feature enable register.
    pub efer: u64,
    /// Code segment.
    pub code: SegmentState,
    /// All data segments.
    pub data: SegmentState,
    /// Task register.
    pub task: SegmentState,
    /// Global descriptor table.
    pub gdt: TableState,
    /// Interrupt descriptor table.
    pub idt: TableState,
}
