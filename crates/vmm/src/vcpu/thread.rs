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
use std::sync::Arc;
use std::thread::JoinHandle;

use flotilla_device_model::threads::panic_text;
use flotilla_hypervisor::{Exit, RunError, Vcpu, VcpuKicker};

use super::control::{Control, Order};
use super::exits::{Crash, Outcome, Routes, handle};
use crate::error::describe;
use crate::inbox::{CrashReport, Inbox, Origin};
use crate::threads::{self, ThreadHook, ThreadRole};

/// What the driver holds of a vCPU.
pub struct VcpuHandle {
    control: Arc<Control<Vcpu>>,
    kicker: VcpuKicker,
    thread: Option<JoinHandle<()>>,
}

impl VcpuHandle {
    /// Starts the thread of `vcpu`. It calls `hook` and begins paused.
    pub fn start(
        index: u32,
        vcpu: Vcpu,
        routes: Arc<Routes>,
        inbox: Arc<Inbox>,
        hook: Option<ThreadHook>,
    ) -> io::Result<Self> {
        let control = Arc::new(Control::default());
        let kicker = vcpu.kicker();
        let runner = Runner {
            index,
            vcpu,
            kicker: kicker.clone(),
            routes,
            inbox,
            hook,
            control: Arc::clone(&control),
        };
        let thread =
            std::thread::Builder::new().name(format!("vcpu{index}")).spawn(move || runner.run_caught())?;
        Ok(Self { control, kicker, thread: Some(thread) })
    }

    /// Gives an order and makes the vCPU look at it.
    pub fn command(&self, order: Order) {
        self.control.command(order);
        if order != Order::Run {
            self.kicker.kick();
        }
    }

    /// How the driver waits for this vCPU.
    pub fn control(&self) -> &Control<Vcpu> {
        &self.control
    }

    /// Ends the thread.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.command(Order::Stop);
            // The thread catches its panics.
            let _ = thread.join();
        }
    }
}

impl Drop for VcpuHandle {
    fn drop(&mut self) {
        self.join();
    }
}

enum Phase {
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
    control: Arc<Control<Vcpu>>,
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
        self.control.leave();
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        threads::begin(self.hook.as_ref(), ThreadRole::Vcpu)?;
        let _binding = self.kicker.bind_current_thread()?;
        let mut phase = Phase::Paused;
        loop {
            phase = match phase {
                Phase::Running => self.run_until_event(),
                Phase::Paused => self.wait_for_order(),
                Phase::Stopped => return Ok(()),
            };
        }
    }

    fn wait_for_order(&mut self) -> Phase {
        match self.control.pause(&mut self.vcpu) {
            Order::Run => Phase::Running,
            Order::Pause => Phase::Paused,
            Order::Stop => Phase::Stopped,
        }
    }

    fn run_until_event(&mut self) -> Phase {
        while !self.control.needs_attention() {
            if let Some(crash) = self.step() {
                self.report(crash);
                return Phase::Paused;
            }
            if self.inbox.guest_signalled() {
                self.control.hold();
            }
        }
        if let Some(crash) = self.finish_exit() {
            self.report(crash);
        }
        Phase::Paused
    }

    fn step(&mut self) -> Option<Crash> {
        let outcome = match self.vcpu.run() {
            Ok(exit) => handle(exit, &self.routes),
            Err(error) => return Some(Crash::Internal(run_error_text(&error))),
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
                Ok(exit) => handle(exit, &self.routes),
                Err(error) => return Some(Crash::Internal(run_error_text(&error))),
            };
            match outcome {
                Outcome::Continue => {}
                Outcome::Crash(crash) => return Some(crash),
            }
        }
    }

    fn report(&self, crash: Crash) {
        self.control.hold();
        let registers = self.vcpu.registers().ok().map(Box::new);
        self.inbox.report_crash(CrashReport { origin: Origin::Vcpu(self.index), crash, registers });
    }
}

fn run_error_text(error: &RunError) -> String {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}
