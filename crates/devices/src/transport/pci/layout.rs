// SPDX-License-Identifier: Apache-2.0
//! Where things are: the regions of the BAR and the capabilities that tell the driver (virtio 1.2 §4.1.4).

use crate::pci::bar::Bar;
use crate::pci::config::{CAPABILITIES, COMMAND, ConfigSpace, Register, STATUS_CAPABILITIES};
use crate::pci::msix::Msix;

/// Size of the BAR in bytes.
pub const BAR_SIZE: u64 = 0x8_0000;
/// Bytes of `struct virtio_pci_common_cfg` of virtio 1.2.
pub const COMMON_LEN: u64 = 0x40;
pub const ISR: u64 = 0x2000;
pub const ISR_LEN: u64 = 4;
pub const DEVICE: u64 = 0x4000;
pub const DEVICE_LEN: u64 = 0x1000;
pub const NOTIFY: u64 = 0x6000;
/// Bytes between the doorbells of two queues.
pub const NOTIFY_MULTIPLIER: u32 = 4;
pub const NOTIFY_LEN: u64 = 0x2000;
/// Most queues that the notify region has room for.
pub const MAX_QUEUES: usize = 2047;
pub const TABLE: u64 = 0x8000;
pub const PENDING: u64 = 0x4_8000;

/// Configuration space: MSI-X message control.
pub const MSIX_CONTROL: u16 = MSIX_CAPABILITY + 2;
/// Configuration space: fields of the `VIRTIO_PCI_CAP_PCI_CFG` window.
pub const WINDOW_BAR: u16 = WINDOW_CAPABILITY + 4;
pub const WINDOW_OFFSET: u16 = WINDOW_CAPABILITY + 8;
pub const WINDOW_LEN: u16 = WINDOW_CAPABILITY + 12;
pub const WINDOW_DATA: u16 = WINDOW_CAPABILITY + 16;

const MSIX_CAPABILITY: u16 = 0x40;
const FIRST_VENDOR_CAPABILITY: u16 = 0x4c;
const WINDOW_CAPABILITY: u16 = 0x90;

const ID_VENDOR: u64 = 0x09;
const ID_MSIX: u64 = 0x11;
const PCI_VENDOR: u64 = 0x1af4;
const PCI_DEVICE_BASE: u64 = 0x1040;
/// `Memory Space`, `Bus Master`, `Interrupt Disable`.
const COMMAND_WRITABLE: u64 = 0x0406;

/// The configuration space of a function with this virtio device type.
pub fn config_space(device_type: u32, bar: &Bar, address: u64, msix: &Msix) -> ConfigSpace {
    let id = PCI_DEVICE_BASE + u64::from(device_type & 0x3f);
    let mut space = ConfigSpace::new(&[
        Register::constant(0x00, 2, PCI_VENDOR),
        Register::constant(0x02, 2, id),
        Register::writable(COMMAND, 2, 0, COMMAND_WRITABLE),
        Register::constant(0x06, 2, STATUS_CAPABILITIES),
        Register::constant(0x08, 4, class(device_type) << 8 | 1),
        Register::writable(0x0c, 1, 0, 0xff),
        bar.register(address),
        Register::constant(0x2c, 2, PCI_VENDOR),
        Register::constant(0x2e, 2, id),
        Register::constant(CAPABILITIES, 1, u64::from(MSIX_CAPABILITY)),
        Register::writable(0x3c, 1, 0, 0xff),
    ]);
    define_msix(&mut space, msix);
    define_vendor(&mut space);
    space
}

/// The doorbell of a queue, when the BAR is at `base`. Each has an address of its own.
pub fn doorbell(base: u64, queue: usize) -> (u64, Option<u32>) {
    let queue = u64::try_from(queue).unwrap_or(u64::MAX);
    let offset = queue.saturating_mul(u64::from(NOTIFY_MULTIPLIER));
    (base.saturating_add(NOTIFY).saturating_add(offset), None)
}

/// Class code, subclass and interface by device type.
fn class(device_type: u32) -> u64 {
    match device_type {
        1 => 0x02_0000,
        2 | 8 => 0x01_0000,
        3 => 0x07_8000,
        _ => 0xff_0000,
    }
}

fn define_msix(space: &mut ConfigSpace, msix: &Msix) {
    let header = ID_MSIX | u64::from(FIRST_VENDOR_CAPABILITY) << 8;
    space.define(Register::constant(MSIX_CAPABILITY, 2, header));
    space.define(Register::writable(MSIX_CONTROL, 2, u64::from(msix.control()), 0xc000));
    space.define(Register::constant(MSIX_CAPABILITY + 4, 4, TABLE));
    space.define(Register::constant(MSIX_CAPABILITY + 8, 4, PENDING));
}

fn define_vendor(space: &mut ConfigSpace) {
    // (offset, next, length, type, region, region length)
    let capabilities = [
        (0x4c, 0x5c, 16, 1, 0, COMMON_LEN),
        (0x5c, 0x6c, 16, 3, ISR, ISR_LEN),
        (0x6c, 0x7c, 16, 4, DEVICE, DEVICE_LEN),
        (0x7c, u64::from(WINDOW_CAPABILITY), 20, 2, NOTIFY, NOTIFY_LEN),
    ];
    for (at, next, len, kind, region, region_len) in capabilities {
        space.define(Register::constant(at, 4, ID_VENDOR | next << 8 | len << 16 | kind << 24));
        space.define(Register::constant(at + 8, 4, region));
        space.define(Register::constant(at + 12, 4, region_len));
    }
    space.define(Register::constant(0x8c, 4, u64::from(NOTIFY_MULTIPLIER)));
    space.define(Register::constant(WINDOW_CAPABILITY, 4, ID_VENDOR | 20 << 16 | 5 << 24));
    space.define(Register::writable(WINDOW_BAR, 1, 0, 0xff));
    space.define(Register::writable(WINDOW_OFFSET, 4, 0, 0xffff_ffff));
    space.define(Register::writable(WINDOW_LEN, 4, 0, 0xffff_ffff));
}
