// SPDX-License-Identifier: Apache-2.0
//! The registers of the first vCPU when the guest starts.

pub use flotilla_device_model::entry::{EntryState, SegmentState, TableState};
use kvm_bindings::{kvm_dtable, kvm_fpu, kvm_lapic_state, kvm_regs, kvm_segment, kvm_sregs};

/// The general registers.
pub(crate) fn regs(entry: &EntryState) -> kvm_regs {
    kvm_regs {
        rip: entry.rip,
        rsp: entry.rsp,
        rbp: entry.rsp,
        rbx: entry.rbx,
        rsi: entry.rsi,
        rflags: entry.rflags,
        ..Default::default()
    }
}

/// Puts the state into `sregs`, keeping the APIC base.
pub(crate) fn apply(entry: &EntryState, sregs: &mut kvm_sregs) {
    let data = segment(entry.data);
    sregs.cs = segment(entry.code);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = segment(entry.task);
    sregs.gdt = table(entry.gdt);
    sregs.idt = table(entry.idt);
    sregs.cr0 = entry.cr0;
    sregs.cr3 = entry.cr3;
    sregs.cr4 = entry.cr4;
    sregs.efer = entry.efer;
}

fn segment(state: SegmentState) -> kvm_segment {
    let bit = |position: u32| u8::from(state.access >> position & 1 == 1);
    let present = bit(7);
    kvm_segment {
        base: state.base,
        limit: state.limit,
        selector: state.selector,
        type_: state.access.to_le_bytes()[0] & 0xf,
        s: bit(4),
        dpl: state.access.to_le_bytes()[0] >> 5 & 3,
        present,
        avl: bit(12),
        l: bit(13),
        db: bit(14),
        g: bit(15),
        unusable: 1 - present,
        ..Default::default()
    }
}

fn table(state: TableState) -> kvm_dtable {
    kvm_dtable { base: state.base, limit: state.limit, ..Default::default() }
}

/// The floating point unit as `FNINIT` and a reset of MXCSR leave it.
pub(crate) fn fpu() -> kvm_fpu {
    kvm_fpu { fcw: 0x37f, mxcsr: 0x1f80, ..Default::default() }
}

/// Local vector table entries LINT0 and LINT1 in the APIC's register page.
const APIC_LVT_LINT0: usize = 0x350;
const APIC_LVT_LINT1: usize = 0x360;
const DELIVERY_NMI: u32 = 4;
const DELIVERY_EXTINT: u32 = 7;

/// Wires the local interrupts as a PC has them: LINT0 to the PIC, LINT1 to NMI.
pub(crate) fn wire_local_interrupts(lapic: &mut kvm_lapic_state) {
    for (offset, mode) in [(APIC_LVT_LINT0, DELIVERY_EXTINT), (APIC_LVT_LINT1, DELIVERY_NMI)] {
        let Some(register) = lapic.regs.get_mut(offset..offset + 4) else { continue };
        let old = register.iter().rev().fold(0, |value, byte| value << 8 | u32::from(byte.cast_unsigned()));
        let new = old & !0x700 | mode << 8;
        for (byte, value) in register.iter_mut().zip(new.to_le_bytes()) {
            *byte = value.cast_signed();
        }
    }
}

/// Whether the interrupt request register, 8 words of 32 bits every 16 bytes, holds this vector.
pub(crate) fn interrupt_requested(lapic: &kvm_lapic_state, vector: u8) -> bool {
    const APIC_IRR: usize = 0x200;
    let offset = APIC_IRR + usize::from(vector / 32) * 16 + usize::from(vector % 32 / 8);
    lapic.regs.get(offset).is_some_and(|byte| byte.cast_unsigned() >> (vector % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_segment_apart() {
        let code = segment(SegmentState { selector: 0x10, base: 0, limit: u32::MAX, access: 0xa09b });
        assert_eq!((code.type_, code.s, code.dpl, code.present), (0xb, 1, 0, 1));
        assert_eq!((code.avl, code.l, code.db, code.g, code.unusable), (0, 1, 0, 1, 0));
        let user = segment(SegmentState { selector: 0x1b, base: 0, limit: u32::MAX, access: 0xc0fb });
        assert_eq!((user.dpl, user.l, user.db), (3, 0, 1));
        assert_eq!(segment(SegmentState::default()).unusable, 1);
    }

    #[test]
    fn wires_lint0_to_the_pic_and_lint1_to_nmi() {
        let mut lapic = kvm_lapic_state::default();
        lapic.regs[APIC_LVT_LINT0] = 5;
        wire_local_interrupts(&mut lapic);
        assert_eq!(lapic.regs[APIC_LVT_LINT0..APIC_LVT_LINT0 + 4], [5, 7, 0, 0]);
        assert_eq!(lapic.regs[APIC_LVT_LINT1..APIC_LVT_LINT1 + 4], [0, 4, 0, 0]);
    }
}
