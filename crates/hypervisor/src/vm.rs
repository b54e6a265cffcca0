// SPDX-License-Identifier: Apache-2.0
//! One virtual machine: memory slots, interrupt controllers, and the handles devices get.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::interrupt::{InterruptLine, MsiVectors};
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::virtio::Doorbells;
use flotilla_memory::{GuestAddress, GuestMemory, SharedFile};
use kvm_bindings::{KVM_MEM_READONLY, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use crate::doorbell::IoEventDoorbells;
use crate::error::{HypervisorError, refused};
use crate::interrupt::{EdgeLine, Line};
use crate::msi::Vectors;
use crate::routing::Routes;
use crate::{Kvm, Vcpu};

/// Three pages that KVM needs for itself on old Intel processors, outside of RAM.
const TSS_ADDRESS: usize = 0xfeff_d000;
/// One page that KVM needs for itself on old Intel processors, outside of RAM.
const IDENTITY_MAP_ADDRESS: u64 = 0xfeff_c000;

/// The memory slot of the first file; RAM has those below.
const FIRST_FILE_SLOT: u32 = 64;

/// One virtual machine. Cheap to clone; it exists until the last clone, vCPU and device handle is gone.
#[derive(Debug, Clone)]
pub struct Vm {
    pub(crate) inner: Arc<VmInner>,
}

#[derive(Debug)]
pub(crate) struct VmInner {
    pub(crate) fd: VmFd,
    pub(crate) kvm: Kvm,
    pub(crate) routes: Mutex<Routes>,
    pub(crate) interval_timer: AtomicBool,
    /// Interrupts that KVM refused to take.
    pub(crate) interrupt_errors: Counter,
    /// Keeps mapped what the memory slots point to.
    memory: Mutex<Vec<Arc<GuestMemory>>>,
    /// The same of files.
    files: Mutex<Vec<Arc<SharedFile>>>,
}

impl Vm {
    pub(crate) fn create(kvm: &Kvm) -> Result<Self, HypervisorError> {
        let fd = create(&kvm.fd).map_err(refused("create a virtual machine"))?;
        let inner = VmInner {
            fd,
            kvm: kvm.clone(),
            routes: Mutex::default(),
            interval_timer: AtomicBool::default(),
            interrupt_errors: Counter::default(),
            memory: Mutex::default(),
            files: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Gives the guest this memory: one slot per region. Once per machine; the memory stays mapped as long as the
    /// machine exists.
    pub fn map_memory(&self, memory: &Arc<GuestMemory>) -> Result<(), HypervisorError> {
        let mut held = self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_empty() {
            return Err(HypervisorError::Memory { reason: "it was mapped before; create another machine" });
        }
        // Held first: a slot that was set must never outlive its mapping, even if a later slot fails.
        held.push(Arc::clone(memory));
        for (slot, region) in memory.iter().enumerate() {
            let slot = u32::try_from(slot)
                .map_err(|_| HypervisorError::Memory { reason: "it has too many regions" })?;
            let region = kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr: region.start_addr().0,
                memory_size: region.len(),
                userspace_addr: region.as_ptr().addr() as u64,
            };
            // SAFETY: the range is a live mapping of exactly this size that stays for as long as the machine does
            // (held above), regions do not overlap, and the process accesses it only as volatile memory.
            let result = unsafe { self.inner.fd.set_user_memory_region(region) };
            result.map_err(refused("map guest memory"))?;
        }
        Ok(())
    }

    /// Lets the guest reach a file at an address, in a slot of its own. What it writes to one that is mapped for reading alone comes out
    /// as an exit. The file stays mapped as long as the machine exists.
    pub fn map_file(&self, address: GuestAddress, file: &Arc<SharedFile>) -> Result<(), HypervisorError> {
        let mut held = self.inner.files.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = u32::try_from(held.len()).ok().and_then(|index| FIRST_FILE_SLOT.checked_add(index));
        let slot = slot.ok_or(HypervisorError::Memory { reason: "it has too many regions" })?;
        held.push(Arc::clone(file));
        let region = kvm_userspace_memory_region {
            slot,
            flags: if file.is_writable() { 0 } else { KVM_MEM_READONLY },
            guest_phys_addr: address.0,
            memory_size: file.len(),
            userspace_addr: file.host_address(),
        };
        // SAFETY: the range is a live mapping of exactly this size that stays for as long as the machine does (held above);
        // the kernel refuses slots that overlap, and no reference of this process points into the range.
        let result = unsafe { self.inner.fd.set_user_memory_region(region) };
        result.map_err(refused("map a file"))
    }

    /// Creates PIC, I/O APIC and local APICs in the kernel. Before the first vCPU.
    pub fn create_interrupt_controllers(&self) -> Result<(), HypervisorError> {
        let fd = &self.inner.fd;
        fd.set_tss_address(TSS_ADDRESS).map_err(refused("place its task state segment"))?;
        fd.set_identity_map_address(IDENTITY_MAP_ADDRESS).map_err(refused("place its identity map"))?;
        fd.create_irq_chip().map_err(refused("create the interrupt controllers"))?;
        let routes = self.inner.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.install(fd).map_err(refused("route the interrupt lines"))
    }

    /// Creates the interval timer (8254) in the kernel, after the interrupt controllers. It has a thread in the kernel, for whose end the
    /// machine's waits.
    pub fn create_interval_timer(&self) -> Result<(), HypervisorError> {
        // Without the dummy speaker each access of port 0x61 would leave the kernel.
        let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
        self.inner.fd.create_pit2(pit).map_err(refused("create the interval timer"))?;
        self.inner.interval_timer.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Drives an interrupt line of the I/O APIC and PIC.
    pub fn set_irq_line(&self, gsi: u32, high: bool) -> Result<(), HypervisorError> {
        self.inner.fd.set_irq_line(gsi, high).map_err(refused("drive an interrupt line"))
    }

    /// An interrupt line as a device sees it. Lines below 24 are those of the I/O APIC.
    pub fn interrupt_line(&self, gsi: u32) -> Arc<dyn InterruptLine> {
        Arc::new(Line::new(self.clone(), gsi))
    }

    /// The same for a device that interrupts by rising edges, from a thread that may make no request of KVM. After
    /// the interrupt controllers.
    pub fn edge_line(&self, gsi: u32) -> Result<Arc<dyn InterruptLine>, HypervisorError> {
        let line = EdgeLine::new(self.clone(), gsi);
        Ok(Arc::new(
            line.map_err(|source| HypervisorError::Refused { step: "attach an interrupt line", source })?,
        ))
    }

    /// Hands out MSI-X vectors, delivered by irqfd without leaving the kernel.
    pub fn msi_vectors(&self) -> Arc<dyn MsiVectors> {
        Arc::new(Vectors::new(self.clone()))
    }

    /// Binds doorbell registers to eventfds.
    pub fn doorbells(&self) -> Arc<dyn Doorbells> {
        Arc::new(IoEventDoorbells::new(self.clone()))
    }

    /// A new vCPU with this APIC id; the one with id 0 starts the guest. After memory and interrupt controllers.
    pub fn create_vcpu(&self, id: u32) -> Result<Vcpu, HypervisorError> {
        Vcpu::create(self, id)
    }

    /// How many interrupts KVM refused to take.
    pub fn interrupt_errors(&self) -> u64 {
        self.inner.interrupt_errors.get()
    }
}

/// The kernel gives up a creation (EINTR) when it sees a signal while it takes the locks of the whole address space. It
/// is asked again until it is through: a signal that was handled does not come twice.
fn create(kvm: &kvm_ioctls::Kvm) -> Result<VmFd, kvm_ioctls::Error> {
    loop {
        match kvm.create_vm() {
            Err(error) if error.errno() == libc::EINTR => {}
            done => return done,
        }
    }
}
