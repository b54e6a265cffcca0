// SPDX-License-Identifier: Apache-2.0
//! Unmodified Linux on the hypervisor and boot crates alone: two vCPUs, no device but the transmit half of a serial
//! port. Needs hardware virtualization and a guest kernel: `FLOTILLA_TEST_VMLINUX` and `FLOTILLA_TEST_BZIMAGE` name
//! its two forms, `FLOTILLA_TEST_INITRD` an initial RAM disk. The guest tier has all of these and runs these tests
//! (`tests/guest/core.test.ts`); for cargo alone they are ignored, and whoever asks for them gets a failure, no skip.

#[allow(dead_code, reason = "shared with another test")]
mod support;

use std::env;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flotilla_boot as boot;
use flotilla_hypervisor::probe::{KvmKind, kvm_kind};
use flotilla_hypervisor::{CpuTopology, Exit, Kvm, Vcpu, Vm};
use flotilla_memory::{Backing, GuestMemory, allocate};

const CPUS: u32 = 2;
const RAM: u64 = 256 << 20;
const LIMIT: Duration = Duration::from_mins(1);
const COMMAND_LINE: &str = "earlycon=uart8250,io,0x3f8 keep_bootcon panic=-1";

fn file(variable: &str) -> File {
    let path =
        env::var_os(variable).unwrap_or_else(|| panic!("{variable} must name a file of the guest kernel"));
    File::open(path).unwrap()
}

fn hardware() -> Kvm {
    let kvm = Kvm::open().unwrap();
    match kvm_kind(&kvm) {
        KvmKind::Hardware => kvm,
        KvmKind::Software(reason) | KvmKind::None(reason) => panic!("No hardware virtualization: {reason}"),
    }
}

/// Answers like an empty machine whose serial port is always ready to send; what is sent is collected.
fn answer(exit: Exit<'_>, output: &Mutex<Vec<u8>>) -> bool {
    match exit {
        Exit::PortOut { port: 0x3f8, data, .. } => output.lock().unwrap().extend_from_slice(data),
        Exit::PortIn { port: 0x3fd, data, .. } => data.fill(0x60),
        // The general purpose events of ACPI: none.
        Exit::PortIn { port: 0x620..=0x62f, data, .. } => data.fill(0),
        Exit::PortIn { data, .. } | Exit::MmioRead { data, .. } => data.fill(0xff),
        Exit::PortOut { .. } | Exit::MmioWrite { .. } | Exit::Interrupted => {}
        other => {
            output.lock().unwrap().extend_from_slice(format!("\n<{other:?}>\n").as_bytes());
            return false;
        }
    }
    true
}

/// Runs all vCPUs until the output holds `wanted`, and returns the output.
fn run(vcpus: Vec<Vcpu>, wanted: &str) -> String {
    let output = Arc::new(Mutex::new(Vec::new()));
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let kickers: Vec<_> = vcpus.iter().map(Vcpu::kicker).collect();
    let threads = vcpus.into_iter().map(|mut vcpu| {
        let (output, done) = (Arc::clone(&output), Arc::clone(&done));
        std::thread::spawn(move || {
            let _binding = vcpu.kicker().bind_current_thread().unwrap();
            while !done.load(std::sync::atomic::Ordering::SeqCst) && answer(vcpu.run().unwrap(), &output) {}
        })
    });
    let threads: Vec<_> = threads.collect();
    let start = Instant::now();
    let text = || String::from_utf8_lossy(&output.lock().unwrap()).into_owned();
    while !text().contains(wanted)
        && start.elapsed() < LIMIT
        && !threads.iter().any(std::thread::JoinHandle::is_finished)
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    kickers.iter().for_each(flotilla_hypervisor::VcpuKicker::kick);
    for thread in threads {
        thread.join().unwrap();
    }
    text()
}

struct Machine {
    vm: Vm,
    memory: Arc<GuestMemory>,
}

fn machine(kvm: &Kvm) -> Machine {
    let memory = allocate(&boot::layout::ram_regions(RAM), Backing::Anonymous).unwrap();
    let vm = kvm.create_vm().unwrap();
    vm.map_memory(&memory).unwrap();
    vm.create_interrupt_controllers().unwrap();
    vm.create_interval_timer().unwrap();
    Machine { vm, memory }
}

fn boots(variable: &str, protocol: boot::Protocol, expected: boot::BootProtocol) {
    let (kvm, kernel, initrd) = (hardware(), file(variable), file("FLOTILLA_TEST_INITRD"));
    let Machine { vm, memory } = machine(&kvm);
    let options = boot::PlanOptions {
        protocol,
        processors: &boot::acpi::Processor::row(CPUS),
        nodes: &[],
        kind: boot::MachineKind::Standard { pci_window_64: boot::layout::pci_window_64(RAM, 48) },
        watchdog: false,
    };
    let sources = boot::Sources { kernel: &kernel, initrd: Some(&initrd) };
    let plan = boot::plan(&sources, COMMAND_LINE, &memory, &options).unwrap();
    assert_eq!(plan.protocol, expected);
    plan.apply(&sources, &memory).unwrap();
    let vcpus = (0..CPUS).map(|index| {
        let mut vcpu = vm.create_vcpu(index).unwrap();
        vcpu.configure_cpuid(&kvm.guest_cpuid().unwrap(), &CpuTopology::flat(CPUS)).unwrap();
        vcpu.set_boot_state((index == 0).then_some(&plan.entry)).unwrap();
        vcpu
    });
    let wanted = "Run /init as init process";
    let output = run(vcpus.collect(), wanted);
    assert!(output.contains(wanted), "{output}");
    assert!(output.contains("Brought up 1 node, 2 CPUs"), "{output}");
    for table in ["RSDP", "XSDT", "FACP", "DSDT", "FACS", "APIC", "MCFG"] {
        assert!(output.contains(&format!("ACPI: {table} 0x")), "{table} not found in:\n{output}");
    }
    assert!(!output.contains("ACPI Error") && !output.contains("ACPI BIOS"), "{output}");
}

#[test]
#[ignore = "needs guest kernels and hardware KVM: the guest tier runs it"]
fn linux_boots_by_pvh() {
    boots("FLOTILLA_TEST_VMLINUX", boot::Protocol::Auto, boot::BootProtocol::Pvh);
}

#[test]
#[ignore = "needs guest kernels and hardware KVM: the guest tier runs it"]
fn linux_boots_from_an_elf_by_its_own_protocol() {
    boots("FLOTILLA_TEST_VMLINUX", boot::Protocol::Linux, boot::BootProtocol::LinuxElf);
}

#[test]
#[ignore = "needs guest kernels and hardware KVM: the guest tier runs it"]
fn linux_boots_from_a_bzimage() {
    boots("FLOTILLA_TEST_BZIMAGE", boot::Protocol::Auto, boot::BootProtocol::LinuxBzImage);
}
