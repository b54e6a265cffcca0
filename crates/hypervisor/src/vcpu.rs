// SPDX-License-Identifier: Apache-2.0
//! One virtual processor.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use kvm_ioctls::{VcpuExit, VcpuFd};

use crate::error::{HypervisorError, RunError, refused};
use crate::run_page::RunPage;
use crate::{
    CpuTopology, Cpuid, EntryState, Exit, Registers, SystemEventKind, VcpuKicker, VcpuState, Vm, entry, msr,
    state,
};

/// One virtual processor. It belongs to one thread at a time: the one that runs it.
#[derive(Debug)]
pub struct Vcpu {
    pub(crate) fd: VcpuFd,
    pub(crate) vm: Vm,
    id: u32,
    page: Arc<RunPage>,
    kicker: VcpuKicker,
    /// The state before the guest first ran.
    pristine: Option<Arc<VcpuState>>,
}

impl Vcpu {
    pub(crate) fn create(vm: &Vm, id: u32) -> Result<Self, HypervisorError> {
        let fd = vm.inner.fd.create_vcpu(u64::from(id)).map_err(refused("create a vCPU"))?;
        let page = RunPage::map(fd.as_raw_fd(), vm.inner.fd.run_size())
            .map_err(|source| HypervisorError::Refused { step: "map a vCPU's shared page", source })?;
        let page = Arc::new(page);
        let kicker = VcpuKicker::new(Arc::clone(&page));
        Ok(Self { fd, vm: vm.clone(), id, page, kicker, pristine: None })
    }

    /// The vCPU's APIC id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What other threads use to get this vCPU out of its guest.
    pub fn kicker(&self) -> VcpuKicker {
        self.kicker.clone()
    }

    /// Gives the vCPU these CPUID leaves of its machine, fitted to its place in it. Comes first.
    pub fn configure_cpuid(&self, cpuid: &Cpuid, topology: &CpuTopology) -> Result<(), HypervisorError> {
        let mut cpuid = cpuid.clone();
        cpuid.fit(self.id, *topology, self.fd.get_tsc_khz().ok());
        self.set_cpuid(&cpuid)
    }

    /// Gives the vCPU exactly these CPUID leaves.
    pub fn set_cpuid(&self, cpuid: &Cpuid) -> Result<(), HypervisorError> {
        self.fd.set_cpuid2(&cpuid.to_kvm()?).map_err(refused("set the CPUID leaves of a vCPU"))
    }

    /// Puts the vCPU into its state at boot: MSRs, FPU, local APIC wiring, and for the first vCPU the registers in
    /// `entry`. The others (`None`) wait for their start-up interrupt. After [`Self::configure_cpuid`].
    ///
    /// On a vCPU that has run, for a guest that reboots, everything else returns to what it was at the first call, a
    /// half-done access is dropped, and the next run returns `Exit::Interrupted` at once, so that no kick is lost.
    pub fn set_boot_state(&mut self, entry: Option<&EntryState>) -> Result<(), HypervisorError> {
        match &self.pristine {
            Some(pristine) => {
                let pristine = Arc::clone(pristine);
                self.drop_exit()?;
                state::vcpu::reset(self, &pristine)?;
            }
            None => self.pristine = Some(Arc::new(self.save()?)),
        }
        msr::write(self, &msr::boot())?;
        let Some(entry) = entry else { return self.set_local_interrupts() };
        self.fd.set_regs(&entry::regs(entry)).map_err(refused("set the registers of a vCPU"))?;
        self.fd.set_fpu(&entry::fpu()).map_err(refused("set the floating point unit of a vCPU"))?;
        let mut sregs = self.fd.get_sregs().map_err(refused("read the system registers of a vCPU"))?;
        entry::apply(entry, &mut sregs);
        self.fd.set_sregs(&sregs).map_err(refused("set the system registers of a vCPU"))?;
        self.set_local_interrupts()
    }

    /// Completes the access of the last exit with whatever data lies there: KVM would else complete it after the
    /// registers were set, on top of them.
    fn drop_exit(&mut self) -> Result<(), HypervisorError> {
        // An access is split into 8 bytes each; no instruction moves more than a page before KVM looks at the flag.
        const MAX_PARTS: usize = 512;
        for _ in 0..MAX_PARTS {
            match self.finish_exit() {
                Ok(Exit::Interrupted) => break,
                Ok(_) => {}
                Err(RunError::Run { source, .. }) => {
                    return Err(HypervisorError::Refused { step: "complete a vCPU's access", source });
                }
            }
        }
        self.page.set_immediate_exit(true);
        Ok(())
    }

    fn set_local_interrupts(&self) -> Result<(), HypervisorError> {
        let mut lapic = self.fd.get_lapic().map_err(refused("read the local APIC of a vCPU"))?;
        entry::wire_local_interrupts(&mut lapic);
        self.fd.set_lapic(&lapic).map_err(refused("set the local APIC of a vCPU"))
    }

    /// Runs guest code until something happens that needs an answer.
    pub fn run(&mut self) -> Result<Exit<'_>, RunError> {
        let vcpu = self.id;
        let page = &self.page;
        match self.fd.run() {
            Ok(exit) => Ok(translate(exit, page)),
            Err(error) => match error.errno() {
                libc::EINTR | libc::EAGAIN => {
                    // Before the caller looks at its requests, see the module `kick`.
                    page.set_immediate_exit(false);
                    Ok(Exit::Interrupted)
                }
                _ => Err(RunError::Run { vcpu, source: io::Error::from(error) }),
            },
        }
    }

    /// Completes the access of the last exit without running guest code. Until it is complete, the registers lag
    /// behind and must not be saved.
    ///
    /// `Exit::Interrupted` means complete. Any other exit is the next part of a split access: answer it, then call
    /// again. A kick that came meanwhile is consumed: look at your requests afterwards.
    pub fn finish_exit(&mut self) -> Result<Exit<'_>, RunError> {
        self.page.set_immediate_exit(true);
        self.run()
    }

    /// The registers, for reports.
    pub fn registers(&self) -> Result<Registers, HypervisorError> {
        let regs = self.fd.get_regs().map_err(refused("read the registers of a vCPU"))?;
        let sregs = self.fd.get_sregs().map_err(refused("read the system registers of a vCPU"))?;
        Ok(Registers::new(&regs, &sregs))
    }

    /// Whether the local APIC holds a request for this interrupt vector that the vCPU has not taken yet.
    pub fn interrupt_requested(&self, vector: u8) -> Result<bool, HypervisorError> {
        let lapic = self.fd.get_lapic().map_err(refused("read the local APIC of a vCPU"))?;
        Ok(entry::interrupt_requested(&lapic, vector))
    }

    /// Tells the guest's watchdogs that the vCPU was stopped. At each pause and after a restore.
    pub fn kvmclock_ctrl(&self) -> Result<(), HypervisorError> {
        match self.fd.kvmclock_ctrl() {
            // The guest does not use kvm-clock: nothing to tell.
            Err(error) if error.errno() == libc::EINVAL => Ok(()),
            other => other.map_err(refused("mark a vCPU's clock as stopped")),
        }
    }

    /// The whole state of the vCPU. All vCPUs must be stopped and their exits finished ([`Self::finish_exit`]).
    pub fn save(&self) -> Result<VcpuState, HypervisorError> {
        state::vcpu::save(self)
    }

    /// Takes over a saved state, which is untrusted. After an error the vCPU must not run.
    pub fn restore(&self, state: &VcpuState) -> Result<(), HypervisorError> {
        state::vcpu::restore(self, state)
    }
}

/// KVM's exit as ours.
fn translate<'a>(exit: VcpuExit<'a>, page: &RunPage) -> Exit<'a> {
    match exit {
        VcpuExit::IoIn(port, data) => Exit::PortIn { port, width: port_width(page), data },
        VcpuExit::IoOut(port, data) => Exit::PortOut { port, width: port_width(page), data },
        VcpuExit::MmioRead(address, data) => Exit::MmioRead { address, data },
        VcpuExit::MmioWrite(address, data) => Exit::MmioWrite { address, data },
        VcpuExit::Hlt => Exit::Halt,
        VcpuExit::Shutdown => Exit::Shutdown,
        VcpuExit::SystemEvent(kind, _) => Exit::SystemEvent { kind: SystemEventKind::from(kind) },
        VcpuExit::InternalError => internal_error(page),
        VcpuExit::FailEntry(reason, cpu) => Exit::FailEntry { reason, cpu },
        VcpuExit::MemoryFault { gpa, size, .. } => Exit::MemoryFault { address: gpa, len: size },
        VcpuExit::Intr => Exit::Interrupted,
        VcpuExit::Debug(debug) => Exit::Debug { pc: debug.pc },
        VcpuExit::Unknown
        | VcpuExit::Exception
        | VcpuExit::Hypercall(_)
        | VcpuExit::IrqWindowOpen
        | VcpuExit::SetTpr
        | VcpuExit::TprAccess
        | VcpuExit::S390Sieic
        | VcpuExit::S390Reset
        | VcpuExit::Dcr
        | VcpuExit::Nmi
        | VcpuExit::Osi
        | VcpuExit::PaprHcall
        | VcpuExit::S390Ucontrol
        | VcpuExit::Watchdog
        | VcpuExit::S390Tsch
        | VcpuExit::Epr
        | VcpuExit::S390Stsi
        | VcpuExit::IoapicEoi(_)
        | VcpuExit::Hyperv
        | VcpuExit::X86Rdmsr(_)
        | VcpuExit::X86Wrmsr(_)
        | VcpuExit::Unsupported(_) => Exit::Unknown(page.exit_details().exit_reason),
    }
}

fn port_width(page: &RunPage) -> u8 {
    // SAFETY: the last exit was a port access, for which the kernel fills this member; all of it is plain data.
    unsafe { page.exit_details().__bindgen_anon_1.io.size }
}

fn internal_error(page: &RunPage) -> Exit<'static> {
    // SAFETY: the last exit was an internal error, for which the kernel fills this member; all of it is plain data.
    let internal = unsafe { page.exit_details().__bindgen_anon_1.internal };
    let count = usize::try_from(internal.ndata).unwrap_or(usize::MAX).min(internal.data.len());
    Exit::InternalError {
        suberror: internal.suberror,
        data: internal.data.get(..count).unwrap_or_default().to_vec(),
    }
}
