// SPDX-License-Identifier: Apache-2.0
//! The thread of one vCPU.
//!
//! ```text
//!             order Run                       order Stop
//!   Paused ───────────────▶ Running        Paused ───────▶ Stopped
//!     ▲                        │
//!     └────────────────────────┘ order, own crash, or a signal of the guest to its machine
//! ```

use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_device_model::threads::{named, panic_text};
use flotilla_hypervisor::{Exit, RunError, Vcpu, VcpuKicker};
use rustix::thread::CpuSet;

use super::become_vcpu;
use super::control::{Control, Missed, Order, Phase};
use super::counters::VcpuCounters;
use super::exits::{Crash, Outcome, Routes, handle};
use crate::error::describe;
use crate::inbox::{CrashReport, Inbox, Origin};
use crate::patience::Patience;
use crate::threads::{self, ThreadHook, ThreadRole};

/// What the driver holds of a vCPU.
pub struct VcpuHandle {
    stopper: Arc<VcpuStopper>,
    counters: Arc<VcpuCounters>,
    thread: Option<JoinHandle<()>>,
}

impl VcpuHandle {
    /// Starts the thread of `vcpu`. It goes to its CPUs, calls `hook` and begins paused.
    pub fn start(
        index: u32,
        vcpu: Vcpu,
        routes: Arc<Routes>,
        inbox: Arc<Inbox>,
        hook: Option<ThreadHook>,
        cpus: Option<CpuSet>,
    ) -> io::Result<Self> {
        let control = Arc::new(Control::default());
        let kicker = vcpu.kicker();
        let counters = Arc::<VcpuCounters>::default();
        let runner = Runner {
            index,
            vcpu,
            kicker: kicker.clone(),
            routes,
            inbox,
            hook,
            cpus,
            control: Arc::clone(&control),
            counters: Arc::clone(&counters),
        };
        let thread = named(format!("vcpu{index}")).spawn(move || runner.run_caught())?;
        Ok(Self { stopper: Arc::new(VcpuStopper { control, kicker }), counters, thread: Some(thread) })
    }

    /// Gives an order and makes the vCPU look at it.
    pub fn command(&self, order: Order) {
        self.stopper.control.command(order);
        if order != Order::Run {
            self.stopper.kicker.kick();
        }
    }

    /// How the driver waits for this vCPU.
    pub fn control(&self) -> &Control<Vcpu> {
        &self.stopper.control
    }

    /// What it has counted.
    pub fn counters(&self) -> &VcpuCounters {
        &self.counters
    }

    /// What stops this vCPU from another thread than the driver's. It keeps nothing alive: with the vCPU go its KVM
    /// descriptor and, after the last one, the virtual machine.
    pub fn stopper(&self) -> Weak<VcpuStopper> {
        Arc::downgrade(&self.stopper)
    }

    /// Ends the thread. [`Missed::Late`] when it hangs: then it is left to itself and ends once it wakes up.
    pub fn join(&mut self, limit: Duration) -> Result<(), Missed> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.command(Order::Stop);
        if self.control().wait_for(Phase::Gone, limit) == Err(Missed::Late) {
            return Err(Missed::Late);
        }
        // The thread catches its panics, and has nothing left to do.
        let _ = thread.join();
        Ok(())
    }
}

impl Drop for VcpuHandle {
    fn drop(&mut self) {
        // One that was never started or has ended well has no thread any more.
        let _ = self.join(Patience::default().step);
    }
}

/// Stops a vCPU when the driver cannot.
pub struct VcpuStopper {
    control: Arc<Control<Vcpu>>,
    kicker: VcpuKicker,
}

impl VcpuStopper {
    /// Makes the thread end as soon as it is out of the guest. Does not wait for that.
    pub fn stop(&self) {
        self.control.command(Order::Stop);
        self.kicker.kick();
    }
}

enum Doing {
    Running,
    Paused,
    Stopped,
}

struct Runner {
    index: u32,
    vcpu: Vcpu,
    kicker: VcpuKicker,
    routes: Arc<Routes>,
    inbox: Arc<Inbox>,
    hook: Option<ThreadHook>,
    cpus: Option<CpuSet>,
    control: Arc<Control<Vcpu>>,
    counters: Arc<VcpuCounters>,
}

impl Runner {
    /// Runs to the end. Whatever happens inside, the driver hears of it.
    fn run_caught(mut self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run()));
        let crash = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Crash::ThreadLost(describe(error.as_ref()))),
            Err(panic) => Some(Crash::Panicked(panic_text(panic.as_ref()))),
        };
        // Reported before it is gone, so that who finds it gone finds the reason too.
        if let Some(crash) = crash {
            self.inbox.report_crash(CrashReport { origin: Origin::Vcpu(self.index), crash, registers: None });
        }
        self.counters.set_thread_id(0);
        self.control.leave();
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        become_vcpu(self.index);
        self.counters.set_thread_id(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs().into());
        threads::begin(self.hook.as_ref(), ThreadRole::Vcpu, self.cpus.as_ref())?;
        let _binding = self.kicker.bind_current_thread()?;
        let mut doing = Doing::Paused;
        loop {
            doing = match doing {
                Doing::Running => self.run_until_event(),
                Doing::Paused => self.wait_for_order(),
                Doing::Stopped => return Ok(()),
            };
        }
    }

    fn wait_for_order(&mut self) -> Doing {
        match self.control.pause(&mut self.vcpu) {
            Order::Run => Doing::Running,
            Order::Pause => Doing::Paused,
            Order::Stop => Doing::Stopped,
        }
    }

    fn run_until_event(&mut self) -> Doing {
        while !self.control.needs_attention() {
            if let Some(crash) = self.step() {
                self.report(crash);
                return Doing::Paused;
            }
            if self.inbox.guest_signalled() {
                self.control.hold();
            }
        }
        if let Some(crash) = self.finish_exit() {
            self.report(crash);
        }
        Doing::Paused
    }

    fn step(&mut self) -> Option<Crash> {
        let outcome = match self.vcpu.run() {
            Ok(exit) => handle(exit, &self.routes, &self.counters),
            Err(error) => return Some(self.run_failed(&error)),
        };
        match outcome {
            Outcome::Continue => None,
            Outcome::Crash(crash) => Some(crash),
        }
    }

    /// An exit is complete only when the vCPU is entered again: KVM then delivers what was read and moves on to the
    /// next instruction.
    fn finish_exit(&mut self) -> Option<Crash> {
        loop {
            let outcome = match self.vcpu.finish_exit() {
                Ok(Exit::Interrupted) => return None,
                Ok(exit) => handle(exit, &self.routes, &self.counters),
                Err(error) => return Some(self.run_failed(&error)),
            };
            match outcome {
                Outcome::Continue => {}
                Outcome::Crash(crash) => return Some(crash),
            }
        }
    }

    fn run_failed(&self, error: &RunError) -> Crash {
        self.counters.count_failure();
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Crash::Internal(format!("{error}{cause}"))
    }

    fn report(&self, crash: Crash) {
        self.control.hold();
        let registers = self.vcpu.registers().ok().map(Box::new);
        self.inbox.report_crash(CrashReport { origin: Origin::Vcpu(self.index), crash, registers });
    }
}
