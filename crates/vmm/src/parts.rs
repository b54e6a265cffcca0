// SPDX-License-Identifier: Apache-2.0
//! The parts of a built machine, and what can be done to all of them at once. Only the driver thread calls this.
//!
//! Order: vCPUs stop before devices, devices start before vCPUs; a save reads devices, then vCPUs, then the kernel's
//! controllers (a device that drains may still raise an interrupt, which the controllers must contain); a restore
//! goes vCPUs, controllers, devices.
//!
//! The guest's clock stands still while the machine does: it is read when the last vCPU has stopped and set again
//! before the first one starts, so that a guest paused for an hour does not take its watchdogs for late. The ACPI timer
//! does the same, in its device. The guest's time of day then lags until something in it looks at the CMOS clock, which
//! goes on, or at a time server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use flotilla_boot::{BootError, BootPlan, Image, Piece, Sources};
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_devices::virtio::balloon::device::Balloon;
use flotilla_devices::virtio::block::device::Block;
use flotilla_devices::virtio::net::device::Net;
use flotilla_devices::virtio::pmem::device::Pmem;
use flotilla_devices::virtio::rng::device::Rng;
use flotilla_hypervisor::{Clock, HypervisorError, Registers, Vcpu, Vm, VmState};
use flotilla_memory::{GuestAddress, GuestMemory};
use flotilla_spec::{LimitsSpec, ThrottleTarget};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use crate::console::{Console, InputSink};
use crate::error::MachineError;
use crate::patience::Patience;
use crate::snapshot::{self, Snapshot};
use crate::throttles::Throttles;
use crate::vcpu::control::{Missed, Order, Phase};
use crate::vcpu::exits::Routes;
use crate::vcpu::thread::VcpuHandle;

/// What is put into guest memory at each start.
pub struct Guest {
    /// The kernel file.
    pub kernel: File,
    /// The initial RAM disk.
    pub initrd: Option<File>,
    /// What goes where, and the first registers.
    pub plan: BootPlan,
    /// Whether the memory was committed in advance and is to stay so.
    pub committed: bool,
}

impl Guest {
    /// Puts everything the guest finds into memory that nobody has written to yet.
    pub fn load_new(&self, memory: &GuestMemory) -> Result<(), BootError> {
        self.plan.apply_to_new(&self.sources(), memory)
    }

    /// Puts everything the guest finds into its memory, where it has been before.
    pub fn load_again(&self, memory: &GuestMemory) -> Result<(), BootError> {
        self.plan.apply(&self.sources(), memory)?;
        // Clearing gives pages back.
        for piece in self.plan.pieces.iter().filter(|_| self.committed) {
            if let Piece::Zero { address, len } = *piece {
                flotilla_memory::populate(memory, GuestAddress(address), len);
            }
        }
        Ok(())
    }

    fn sources(&self) -> Sources<'_> {
        let initrd = self.initrd.as_ref().map(|file| -> &dyn Image { file });
        Sources { kernel: &self.kernel, initrd }
    }
}

/// What the name of a disk device begins with; the id of the disk follows.
pub const DISK_PREFIX: &str = "disk:";
/// The same of a disk that is memory.
pub const PMEM_PREFIX: &str = "pmem:";
/// What the name of an interface device begins with; the id of the interface follows.
pub const INTERFACE_PREFIX: &str = "net:";
/// What the name of a shared folder begins with; its tag follows.
pub const SHARE_PREFIX: &str = "share:";

/// Presses the power button of a machine.
pub type PowerButton = Box<dyn Fn() + Send>;

/// Everything a machine is made of.
pub struct Parts {
    /// vCPUs; dropped first, so that nothing calls a device that is gone.
    pub vcpus: Vec<VcpuHandle>,
    /// Devices in the order they are paused.
    pub devices: Vec<Arc<dyn Lifecycle>>,
    /// Those of them that are disks, whatever their transport.
    pub disks: Vec<Arc<Block>>,
    /// Those that are memory.
    pub pmem: Vec<Arc<Pmem>>,
    /// Network interfaces by their ids.
    pub interfaces: BTreeMap<String, Arc<Net>>,
    /// The entropy device, if there is one.
    pub rng: Option<Arc<Rng>>,
    /// What devices may do.
    pub throttles: Throttles,
    /// The balloon, if the machine has one.
    pub balloon: Option<Arc<Balloon>>,
    /// Where exits go.
    #[cfg_attr(not(test), expect(dead_code, reason = "kept until the devices go; tests place theirs there"))]
    pub routes: Arc<Routes>,
    /// The kernel's virtual machine.
    pub vm: Vm,
    /// Its RAM.
    pub memory: Arc<GuestMemory>,
    /// What boots.
    pub guest: Guest,
    /// Whether it is in memory already, and has not run.
    pub guest_in_place: bool,
    /// Interrupt controllers, timer and clock as they are after power-on.
    pub power_on: VmState,
    /// Presses the power button, if the machine has one.
    pub power_button: Option<PowerButton>,
    /// Where the serial port writes; told when no more output will come.
    pub console: Arc<Console>,
    /// What is behind the ports of the console device, by their names; told the same.
    pub consoles: BTreeMap<String, Arc<Console>>,
    /// Takes console input; the console itself holds it weakly.
    pub _input: Arc<dyn InputSink>,
    /// Whether vCPUs and devices may run.
    pub running: bool,
    /// The guest's clock when it stopped; it goes on from there.
    pub clock: Option<Clock>,
    /// Whether the guest may run machines itself, whose state is not saved.
    pub nested: bool,
    /// How long to wait for threads.
    pub patience: Patience,
}

impl Parts {
    /// Presses the ACPI power button.
    pub fn press_power_button(&self) -> Result<(), MachineError> {
        let press = self.power_button.as_ref().ok_or(MachineError::NoPowerButton)?;
        press();
        Ok(())
    }

    /// Plugs the cable of an interface in, or pulls it out.
    pub fn set_link(&self, interface: &str, up: bool) -> Result<(), MachineError> {
        self.interface(interface)?.set_link(up);
        Ok(())
    }

    /// Asks the guest to tell the network of an interface where it is.
    pub fn announce(&self, interface: &str) -> Result<(), MachineError> {
        let asked = self.interface(interface)?.announce();
        if asked { Ok(()) } else { Err(MachineError::NoAnnouncement { id: interface.to_owned() }) }
    }

    fn interface(&self, id: &str) -> Result<&Net, MachineError> {
        let found = self.interfaces.get(id).map(Arc::as_ref);
        found.ok_or_else(|| MachineError::NoInterface { id: id.chars().take(64).collect() })
    }

    /// Changes what something may do.
    pub fn set_throttle(&self, target: &ThrottleTarget, limits: LimitsSpec) -> Result<(), MachineError> {
        self.throttles.change(target, limits)?;
        // Any of them may be of the group.
        self.disks.iter().for_each(|disk| disk.recheck());
        self.interfaces.values().for_each(|net| net.recheck());
        self.rng.iter().for_each(|rng| rng.recheck());
        Ok(())
    }

    /// The balloon.
    pub fn balloon(&self) -> Result<Arc<Balloon>, MachineError> {
        self.balloon.clone().ok_or(MachineError::NoBalloon)
    }

    /// Sets the bytes that the guest shall give up.
    pub fn set_balloon(&self, target: u64) -> Result<(), MachineError> {
        self.balloon()?.set_target(target).map_err(MachineError::BalloonTarget)
    }

    /// Puts the guest into memory and the vCPUs into their first state. They must be paused.
    pub fn load_guest(&mut self) -> Result<(), MachineError> {
        if !std::mem::take(&mut self.guest_in_place) {
            self.guest.load_again(&self.memory).map_err(MachineError::Boot)?;
        }
        let entry = self.guest.plan.entry;
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            let entry = (index == 0).then_some(entry);
            self.on_vcpu(index, vcpu, "put a vCPU into its first state", move |vcpu| {
                vcpu.set_boot_state(entry.as_ref())
            })?;
        }
        Ok(())
    }

    /// Stops vCPUs, then devices, and returns when all have acknowledged. Nothing if they are stopped. After
    /// [`MachineError::VcpuStuck`] the vCPUs that did stop are still stopped: [`Parts::recall`] lets them go on.
    pub fn stop(&mut self) -> Result<(), MachineError> {
        if !self.running {
            return Ok(());
        }
        self.vcpus.iter().for_each(|vcpu| vcpu.command(Order::Pause));
        // All were told at once, so they have the same time.
        let deadline = Instant::now() + self.patience.step;
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            vcpu.control().wait_for(Phase::Paused, left).map_err(missed(index))?;
        }
        self.running = false;
        self.clock = Some(self.vm.clock().map_err(hypervisor("read the clock"))?);
        self.mark_clocks()?;
        self.devices.iter().for_each(|device| device.pause());
        Ok(())
    }

    /// Takes back a stop that a vCPU did not follow.
    pub fn recall(&self) {
        self.vcpus.iter().for_each(|vcpu| vcpu.control().recall());
    }

    /// Starts the clock and devices, then vCPUs.
    pub fn start(&mut self) -> Result<(), MachineError> {
        if let Some(clock) = self.clock.take() {
            self.vm.set_clock(&clock).map_err(hypervisor("set the clock"))?;
        }
        self.running = true;
        self.devices.iter().for_each(|device| device.resume());
        self.vcpus.iter().for_each(|vcpu| vcpu.command(Order::Run));
        Ok(())
    }

    /// Returns to the state after power-on, with the guest loaded again. All must be stopped.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        self.devices.iter().for_each(|device| device.reset());
        self.vm.reset(&self.power_on).map_err(hypervisor("reset the interrupt controllers"))?;
        // What ran since, or came out of a snapshot, is not the guest as it starts.
        self.guest_in_place = false;
        self.load_guest()
    }

    /// Registers of a paused vCPU.
    pub fn registers(&self, index: usize) -> Option<Registers> {
        let vcpu = self.vcpus.get(index)?;
        vcpu.control().with(self.patience.step, |vcpu| vcpu.registers()).ok()?.ok()
    }

    /// The state of everything but memory. All must be stopped.
    pub fn save(&self) -> Result<Snapshot, MachineError> {
        if self.nested {
            let reason =
                "the guest may run machines of its own, whose state is not saved; switch cpu.nested off";
            return Err(MachineError::Snapshot { reason });
        }
        let mut devices = BTreeMap::new();
        for device in &self.devices {
            let name = device.name().to_owned();
            let state =
                device.save().map_err(|source| MachineError::Device { device: name.clone(), source })?;
            devices.insert(name, state);
        }
        let mut vcpus = Vec::new();
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            vcpus.push(self.on_vcpu(index, vcpu, "save a vCPU", |vcpu| vcpu.save())?);
        }
        let vm = self.vm.save().map_err(hypervisor("save the interrupt controllers"))?;
        // Since the stop the host's clock went on, the guest's did not.
        let vm = match &self.clock {
            Some(clock) => vm.with_clock(clock),
            None => vm,
        };
        Ok(Snapshot { version: snapshot::VERSION, memory: self.memory_len(), vcpus, vm, devices })
    }

    /// Whether a snapshot is for a machine like this one.
    pub fn check_snapshot(&self, snapshot: &Snapshot) -> Result<(), MachineError> {
        let fits =
            |condition: bool, reason| if condition { Ok(()) } else { Err(MachineError::Snapshot { reason }) };
        fits(snapshot.version == snapshot::VERSION, "its version is unknown; use the build that wrote it")?;
        fits(
            snapshot.memory == self.memory_len(),
            "the memory has another size; use the same specification",
        )?;
        fits(
            snapshot.vcpus.len() == self.vcpus.len(),
            "the number of vCPUs differs; use the same specification",
        )?;
        let same = self.devices.iter().all(|device| snapshot.devices.contains_key(device.name()));
        fits(
            same && snapshot.devices.len() == self.devices.len(),
            "the devices differ; use the same specification",
        )
    }

    /// Takes over a checked snapshot. All must be stopped and memory must hold what belongs to it.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), MachineError> {
        for ((index, vcpu), state) in self.vcpus.iter().enumerate().zip(&snapshot.vcpus) {
            let state = state.clone();
            self.on_vcpu(index, vcpu, "restore a vCPU", move |vcpu| {
                // A later reset returns to the state at the first call of this, which must not be the restored one.
                vcpu.set_boot_state(None)?;
                vcpu.restore(&state)
            })?;
        }
        self.vm.restore(&snapshot.vm).map_err(hypervisor("restore the interrupt controllers"))?;
        self.clock = Some(snapshot.vm.clock());
        for device in &self.devices {
            let Some(state) = snapshot.devices.get(device.name()) else { continue };
            device
                .restore(state)
                .map_err(|source| MachineError::Device { device: device.name().to_owned(), source })?;
        }
        self.mark_clocks()
    }

    /// All counters of the machine.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::from([("interrupts.errors".to_owned(), self.vm.interrupt_errors())]);
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            let values = vcpu.counters().values();
            all.extend(values.map(|(name, value)| (format!("vcpu:{index}.{name}"), value)));
        }
        for device in &self.devices {
            for (name, value) in device.metrics() {
                all.insert(format!("{}.{name}", device.name()), value);
            }
        }
        all
    }

    /// Looks how large a disk is now, and tells the guest. With a size it is made so large before.
    pub fn refresh_disk(&self, id: &str, size: Option<u64>) -> Result<u64, MachineError> {
        if let Some(pmem) = self.pmem.iter().find(|pmem| pmem.name().strip_prefix(PMEM_PREFIX) == Some(id)) {
            return mapped_size(id, pmem, size);
        }
        let found = self.disks.iter().find(|disk| disk.name().strip_prefix(DISK_PREFIX) == Some(id));
        let disk = found.ok_or_else(|| MachineError::NoDisk { disk: id.to_owned() })?;
        if let Some(size) = size {
            let refused = |source| MachineError::DiskGrowth { disk: id.to_owned(), size, source };
            disk.grow(size).map_err(refused)?;
        }
        disk.refresh_size().map_err(|source| MachineError::DiskSize { disk: id.to_owned(), source })
    }

    fn memory_len(&self) -> u64 {
        self.memory.iter().map(GuestMemoryRegion::len).sum()
    }

    /// Tells the guest's watchdogs that time passed without it.
    fn mark_clocks(&self) -> Result<(), MachineError> {
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            self.on_vcpu(index, vcpu, "mark a vCPU's clock", |vcpu| vcpu.kvmclock_ctrl())?;
        }
        Ok(())
    }

    /// Runs `job` on a paused vCPU.
    fn on_vcpu<R: Send + 'static>(
        &self,
        index: usize,
        vcpu: &VcpuHandle,
        step: &'static str,
        job: impl FnOnce(&mut Vcpu) -> Result<R, HypervisorError> + Send + 'static,
    ) -> Result<R, MachineError> {
        let done = vcpu.control().with(self.patience.step, job);
        done.map_err(missed(index))?.map_err(hypervisor(step))
    }
}

/// What is mapped stays as large as it is: the guest finds another size at the next start of the worker.
fn mapped_size(id: &str, pmem: &Pmem, wanted: Option<u64>) -> Result<u64, MachineError> {
    match wanted {
        None => Ok(pmem.place().size),
        Some(size) => {
            let source = io::ErrorKind::Unsupported.into();
            Err(MachineError::DiskGrowth { disk: id.to_owned(), size, source })
        }
    }
}

fn hypervisor(step: &'static str) -> impl Fn(HypervisorError) -> MachineError {
    move |source| MachineError::Hypervisor { step, source }
}

fn missed(index: usize) -> impl Fn(Missed) -> MachineError {
    let cpu = u32::try_from(index).unwrap_or(u32::MAX);
    move |missed| match missed {
        Missed::Gone => MachineError::VcpuGone { cpu },
        Missed::Late => MachineError::VcpuStuck { cpu },
    }
}
