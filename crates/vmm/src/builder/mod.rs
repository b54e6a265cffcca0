// SPDX-License-Identifier: Apache-2.0
//! From a valid specification and open files to the parts of a machine.
//!
//! ```text
//!   kernel ─▶ boot plan ┐
//!   memory ─────────────┼─▶ VM, interrupt controllers ─▶ buses ─▶ legacy devices ─▶ virtio devices ─▶ vCPUs
//!   /dev/kvm ───────────┘                                          [legacy]         [pci] or [mmio], with the devices of [virtio]
//! ```
//!
//! Nothing runs when this returns: devices are as after power-on, vCPU threads wait for their first order.

mod kernel;
mod legacy;
mod mmio;
mod pci;
mod virtio;
mod vsock;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use flotilla_boot::{MachineKind, PlanOptions, layout};
use flotilla_device_model::bus::Bus;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::threads::{DeviceThreads, named};
use flotilla_hypervisor::{CpuTopology, HypervisorError, Kvm, Vm};
use flotilla_memory::{Backing, GuestMemory};
use flotilla_spec::{BootProtocol, Profile, ValidSpec};

use crate::error::BuildError;
use crate::inbox::Inbox;
use crate::options::MachineOptions;
use crate::parts::Parts;
use crate::resources::Resources;
use crate::threads::{IoThreads, ThreadHook};
use crate::vcpu::exits::{ExitCounters, Routes};
use crate::vcpu::thread::VcpuHandle;

use legacy::Legacy;
use virtio::VirtioDevices;

/// CPUID leaf whose EAX bits 0 to 7 are the number of physical address bits.
const CPUID_ADDRESS_SIZES: u32 = 0x8000_0008;
/// What any x86-64 processor has.
const LEAST_PHYSICAL_BITS: u8 = 36;

/// What devices are built from.
struct Frame {
    vm: Vm,
    memory: Arc<GuestMemory>,
    ports: Arc<Bus>,
    mmio: Arc<Bus>,
    window_64: Option<layout::Window>,
    /// In the order they are paused.
    devices: Vec<Arc<dyn Lifecycle>>,
    /// Watches the threads that devices start.
    threads: Arc<dyn DeviceThreads>,
}

/// Builds the parts of a machine.
pub fn build(
    spec: &ValidSpec,
    resources: Resources,
    options: &MachineOptions,
    inbox: &Arc<Inbox>,
) -> Result<Parts, BuildError> {
    let Resources { kvm, kernel, initrd, disks, backing, interfaces, serial_file, sockets } = resources;
    let kvm = Kvm::from_descriptor(kvm).map_err(hypervisor("use /dev/kvm"))?;
    kvm.check().require().map_err(hypervisor("use /dev/kvm"))?;
    let window_64 = layout::pci_window_64(spec.memory.bytes(), physical_bits(&kvm)?);
    let (vm, memory, guest) = beside_a_new_vm(&kvm, || {
        let memory = flotilla_memory::allocate(&layout::ram_regions(spec.memory.bytes()), Backing::Anonymous)
            .map_err(BuildError::Memory)?;
        let guest = kernel::plan(spec, kernel, initrd, &memory, &plan_options(spec, window_64))?;
        // After the plan: what is wrong with the kernel itself is the more useful thing to hear.
        kernel::refuse_without_hardware(&kvm, &guest.kernel, options.allow_software_kvm)?;
        guest.load(&memory).map_err(BuildError::Boot)?;
        Ok((memory, guest))
    })?;
    furnish_vm(&vm, &memory)?;
    let mut frame = Frame {
        vm: vm.clone(),
        memory: Arc::clone(&memory),
        ports: Arc::default(),
        mmio: Arc::default(),
        window_64,
        devices: Vec::new(),
        threads: Arc::new(IoThreads { hook: options.on_thread_start.clone(), inbox: Arc::clone(inbox) }),
    };
    let legacy = legacy::add(&mut frame, spec, serial_file, inbox, &options.console)?;
    let disks = disks.into_iter().zip(backing);
    let VirtioDevices { all, disks, interfaces } =
        virtio::devices(spec, disks, interfaces, sockets, &frame.threads, inbox)?;
    match spec.profile {
        Profile::Standard => pci::add(&mut frame, all, legacy.reset_control)?,
        Profile::Micro => mmio::add(&mut frame, all, legacy.reset_control)?,
    }
    let Frame { ports, mmio, devices, .. } = frame;
    let routes = Arc::new(Routes { ports, memory: mmio, counters: ExitCounters::default() });
    let vcpus = create_vcpus(&vm, spec.cpus, &routes, inbox, options.on_thread_start.as_ref())?;
    let power_on = vm.save().map_err(hypervisor("read the interrupt controllers"))?;
    let console = Arc::clone(&options.console);
    console.connect_input(Arc::downgrade(&legacy.input));
    let Legacy { power_button, input, .. } = legacy;
    Ok(Parts {
        vcpus,
        devices,
        disks,
        interfaces,
        routes,
        vm,
        memory,
        guest,
        guest_in_place: true,
        power_on,
        power_button,
        console,
        _input: input,
        running: false,
        clock: None,
        patience: options.patience,
    })
}

fn plan_options(spec: &ValidSpec, pci_window_64: Option<layout::Window>) -> PlanOptions {
    let protocol = match spec.boot.protocol {
        BootProtocol::Auto => flotilla_boot::Protocol::Auto,
        BootProtocol::Pvh => flotilla_boot::Protocol::Pvh,
        BootProtocol::Linux => flotilla_boot::Protocol::Linux,
    };
    let kind = match spec.profile {
        Profile::Standard => MachineKind::Standard { pci_window_64 },
        Profile::Micro => MachineKind::Micro { virtio_devices: virtio::count(spec), acpi: spec.has_acpi() },
    };
    PlanOptions { protocol, cpus: spec.cpus, kind }
}

/// Creates a virtual machine while `prepare` fills memory: the kernel sleeps for ten milliseconds and more in the creation,
/// until every processor has seen that a thread of its own is in its cgroup.
fn beside_a_new_vm<T>(
    kvm: &Kvm,
    prepare: impl FnOnce() -> Result<(Arc<GuestMemory>, T), BuildError>,
) -> Result<(Vm, Arc<GuestMemory>, T), BuildError> {
    thread::scope(|scope| {
        let created = named("vm-creation")
            .spawn_scoped(scope, || kvm.create_vm())
            .map_err(|source| BuildError::Host { step: "start a thread", source })?;
        let prepared = prepare();
        let vm = created.join().unwrap_or_else(|panic| resume_unwind(panic));
        let (memory, prepared) = prepared?;
        Ok((vm.map_err(hypervisor("create a virtual machine"))?, memory, prepared))
    })
}

fn furnish_vm(vm: &Vm, memory: &Arc<GuestMemory>) -> Result<(), BuildError> {
    vm.map_memory(memory).map_err(hypervisor("give the guest its memory"))?;
    vm.create_interrupt_controllers().map_err(hypervisor("create the interrupt controllers"))
}

fn create_vcpus(
    vm: &Vm,
    cpus: u32,
    routes: &Arc<Routes>,
    inbox: &Arc<Inbox>,
    hook: Option<&ThreadHook>,
) -> Result<Vec<VcpuHandle>, BuildError> {
    let topology = CpuTopology { cpus };
    (0..cpus)
        .map(|index| {
            let vcpu = vm.create_vcpu(index).map_err(hypervisor("create a vCPU"))?;
            vcpu.configure_cpuid(&topology).map_err(hypervisor("set the CPUID of a vCPU"))?;
            VcpuHandle::start(index, vcpu, Arc::clone(routes), Arc::clone(inbox), hook.cloned())
                .map_err(|source| BuildError::Host { step: "start a vCPU thread", source })
        })
        .collect()
}

fn physical_bits(kvm: &Kvm) -> Result<u8, BuildError> {
    let cpuid = kvm.supported_cpuid().map_err(hypervisor("list the CPUID leaves"))?;
    let leaf = cpuid.entries.iter().find(|entry| entry.function == CPUID_ADDRESS_SIZES);
    Ok(leaf.and_then(|leaf| u8::try_from(leaf.eax & 0xff).ok()).unwrap_or(LEAST_PHYSICAL_BITS))
}

fn hypervisor(step: &'static str) -> impl Fn(HypervisorError) -> BuildError {
    move |source| BuildError::Hypervisor { step, source }
}

/// A part that cannot be placed: never the fault of a specification.
fn layout_fault(what: &str, error: &dyn std::fmt::Display) -> BuildError {
    BuildError::Layout { what: what.to_owned(), reason: error.to_string() }
}
