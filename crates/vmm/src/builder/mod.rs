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

mod balloon;
mod console;
mod cpu;
mod kernel;
mod legacy;
mod memory;
mod mmio;
mod pci;
mod pmem;
mod virtio;
mod vsock;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use flotilla_boot::{MachineKind, PlanOptions, layout};
use flotilla_device_model::bus::Bus;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::threads::{DeviceThreads, named};
use flotilla_hypervisor::{Cpuid, HypervisorError, Kvm, Vm};
use flotilla_memory::GuestMemory;
use flotilla_spec::{BootProtocol, Profile, ValidSpec};

use crate::affinity::Affinity;
use crate::error::BuildError;
use crate::inbox::Inbox;
use crate::options::MachineOptions;
use crate::parts::Parts;
use crate::resources::Resources;
use crate::threads::IoThreads;
use crate::vcpu::exits::Routes;
use crate::vcpu::thread::VcpuHandle;

use legacy::Legacy;
use pmem::FileShelf;
use virtio::{DeviceFiles, VirtioDevices};

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
    let Resources { kvm, kernel, initrd, disks, backing, interfaces, shares, serial_file, sockets } =
        resources;
    let kvm = Kvm::from_descriptor(kvm).map_err(hypervisor("use /dev/kvm"))?;
    kvm.check().require().map_err(hypervisor("use /dev/kvm"))?;
    let cpuid = cpu::cpuid(&kvm, &spec.cpu)?;
    let affinity = Affinity::of(&spec.cpu.pin)?;
    let physical_bits = cpuid.physical_address_bits();
    let window_64 = layout::pci_window_64(spec.memory.bytes(), physical_bits);
    let (vm, memory, guest) = beside_a_new_vm(&kvm, || {
        let memory = memory::allocate(spec, physical_bits)?;
        let (processors, nodes) = (cpu::processors(spec), memory::nodes(spec));
        let plan = PlanOptions {
            protocol: protocol(spec.boot.protocol),
            processors: &processors,
            nodes: &nodes,
            kind: kind(spec, window_64),
            watchdog: spec.watchdog.is_some(),
        };
        let guest = kernel::plan(spec, kernel, initrd, &memory, &plan)?;
        // After the plan: what is wrong with the kernel itself is the more useful thing to hear.
        kernel::refuse_without_hardware(&kvm, &guest.kernel, options.allow_software_kvm)?;
        guest.load_new(&memory).map_err(BuildError::Boot)?;
        Ok((memory, guest))
    })?;
    furnish_vm(&vm, &memory)?;
    if cpu::needs_interval_timer(spec.profile, &cpuid) {
        vm.create_interval_timer().map_err(hypervisor("create the interval timer"))?;
    }
    let mut frame = Frame {
        vm: vm.clone(),
        memory: Arc::clone(&memory),
        ports: Arc::default(),
        mmio: Arc::default(),
        window_64,
        devices: Vec::new(),
        threads: Arc::new(IoThreads {
            hook: options.on_thread_start.clone(),
            cpus: affinity.io,
            inbox: Arc::clone(inbox),
        }),
    };
    let legacy = legacy::add(&mut frame, spec, serial_file, inbox, &options.console)?;
    let files = DeviceFiles { disks: disks.into_iter().zip(backing).collect(), interfaces, shares, sockets };
    let shelf = FileShelf {
        vm: &vm,
        mmio: &frame.mmio,
        space: layout::FileSpace::new(spec.memory.bytes(), physical_bits),
    };
    let VirtioDevices { all, disks, pmem, interfaces, balloon, consoles, rng, throttles } =
        virtio::devices(spec, files, &frame.threads, inbox, shelf)?;
    match spec.profile {
        Profile::Standard => pci::add(&mut frame, all, legacy.reset_control)?,
        Profile::Micro => mmio::add(&mut frame, all, legacy.reset_control)?,
    }
    let Frame { ports, mmio, devices, .. } = frame;
    let routes = Arc::new(Routes { ports, memory: mmio });
    let maker =
        VcpuMaker { spec, vm: &vm, cpuid: &cpuid, affinity: &affinity, routes: &routes, inbox, options };
    let vcpus = maker.create_all()?;
    let power_on = vm.save().map_err(hypervisor("read the interrupt controllers"))?;
    let console = Arc::clone(&options.console);
    console.connect_input(Arc::downgrade(&legacy.input));
    let Legacy { power_button, input, .. } = legacy;
    Ok(Parts {
        vcpus,
        devices,
        disks,
        pmem,
        interfaces,
        rng,
        throttles,
        balloon,
        routes,
        vm,
        memory,
        guest,
        guest_in_place: true,
        power_on,
        power_button,
        console,
        consoles,
        _input: input,
        running: false,
        clock: None,
        nested: spec.cpu.nested,
        patience: options.patience,
    })
}

fn protocol(protocol: BootProtocol) -> flotilla_boot::Protocol {
    match protocol {
        BootProtocol::Auto => flotilla_boot::Protocol::Auto,
        BootProtocol::Pvh => flotilla_boot::Protocol::Pvh,
        BootProtocol::Linux => flotilla_boot::Protocol::Linux,
    }
}

fn kind(spec: &ValidSpec, pci_window_64: Option<layout::Window>) -> MachineKind {
    match spec.profile {
        Profile::Standard => MachineKind::Standard { pci_window_64 },
        Profile::Micro => MachineKind::Micro { virtio_devices: virtio::count(spec), acpi: spec.has_acpi() },
    }
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
        // Where there is one processor: the sooner that thread sleeps, the sooner it is done.
        thread::yield_now();
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

/// What vCPUs are made from.
struct VcpuMaker<'a> {
    spec: &'a ValidSpec,
    vm: &'a Vm,
    cpuid: &'a Cpuid,
    affinity: &'a Affinity,
    routes: &'a Arc<Routes>,
    inbox: &'a Arc<Inbox>,
    options: &'a MachineOptions,
}

impl VcpuMaker<'_> {
    fn create_all(&self) -> Result<Vec<VcpuHandle>, BuildError> {
        (0..self.spec.cpus).map(|index| self.create(index)).collect()
    }

    fn create(&self, index: u32) -> Result<VcpuHandle, BuildError> {
        let id = self.spec.topology().apic_id(index);
        let vcpu = self.vm.create_vcpu(id).map_err(hypervisor("create a vCPU"))?;
        vcpu.configure_cpuid(self.cpuid, &cpu::topology(self.spec))
            .map_err(hypervisor("set the CPUID of a vCPU"))?;
        let cpus = usize::try_from(index).ok().and_then(|index| self.affinity.vcpu(index));
        let (routes, inbox) = (Arc::clone(self.routes), Arc::clone(self.inbox));
        VcpuHandle::start(index, vcpu, routes, inbox, self.options.on_thread_start.clone(), cpus)
            .map_err(|source| BuildError::Host { step: "start a vCPU thread", source })
    }
}

fn hypervisor(step: &'static str) -> impl Fn(HypervisorError) -> BuildError {
    move |source| BuildError::Hypervisor { step, source }
}

/// A part that cannot be placed: never the fault of a specification.
fn layout_fault(what: &str, error: &dyn std::fmt::Display) -> BuildError {
    BuildError::Layout { what: what.to_owned(), reason: error.to_string() }
}
