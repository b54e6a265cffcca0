// SPDX-License-Identifier: Apache-2.0
//! The state of the machine's parts in the kernel: interrupt controllers, interval timer, clock.

use std::sync::atomic::Ordering;

use kvm_bindings::{
    KVM_CLOCK_REALTIME, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_clock_data,
    kvm_irqchip, kvm_pit_state2,
};
use serde::{Deserialize, Serialize};

use super::Header;
use crate::Vm;
use crate::error::{HypervisorError, refused};

const KIND: &str = "kvm-vm";
const VERSION: u32 = 2;

/// Saved state of a machine's interrupt controllers, interval timer and clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmState {
    /// What this is.
    pub header: Header,
    /// Of a machine that has an interval timer.
    pit: Option<kvm_pit_state2>,
    clock: kvm_clock_data,
    pic_master: kvm_irqchip,
    pic_slave: kvm_irqchip,
    ioapic: kvm_irqchip,
}

/// A guest's clock at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock(kvm_clock_data);

impl Clock {
    /// Nanoseconds since the guest was started, without the time it stood still.
    pub fn nanoseconds(&self) -> u64 {
        self.0.clock
    }
}

impl VmState {
    /// The clock in it.
    pub fn clock(&self) -> Clock {
        Clock(self.clock)
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: &Clock) -> Self {
        Self { clock: clock.0, ..self }
    }
}

/// What happens to the guest's clock over the time it was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockPolicy {
    /// It goes on where it was: the guest does not notice, and lags behind the world.
    Freeze,
    /// It jumps over the time away, where the host's kernel can tell how long that was (Linux 5.16).
    Advance,
}

impl Vm {
    /// The state of interrupt controllers, timer and clock. All vCPUs must be stopped.
    pub fn save(&self) -> Result<VmState, HypervisorError> {
        let fd = &self.inner.fd;
        Ok(VmState {
            header: Header::new(KIND, VERSION),
            pit: self.interval_timer()?,
            clock: fd.get_clock().map_err(refused("read the clock"))?,
            pic_master: self.irqchip(KVM_IRQCHIP_PIC_MASTER)?,
            pic_slave: self.irqchip(KVM_IRQCHIP_PIC_SLAVE)?,
            ioapic: self.irqchip(KVM_IRQCHIP_IOAPIC)?,
        })
    }

    /// Takes over a saved state, which is untrusted. Before devices raise interrupts.
    pub fn restore(&self, state: &VmState) -> Result<(), HypervisorError> {
        self.restore_with(state, ClockPolicy::Freeze)
    }

    /// Takes over a saved state, as [`Self::restore`], with a policy for the clock.
    pub fn restore_with(&self, state: &VmState, policy: ClockPolicy) -> Result<(), HypervisorError> {
        state.header.check(KIND, VERSION)?;
        self.set_controllers(state)?;
        self.set_clock_with(&state.clock(), policy)
    }

    /// The guest's clock. For a moment when all vCPUs are stopped.
    pub fn clock(&self) -> Result<Clock, HypervisorError> {
        self.inner.fd.get_clock().map(Clock).map_err(refused("read the clock"))
    }

    /// Lets the guest's clock go on from `clock`, as if no time had passed since. All vCPUs must be stopped.
    pub fn set_clock(&self, clock: &Clock) -> Result<(), HypervisorError> {
        self.set_clock_with(clock, ClockPolicy::Freeze)
    }

    fn set_clock_with(&self, clock: &Clock, policy: ClockPolicy) -> Result<(), HypervisorError> {
        let Clock(saved) = clock;
        let known = saved.flags & KVM_CLOCK_REALTIME;
        let clock = kvm_clock_data {
            clock: saved.clock,
            realtime: saved.realtime,
            flags: if policy == ClockPolicy::Advance { known } else { 0 },
            ..Default::default()
        };
        self.inner.fd.set_clock(&clock).map_err(refused("set the clock"))
    }

    /// Puts interrupt controllers and timer back to `state`, which they had before the guest first ran, for a guest
    /// that reboots. The clock goes on.
    pub fn reset(&self, state: &VmState) -> Result<(), HypervisorError> {
        state.header.check(KIND, VERSION)?;
        self.set_controllers(state)
    }

    fn set_controllers(&self, state: &VmState) -> Result<(), HypervisorError> {
        let fd = &self.inner.fd;
        if state.pit.is_some() != self.has_interval_timer() {
            return Err(HypervisorError::State { reason: "it is of a machine with other timers" });
        }
        if let Some(pit) = &state.pit {
            fd.set_pit2(pit).map_err(refused("set the interval timer"))?;
        }
        let chips = [
            (KVM_IRQCHIP_PIC_MASTER, &state.pic_master),
            (KVM_IRQCHIP_PIC_SLAVE, &state.pic_slave),
            (KVM_IRQCHIP_IOAPIC, &state.ioapic),
        ];
        for (id, chip) in chips {
            if chip.chip_id != id {
                return Err(HypervisorError::State { reason: "it has its interrupt controllers mixed up" });
            }
            fd.set_irqchip(chip).map_err(refused("set an interrupt controller"))?;
        }
        Ok(())
    }

    fn has_interval_timer(&self) -> bool {
        self.inner.interval_timer.load(Ordering::Relaxed)
    }

    fn interval_timer(&self) -> Result<Option<kvm_pit_state2>, HypervisorError> {
        let read = || self.inner.fd.get_pit2().map_err(refused("read the interval timer"));
        self.has_interval_timer().then(read).transpose()
    }

    fn irqchip(&self, chip_id: u32) -> Result<kvm_irqchip, HypervisorError> {
        let mut chip = kvm_irqchip { chip_id, ..Default::default() };
        self.inner.fd.get_irqchip(&mut chip).map_err(refused("read an interrupt controller"))?;
        Ok(chip)
    }
}
