// SPDX-License-Identifier: Apache-2.0
//! The table that says where each global interrupt number (GSI) leads. KVM replaces it only as a whole.

use std::collections::BTreeMap;

use flotilla_device_model::interrupt::MsiMessage;
use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE, KVM_MAX_IRQ_ROUTES, KvmIrqRouting, kvm_irq_routing_entry,
    kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_irqchip, kvm_irq_routing_msi,
};
use kvm_ioctls::VmFd;

/// Inputs of the I/O APIC; message-signalled interrupts are numbered after them.
pub(crate) const IOAPIC_INPUTS: u32 = 24;
const PIC_INPUTS: u32 = 16;
/// The first GSI that KVM cannot route.
const GSI_LIMIT: u32 = 4096;

/// Where each message-signalled GSI leads; `None` is one that is taken, but has no route yet.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    messages: BTreeMap<u32, Option<MsiMessage>>,
}

impl Routes {
    /// Takes the lowest free GSI.
    pub(crate) fn allocate(&mut self) -> Option<u32> {
        let room = wired().len() + self.messages.len() < KVM_MAX_IRQ_ROUTES;
        let taken = self.messages.keys().copied();
        let used = taken.zip(IOAPIC_INPUTS..).take_while(|(gsi, expected)| gsi == expected).count();
        let free = IOAPIC_INPUTS + u32::try_from(used).ok()?;
        let gsi = Some(free).filter(|&gsi| room && gsi < GSI_LIMIT)?;
        self.messages.insert(gsi, None);
        Some(gsi)
    }

    /// Gives a GSI back. The route stays in KVM until the next installation; nothing raises it any more.
    pub(crate) fn free(&mut self, gsi: u32) {
        self.messages.remove(&gsi);
    }

    /// Sets the route of a GSI and installs the table if that changed it. On failure nothing is changed.
    pub(crate) fn set(&mut self, fd: &VmFd, gsi: u32, message: MsiMessage) -> Result<(), kvm_ioctls::Error> {
        let old = self.messages.insert(gsi, Some(message)).flatten();
        if old == Some(message) {
            return Ok(());
        }
        self.install(fd).inspect_err(|_| {
            self.messages.insert(gsi, old);
        })
    }

    /// Installs the whole table.
    pub(crate) fn install(&self, fd: &VmFd) -> Result<(), kvm_ioctls::Error> {
        let too_many = |_| kvm_ioctls::Error::new(libc::ENOSPC);
        fd.set_gsi_routing(&KvmIrqRouting::from_entries(&self.table()).map_err(too_many)?)
    }

    fn table(&self) -> Vec<kvm_irq_routing_entry> {
        let mut table = wired();
        table.extend(self.messages.iter().filter_map(|(&gsi, message)| Some(to_message(gsi, (*message)?))));
        table
    }
}

/// The lines of a PC: GSI 0 to 15 reach the PIC, 0 to 23 the I/O APIC. The timer, GSI 0, is wired to input 2 of the
/// I/O APIC, as the interrupt source override in the MADT says; so input 2 has no GSI of its own.
fn wired() -> Vec<kvm_irq_routing_entry> {
    let pic = (0..PIC_INPUTS).map(|gsi| match gsi {
        0..8 => to_chip(gsi, KVM_IRQCHIP_PIC_MASTER, gsi),
        _ => to_chip(gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8),
    });
    let ioapic = (0..IOAPIC_INPUTS).filter(|&gsi| gsi != 2).map(|gsi| {
        let input = if gsi == 0 { 2 } else { gsi };
        to_chip(gsi, KVM_IRQCHIP_IOAPIC, input)
    });
    pic.chain(ioapic).collect()
}

fn to_chip(gsi: u32, irqchip: u32, pin: u32) -> kvm_irq_routing_entry {
    kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_IRQCHIP,
        u: kvm_irq_routing_entry__bindgen_ty_1 { irqchip: kvm_irq_routing_irqchip { irqchip, pin } },
        ..Default::default()
    }
}

fn to_message(gsi: u32, message: MsiMessage) -> kvm_irq_routing_entry {
    let low = message.address & u64::from(u32::MAX);
    let half = |value| u32::try_from(value).unwrap_or(0);
    let msi = kvm_irq_routing_msi {
        address_lo: half(low),
        address_hi: half(message.address >> 32),
        data: message.data,
        ..Default::default()
    };
    kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        u: kvm_irq_routing_entry__bindgen_ty_1 { msi },
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_messages_after_the_lines() {
        let mut routes = Routes::default();
        assert_eq!((routes.allocate(), routes.allocate()), (Some(24), Some(25)));
        routes.free(24);
        assert_eq!(routes.allocate(), Some(24));
    }

    #[test]
    fn runs_out_of_numbers_without_harm() {
        let mut routes = Routes::default();
        let taken = std::iter::from_fn(|| routes.allocate()).count();
        assert!(taken > 4000 && wired().len() + taken <= KVM_MAX_IRQ_ROUTES);
    }

    #[test]
    fn keeps_the_lines_in_every_table() {
        let mut routes = Routes::default();
        let gsi = routes.allocate().unwrap();
        assert_eq!(routes.table().len(), wired().len());
        routes.messages.insert(gsi, Some(MsiMessage { address: 0x1_fee0_0000, data: 0x41 }));
        let table = routes.table();
        assert_eq!(table.len(), wired().len() + 1);
        assert_eq!((table.last().unwrap().gsi, table.last().unwrap().type_), (24, KVM_IRQ_ROUTING_MSI));
    }

    #[test]
    fn wires_the_timer_to_input_2() {
        let inputs = wired().into_iter().filter(|entry| entry.gsi == 0).map(|entry| {
            // SAFETY: entries of this type hold this member.
            let chip = unsafe { entry.u.irqchip };
            (chip.irqchip, chip.pin)
        });
        assert_eq!(inputs.collect::<Vec<_>>(), [(KVM_IRQCHIP_PIC_MASTER, 0), (KVM_IRQCHIP_IOAPIC, 2)]);
    }
}
