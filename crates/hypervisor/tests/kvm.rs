// SPDX-License-Identifier: Apache-2.0
//! The hypervisor on a real KVM.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flotilla_hypervisor::probe::{KvmKind, kvm_kind};
use flotilla_hypervisor::{Exit, HypervisorError, Kvm, Vm};
use flotilla_memory::{Bytes, GuestAddress};
use support::{Guest, MMIO, kernel_mode, kvm, user_mode};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// `mov dx, 0x3f8; mov al, 'A'; out dx, al; in al, dx; out dx, al; ud2`
const PORTS: &[u8] = &[0x66, 0xba, 0xf8, 0x03, 0xb0, 0x41, 0xee, 0xec, 0xee, 0x0f, 0x0b];
/// `mov rbx, MMIO; mov dword [rbx], 0x12345678; mov eax, [rbx + 4]; mov [rbx + 8], eax; ud2`
const MEMORY: &[u8] = &[
    0x48, 0xbb, 0, 0, 0, 0x10, 0, 0, 0, 0, 0xc7, 0x03, 0x78, 0x56, 0x34, 0x12, 0x8b, 0x43, 0x04, 0x89, 0x43,
    0x08, 0x0f, 0x0b,
];
/// `mov rbx, 0xfee000f0; mov dword [rbx], 0x1ff; mov rbx, MMIO; mov [rbx], eax; jmp $`: switches the local APIC on.
const APIC_ON: &[u8] = &[
    0x48, 0xbb, 0xf0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0xc7, 0x03, 0xff, 1, 0, 0, 0x48, 0xbb, 0, 0, 0, 0x10, 0, 0,
    0, 0, 0x89, 0x03, 0xeb, 0xfe,
];
/// `jmp $`
const LOOP: &[u8] = &[0xeb, 0xfe];
/// `mov rsi, 0x100100; mov ecx, 3; mov dx, 0x3f8; rep outsw; ud2`
const STRING_OUT: &[u8] = &[
    0x48, 0xc7, 0xc6, 0, 1, 0x10, 0, 0xb9, 3, 0, 0, 0, 0x66, 0xba, 0xf8, 0x03, 0xf3, 0x66, 0x6f, 0x0f, 0x0b,
];

#[test]
fn this_hosts_kvm_has_what_machines_need() {
    let Some(kvm) = kvm() else { return };
    let capabilities = kvm.check();
    assert_eq!(capabilities.missing, [""; 0]);
    assert!(capabilities.max_vcpus >= 2);
    assert!(kvm.supported_cpuid().unwrap().physical_address_bits() >= 36);
}

/// The probe must agree with what an operating system would find: hardware virtualization shows in the CPU flags.
#[test]
fn the_probe_tells_hardware_from_software() {
    let Some(kvm) = kvm() else { return };
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let hardware = info.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    match kvm_kind(&kvm) {
        KvmKind::Hardware => assert!(hardware),
        KvmKind::Software(reason) => assert!(!hardware, "{reason}"),
        KvmKind::None(reason) => panic!("{reason}"),
    }
}

#[test]
fn a_descriptor_of_something_else_is_refused() {
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(
        matches!(Kvm::from_descriptor(file.into()), Err(HypervisorError::Version { found }) if found < 0)
    );
}

#[test]
fn an_open_kvm_descriptor_is_enough() {
    if kvm().is_none() {
        return;
    }
    let file = std::fs::File::options().read(true).write(true).open("/dev/kvm").unwrap();
    assert!(Kvm::from_descriptor(file.into()).unwrap().create_vm().is_ok());
}

#[test]
fn a_guest_reads_and_writes_ports() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &kernel_mode(), PORTS);
    assert_eq!(guest.vcpu.run().unwrap(), Exit::PortOut { port: 0x3f8, width: 1, data: b"A" });
    match guest.vcpu.run().unwrap() {
        Exit::PortIn { port: 0x3f8, width: 1, data } => data.copy_from_slice(b"z"),
        other => panic!("{other:?}"),
    }
    assert_eq!(guest.vcpu.run().unwrap(), Exit::PortOut { port: 0x3f8, width: 1, data: b"z" });
}

#[test]
fn a_string_instruction_is_several_accesses_of_its_width() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &kernel_mode(), STRING_OUT);
    guest.memory.write_slice(b"abcdef", GuestAddress(0x10_0100)).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 6 {
        match guest.vcpu.run().unwrap() {
            Exit::PortOut { port: 0x3f8, width: 2, data } => seen.extend_from_slice(data),
            other => panic!("{other:?} after {seen:?}"),
        }
    }
    assert_eq!(seen, b"abcdef");
}

#[test]
fn a_guest_reads_and_writes_memory_that_nothing_backs() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), MEMORY);
    let written = 0x1234_5678_u32.to_le_bytes();
    assert_eq!(guest.vcpu.run().unwrap(), Exit::MmioWrite { address: MMIO, data: &written });
    match guest.vcpu.run().unwrap() {
        Exit::MmioRead { address, data } if address == MMIO + 4 => data.copy_from_slice(&[1, 2, 3, 4]),
        other => panic!("{other:?}"),
    }
    assert_eq!(guest.vcpu.run().unwrap(), Exit::MmioWrite { address: MMIO + 8, data: &[1, 2, 3, 4] });
}

#[test]
fn a_fault_that_nobody_handles_shuts_the_processor_down() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), &[0x0f, 0x0b]);
    assert_eq!(guest.vcpu.run().unwrap(), Exit::Shutdown);
    // What the registers hold now differs: AMD processors reset them, KVM on others leaves the faulting state.
    assert!(guest.vcpu.registers().is_ok());
}

#[test]
fn a_doorbell_rings_without_leaving_the_kernel() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), MEMORY);
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    let doorbells = guest.vm.doorbells();
    doorbells.attach(MMIO, Some(0x1234_5678), &event).unwrap();
    // The first access of the guest is the doorbell: what exits is its second one.
    assert!(matches!(guest.vcpu.run().unwrap(), Exit::MmioRead { address, .. } if address == MMIO + 4));
    assert_eq!(event.read().unwrap(), 1);
    doorbells.detach(MMIO, Some(0x1234_5678), &event).unwrap();
    guest.vcpu.set_boot_state(Some(&user_mode())).unwrap();
    assert_eq!(guest.vcpu.run().unwrap(), Exit::Interrupted);
    assert!(matches!(guest.vcpu.run().unwrap(), Exit::MmioWrite { address: MMIO, .. }));
}

#[test]
fn a_doorbell_with_another_value_does_not_ring() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), MEMORY);
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    guest.vm.doorbells().attach(MMIO, Some(7), &event).unwrap();
    assert!(matches!(guest.vcpu.run().unwrap(), Exit::MmioWrite { address: MMIO, .. }));
    assert!(event.read().is_err());
}

#[test]
fn no_kick_is_lost() {
    const KICKS: u64 = 1000;
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), LOOP);
    let kicker = guest.vcpu.kicker();
    let (requested, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let thread = {
        let (requested, seen, kicker) = (Arc::clone(&requested), Arc::clone(&seen), kicker.clone());
        std::thread::spawn(move || {
            let _binding = kicker.bind_current_thread().unwrap();
            while seen.load(Ordering::SeqCst) < KICKS {
                assert_eq!(guest.vcpu.run().unwrap(), Exit::Interrupted);
                seen.store(requested.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        })
    };
    for kick in 1..=KICKS {
        requested.store(kick, Ordering::SeqCst);
        kicker.kick();
        let start = Instant::now();
        while seen.load(Ordering::SeqCst) < kick {
            assert!(start.elapsed() < Duration::from_mins(1), "kick {kick} was lost");
            std::thread::yield_now();
        }
    }
    thread.join().unwrap();
}

#[test]
fn a_kick_before_the_first_run_is_not_lost() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), LOOP);
    guest.vcpu.kicker().kick();
    assert_eq!(guest.vcpu.run().unwrap(), Exit::Interrupted);
}

#[test]
fn a_half_done_access_is_finished_before_the_state_is_saved() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &kernel_mode(), PORTS);
    let start = user_mode().rip;
    assert!(matches!(guest.vcpu.run().unwrap(), Exit::PortOut { .. }));
    assert_eq!(guest.vcpu.finish_exit().unwrap(), Exit::Interrupted);
    assert_eq!(guest.vcpu.registers().unwrap().rip, start + 7);
    match guest.vcpu.run().unwrap() {
        Exit::PortIn { data, .. } => data.copy_from_slice(b"q"),
        other => panic!("{other:?}"),
    }
    assert_eq!(guest.vcpu.finish_exit().unwrap(), Exit::Interrupted);
    assert_eq!(guest.vcpu.registers().unwrap().rax & 0xff, u64::from(b'q'));
}

#[test]
fn a_saved_guest_goes_on_in_another_machine() {
    let Some(kvm) = kvm() else { return };
    let mut first = Guest::new(&kvm, &kernel_mode(), PORTS);
    first.vcpu.run().unwrap();
    match first.vcpu.run().unwrap() {
        Exit::PortIn { data, .. } => data.copy_from_slice(b"s"),
        other => panic!("{other:?}"),
    }
    assert_eq!(first.vcpu.finish_exit().unwrap(), Exit::Interrupted);
    // As text and back, as a file would hold it.
    let vcpu = serde_json::to_string(&first.vcpu.save().unwrap()).unwrap();
    let vm = serde_json::to_string(&first.vm.save().unwrap()).unwrap();
    drop(first);

    let mut second = Guest::new(&kvm, &kernel_mode(), PORTS);
    second.vcpu.restore(&serde_json::from_str(&vcpu).unwrap()).unwrap();
    second.vm.restore(&serde_json::from_str(&vm).unwrap()).unwrap();
    assert_eq!(second.vcpu.run().unwrap(), Exit::PortOut { port: 0x3f8, width: 1, data: b"s" });
}

#[test]
fn a_machine_without_an_interval_timer_keeps_its_state_apart_from_one_with_it() {
    let Some(kvm) = kvm() else { return };
    let with = Guest::new(&kvm, &user_mode(), LOOP).vm;
    let without = kvm.create_vm().unwrap();
    without.create_interrupt_controllers().unwrap();
    let (with_state, state) = (with.save().unwrap(), without.save().unwrap());
    without.restore(&state).unwrap();
    without.reset(&state).unwrap();
    for (vm, other) in [(&with, &state), (&without, &with_state)] {
        let error = vm.restore(other).unwrap_err();
        assert!(error.to_string().contains("other timers"), "{error}");
    }
}

#[test]
fn a_damaged_state_is_refused() {
    let Some(kvm) = kvm() else { return };
    let guest = Guest::new(&kvm, &user_mode(), LOOP);
    let state = serde_json::to_value(guest.vcpu.save().unwrap()).unwrap();
    let damage = |change: fn(&mut serde_json::Value)| {
        let mut state = state.clone();
        change(&mut state);
        if let Ok(state) = serde_json::from_value(state) {
            assert!(guest.vcpu.restore(&state).is_err());
        }
    };
    damage(|state| state["header"]["version"] = 99.into());
    damage(|state| state["header"]["kind"] = "kvm-vm".into());
    damage(|state| state["xsave"] = serde_json::json!([]));
    damage(|state| state["msrs"] = serde_json::json!([{"index": 0xdead_beef_u32, "value": 1}]));
    damage(|state| state["surprise"] = 1.into());
}

#[test]
fn a_rebooted_vcpu_starts_again_from_the_beginning() {
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &kernel_mode(), PORTS);
    let pristine = guest.vm.save().unwrap();
    for _ in 0..3 {
        assert_eq!(guest.vcpu.run().unwrap(), Exit::PortOut { port: 0x3f8, width: 1, data: b"A" });
        assert!(matches!(guest.vcpu.run().unwrap(), Exit::PortIn { .. }));
        guest.vm.reset(&pristine).unwrap();
        guest.vcpu.set_boot_state(Some(&kernel_mode())).unwrap();
        assert_eq!(guest.vcpu.run().unwrap(), Exit::Interrupted);
    }
}

#[test]
fn vectors_are_routed_masked_and_freed() {
    use flotilla_device_model::interrupt::MsiMessage;
    let Some(kvm) = kvm() else { return };
    let guest = Guest::new(&kvm, &user_mode(), LOOP);
    let vectors = guest.vm.msi_vectors();
    let vector = vectors.create().unwrap();
    assert!(vector.unmask().is_err(), "a vector without a route must stay masked");
    vector.trigger();
    vector.route(MsiMessage { address: 0xfee0_0000, data: 0x41 }).unwrap();
    vector.unmask().unwrap();
    vector.unmask().unwrap();
    vector.route(MsiMessage { address: 0xfee0_0000, data: 0x42 }).unwrap();
    vector.trigger();
    vector.mask().unwrap();
    vector.mask().unwrap();
    let others: Vec<_> = (0..100).map(|_| vectors.create().unwrap()).collect();
    for other in &others {
        other.route(MsiMessage { address: 0xfee0_0000, data: 0x43 }).unwrap();
        other.unmask().unwrap();
    }
    drop((vector, others));
    assert_eq!(guest.vm.interrupt_errors(), 0);
}

#[test]
fn interrupts_that_kvm_refuses_are_counted() {
    let Some(kvm) = kvm() else { return };
    // Without interrupt controllers nobody takes an interrupt: errors.
    let vm = kvm.create_vm().unwrap();
    vm.interrupt_line(4).set_level(true);
    assert_eq!(vm.interrupt_errors(), 1);
}

#[test]
fn a_message_reaches_the_local_apic_only_while_unmasked() {
    use flotilla_device_model::interrupt::MsiMessage;
    const VECTOR: u8 = 0x41;
    let Some(kvm) = kvm() else { return };
    let mut guest = Guest::new(&kvm, &user_mode(), APIC_ON);
    assert!(matches!(guest.vcpu.run().unwrap(), Exit::MmioWrite { address: MMIO, .. }));
    let vector = guest.vm.msi_vectors().create().unwrap();
    vector.route(MsiMessage { address: 0xfee0_0000, data: u32::from(VECTOR) }).unwrap();
    vector.trigger();
    std::thread::sleep(Duration::from_millis(20));
    assert!(!guest.vcpu.interrupt_requested(VECTOR).unwrap());
    vector.unmask().unwrap();
    let start = Instant::now();
    while !guest.vcpu.interrupt_requested(VECTOR).unwrap() {
        assert!(start.elapsed() < Duration::from_mins(1), "the message did not arrive");
        std::thread::yield_now();
    }
}

/// Requests that wait at the second PIC, whose first input is line 8.
fn waiting(vm: &Vm) -> u8 {
    let state = serde_json::to_value(vm.save().unwrap()).unwrap();
    // `struct kvm_irqchip` begins with eight bytes of its own, `struct kvm_pic_state` with `last_irr` and `irr`.
    let bytes: Vec<u8> = serde_json::from_value(state["pic_slave"].clone()).unwrap();
    bytes[9]
}

#[test]
fn a_rising_edge_reaches_the_interrupt_controllers_and_a_falling_one_is_none() {
    let Some(kvm) = kvm() else { return };
    let vm = kvm.create_vm().unwrap();
    vm.create_interrupt_controllers().unwrap();
    let line = vm.edge_line(8).unwrap();
    line.set_level(false);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(waiting(&vm) & 1, 0);
    line.set_level(true);
    let deadline = Instant::now() + Duration::from_mins(1);
    while waiting(&vm) & 1 == 0 {
        assert!(Instant::now() < deadline, "no interrupt within a minute");
    }
}
