// SPDX-License-Identifier: Apache-2.0
//! What each guest does.

use crate::assembler::{Assembler, Label, Register};
use crate::basics::{COM1, LINE_STATUS, power_off, print};
use crate::{disk, elf, smp};

const DATA_READY: u32 = 0x01;
const PM1_STATUS: u16 = 0x600;
const POWER_BUTTON: u32 = 1 << 8;
const RESET_CONTROL: u16 = 0xcf9;
const I8042_COMMAND: u16 = 0x64;
const PVPANIC: u16 = 0x505;
const WATCHDOG: u16 = 0x680;
const GPE0_STATUS: u16 = 0x620;
const VM_GENERATION: u32 = 1;
/// RAM that no boot data uses; keeps its contents over a reset.
const SCRATCH: u32 = 0x20_0000;
const MAGIC: u32 = 0x464c_4f54;

/// A guest and what it shows.
pub struct Guest {
    /// Name of the guest and, with `.elf`, of its file.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    build: fn(&mut Assembler),
}

impl Guest {
    /// The ELF file.
    pub fn image(&self) -> Vec<u8> {
        let mut assembler = Assembler::default();
        (self.build)(&mut assembler);
        elf::wrap(&assembler.finish())
    }
}

/// All guests.
pub const GUESTS: &[Guest] = &[
    Guest { name: "hello", summary: "prints `hello` and a line end, powers off by ACPI", build: hello },
    Guest {
        name: "idle",
        summary: "prints `ready` and a line end, halts with interrupts off for ever",
        build: idle,
    },
    Guest {
        name: "spin",
        summary: "prints `ready` and a line end, spins without any exit for ever",
        build: spin,
    },
    Guest {
        name: "ticker",
        summary: "prints `ready` and a line end, then an endless stream of dots, one exit each",
        build: ticker,
    },
    Guest {
        name: "button",
        summary: "prints `ready` and a line end, waits for the ACPI power button, prints `button`, powers off",
        build: button,
    },
    Guest {
        name: "reboot-once",
        summary: "first start: prints `first`, resets by 0xcf9; second start: prints `second`, powers off",
        build: reboot_once,
    },
    Guest {
        name: "reset-cf9",
        summary: "prints `reset`, resets by port 0xcf9 at each start",
        build: reset_cf9,
    },
    Guest {
        name: "reset-i8042",
        summary: "prints `reset`, resets by the i8042 at each start",
        build: reset_i8042,
    },
    Guest {
        name: "triple-fault",
        summary: "prints `fault`, then faults without an IDT",
        build: triple_fault,
    },
    Guest { name: "panic", summary: "prints `panic`, reports a panic through pvpanic, halts", build: panic },
    Guest {
        name: "watchdog",
        summary: "prints `ready`, starts its watchdog with 300 ms and spins without any exit; after a reset by that: prints `bitten`, powers off",
        build: watchdog,
    },
    Guest {
        name: "generation",
        summary: "prints `ready`, waits for the general purpose event of another identity, prints `another`, powers off",
        build: generation,
    },
    Guest {
        name: "panic-on-second",
        summary: "prints `ready`, starts all other CPUs, which report a panic through pvpanic, and spins without any exit",
        build: panic_on_second,
    },
    Guest {
        name: "echo",
        summary: "prints `ready`, echoes serial input; o = power off, r = reset, t = triple fault, p = panic",
        build: echo,
    },
    Guest {
        name: "hostile",
        summary: "reads and writes every port from 0x60 to 0x0fff but the reset and power ones, prints `done`, powers off",
        build: hostile,
    },
    Guest {
        name: "stopped-flag",
        summary: "prints `ready`, waits until the paravirtual clock says that the guest was stopped, prints `stopped`, powers off",
        build: stopped_flag,
    },
    Guest {
        name: "smp",
        summary: "starts one other CPU by INIT-SIPI, prints `two`, powers off",
        build: smp::build,
    },
    Guest {
        name: "disk",
        summary: "on a machine without rng: writes and reads the first four sectors of the first disk, prints `done`, powers off",
        build: |a| disk::write_and_read(4).assemble(a),
    },
    Guest {
        name: "counters",
        summary: "starts all other CPUs, prints `ready`; each CPU counts in memory of its own for ever, see `counters`",
        build: smp::counters,
    },
];

/// The guest of that name.
pub fn guest(name: &str) -> Option<&'static Guest> {
    GUESTS.iter().find(|guest| guest.name == name)
}

fn hello(a: &mut Assembler) {
    print(a, "hello\n");
    power_off(a);
}

fn idle(a: &mut Assembler) {
    print(a, "ready\n");
    a.halt();
}

fn spin(a: &mut Assembler) {
    print(a, "ready\n");
    let again = a.here();
    a.jump(again);
}

fn ticker(a: &mut Assembler) {
    print(a, "ready\n");
    let again = a.here();
    a.out_byte(COM1, b'.');
    a.jump(again);
}

fn button(a: &mut Assembler) {
    print(a, "ready\n");
    let wait = a.here();
    a.in_word(PM1_STATUS);
    a.test(POWER_BUTTON);
    a.jump_if_zero(wait);
    print(a, "button\n");
    power_off(a);
}

fn reboot_once(a: &mut Assembler) {
    let second = a.label();
    a.fetch(SCRATCH);
    a.compare(MAGIC);
    a.jump_if_zero(second);
    print(a, "first\n");
    a.store(SCRATCH, MAGIC);
    a.out_byte(RESET_CONTROL, 0x06);
    a.halt();
    a.bind(second);
    print(a, "second\n");
    a.store(SCRATCH, 0);
    power_off(a);
}

fn reset_cf9(a: &mut Assembler) {
    print(a, "reset\n");
    a.out_byte(RESET_CONTROL, 0x06);
    a.halt();
}

fn reset_i8042(a: &mut Assembler) {
    print(a, "reset\n");
    a.out_byte(I8042_COMMAND, 0xfe);
    a.halt();
}

/// An invalid instruction with an empty IDT: the fault, the double fault and the third have no handler.
fn crash(a: &mut Assembler) {
    let empty_idt = a.data(&[0; 10]);
    a.load_address(Register::Ebx, empty_idt);
    a.bytes(&[0x0f, 0x01, 0x1b, 0x0f, 0x0b]); // lidt [ebx]; ud2
    a.halt();
}

fn triple_fault(a: &mut Assembler) {
    print(a, "fault\n");
    crash(a);
}

fn panic(a: &mut Assembler) {
    print(a, "panic\n");
    a.out_byte(PVPANIC, 1);
    a.halt();
}

fn watchdog(a: &mut Assembler) {
    let bitten = a.label();
    a.in_byte(WATCHDOG + 3);
    a.compare_byte(1);
    a.jump_if_zero(bitten);
    print(a, "ready\n");
    a.load(Register::Edx, u32::from(WATCHDOG + 4));
    a.load(Register::Eax, 3);
    a.bytes(&[0xef]); // out dx, eax
    a.out_byte(WATCHDOG + 1, 1);
    let again = a.here();
    a.jump(again);
    a.bind(bitten);
    print(a, "bitten\n");
    power_off(a);
}

fn generation(a: &mut Assembler) {
    print(a, "ready\n");
    let wait = a.here();
    a.in_byte(GPE0_STATUS);
    a.test(VM_GENERATION);
    a.jump_if_zero(wait);
    print(a, "another\n");
    power_off(a);
}

/// `mov al, 1; mov dx, PVPANIC; out dx, al; cli; hlt; jmp to cli` in 16-bit code.
const PANIC_CODE: [u8; 10] =
    [0xb0, 0x01, 0xba, PVPANIC.to_le_bytes()[0], PVPANIC.to_le_bytes()[1], 0xee, 0xfa, 0xf4, 0xeb, 0xfc];

fn panic_on_second(a: &mut Assembler) {
    print(a, "ready\n");
    smp::start_others(a, &PANIC_CODE);
    let again = a.here();
    a.jump(again);
}

fn echo(a: &mut Assembler) {
    print(a, "ready\n");
    let next = a.here();
    a.in_byte(LINE_STATUS);
    a.test(DATA_READY);
    a.jump_if_zero(next);
    a.in_byte(COM1);
    on_byte(a, b'o', power_off);
    on_byte(a, b'r', |a| {
        a.out_byte(RESET_CONTROL, 0x06);
        a.halt();
    });
    on_byte(a, b't', crash);
    on_byte(a, b'p', |a| {
        a.out_byte(PVPANIC, 1);
        a.halt();
    });
    a.load(Register::Edx, u32::from(COM1));
    a.bytes(&[0xee]);
    a.jump(next);
}

fn on_byte(a: &mut Assembler, byte: u8, action: fn(&mut Assembler)) {
    let other = a.label();
    a.compare_byte(byte);
    a.jump_unless_zero(other);
    action(a);
    a.bind(other);
}

/// `MSR_KVM_SYSTEM_TIME_NEW` gives the page (bit 0: enable), byte 29 of it the flags (bit 1: stopped by the host).
fn stopped_flag(a: &mut Assembler) {
    a.store(SCRATCH + 28, 0);
    a.load(Register::Ecx, 0x4b56_4d01);
    a.load(Register::Eax, SCRATCH | 1);
    a.load(Register::Edx, 0);
    a.bytes(&[0x0f, 0x30]); // wrmsr
    print(a, "ready\n");
    let wait = a.here();
    // A short exit now and then, for KVM to bring the page up to date.
    a.in_byte(LINE_STATUS);
    a.fetch(SCRATCH + 28);
    a.test(2 << 8);
    a.jump_if_zero(wait);
    print(a, "stopped\n");
    power_off(a);
}

fn hostile(a: &mut Assembler) {
    poke_ports(a, 0x60, 0x3f7);
    poke_ports(a, 0x400, 0x504);
    poke_ports(a, 0x506, 0x5ff);
    poke_ports(a, 0x606, 0xcf8);
    poke_ports(a, 0xcfa, 0xfff);
    // UART configuration as at power-on, so that the text comes out.
    a.out_byte(COM1 + 3, 3);
    print(a, "done\n");
    power_off(a);
}

/// Reads ports `first..=last` one after the other in every width and writes back zeros (never a reset command).
fn poke_ports(a: &mut Assembler, first: u16, last: u16) {
    a.load(Register::Edx, u32::from(first));
    let next = a.here();
    a.bytes(&[0xec, 0x66, 0xed, 0xed]); // in al, dx; in ax, dx; in eax, dx
    a.load(Register::Eax, 0);
    a.bytes(&[0xee, 0x66, 0xef, 0xef]); // out dx, al; out dx, ax; out dx, eax
    a.bytes(&[0x83, 0xc2, 0x01, 0x81, 0xfa]); // add edx, 1; cmp edx, imm32
    a.bytes(&u32::from(last).to_le_bytes());
    below_or_equal(a, next);
}

fn below_or_equal(a: &mut Assembler, target: Label) {
    let out = a.label();
    a.bytes(&[0x77, 5]); // ja over the jump
    a.jump(target);
    a.bind(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_have_names_of_their_own_and_are_small_elf_files() {
        for (index, guest) in GUESTS.iter().enumerate() {
            assert!(GUESTS.iter().skip(index + 1).all(|other| other.name != guest.name), "{}", guest.name);
            let image = guest.image();
            assert!(image.starts_with(b"\x7fELF") && image.len() < 8192, "{}", guest.name);
        }
        assert!(guest("absent").is_none());
    }
}
