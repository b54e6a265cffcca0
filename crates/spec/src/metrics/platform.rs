// SPDX-License-Identifier: Apache-2.0
//! Metrics of vCPUs, of the process, and of the fixed devices of a PC.

use super::{Component, Role, Unit, bytes, count, gauge, nanoseconds};

pub(super) const VCPU: Component = Component {
    name: "vcpu",
    title: "A vCPU",
    role: Role::Own,
    metrics: &[
        count("exits_port_in", "Exits to read an I/O port."),
        count("exits_port_out", "Exits to write an I/O port."),
        count("exits_mmio_read", "Exits to read a device register."),
        count("exits_mmio_write", "Exits to write a device register."),
        count("exits_halt", "Exits to halt; KVM waits for interrupts itself and seldom exits for it."),
        count("exits_interrupted", "Exits because the worker, or a signal, called the thread back."),
        count("exits_debug", "Exits at a breakpoint."),
        count("exits_shutdown", "Exits because of three nested faults."),
        count("exits_system_event", "Exits to switch off, reset or report a crash by KVM."),
        count("exits_failed", "Exits because KVM, the processor or the memory of the host cannot go on."),
        count("unclaimed_accesses", "Accesses to ports and addresses where no device is."),
        gauge("thread_id", Unit::Count, "The id of its thread on the host; 0 once it has ended."),
        nanoseconds("run_ns", "Time its thread ran on a CPU of the host."),
        nanoseconds(
            "wait_ns",
            "Time its thread could have run and had to wait for a CPU of the host: stolen from the guest.",
        ),
    ],
};

pub(super) const PROCESS: Component = Component {
    name: "process",
    title: "The worker: the process that runs the machine",
    role: Role::Own,
    metrics: &[
        nanoseconds("cpu_ns", "Processor time of all its threads, in steps of 10 ms."),
        gauge(
            "resident_bytes",
            Unit::Bytes,
            "Its memory, that of the guest included, that the host has in place.",
        ),
        gauge("threads", Unit::Count, "Its threads."),
        gauge("open_descriptors", Unit::Count, "Its open files, sockets and other descriptors."),
        count("minor_faults", "Page faults that needed no reading."),
        count("major_faults", "Page faults that had to wait for a disk of the host."),
    ],
};

pub(super) const INTERRUPTS: Component = Component {
    name: "interrupts",
    title: "The interrupt controllers",
    role: Role::Own,
    metrics: &[count("errors", "Interrupts that KVM refused to take.")],
};

pub(super) const SERIAL: Component = Component {
    name: "serial",
    title: "The serial port",
    role: Role::Own,
    metrics: &[
        bytes("bytes_sent", "Bytes the guest sent."),
        bytes("bytes_received", "Bytes the guest was given."),
        bytes("bytes_lost", "Bytes the guest sent that could not be written."),
    ],
};

pub(super) const RTC: Component = Component {
    name: "rtc",
    title: "The real-time clock",
    role: Role::Own,
    metrics: &[
        count("time_settings", "Times the guest set the clock."),
        count("interrupts", "Interrupts it raised."),
    ],
};

pub(super) const I8042: Component = Component {
    name: "i8042",
    title: "The keyboard controller",
    role: Role::Own,
    metrics: &[count("resets", "Resets the guest asked it for.")],
};

pub(super) const ACPI_PM: Component = Component {
    name: "acpi-pm",
    title: "The ACPI power management",
    role: Role::Own,
    metrics: &[
        count("power_offs", "Times the guest switched itself off."),
        count("button_presses", "Times the power button was pressed."),
    ],
};

pub(super) const PVPANIC: Component = Component {
    name: "pvpanic",
    title: "The panic device",
    role: Role::Own,
    metrics: &[
        count("panics", "Panics the guest reported."),
        count("crash_kernels", "Panics of a guest that has a kernel of its own for them."),
    ],
};

pub(super) const RESET_CONTROL: Component = Component {
    name: "reset-control",
    title: "The reset port 0xCF9",
    role: Role::Own,
    metrics: &[count("resets", "Resets the guest asked it for.")],
};

pub(super) const WATCHDOG: Component = Component {
    name: "watchdog",
    title: "The watchdog",
    role: Role::Own,
    metrics: &[
        count("expirations", "Countdowns that were over."),
        count("reloads", "Times the guest began the countdown again."),
    ],
};

pub(super) const VM_GENERATION: Component = Component {
    name: "vm-generation",
    title: "The identity that a restore makes anew",
    role: Role::Own,
    metrics: &[count("renewals", "New identities that the guest was told of.")],
};
