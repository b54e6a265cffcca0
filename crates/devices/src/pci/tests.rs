// SPDX-License-Identifier: Apache-2.0
use std::sync::Arc;

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::power::GuestSignal;
use flotilla_testing::interrupts::FakeMsi;
use flotilla_testing::signals::FakeSignals;
use proptest::prelude::*;

use super::bridges::{host_bridge, isa_bridge};
use super::msix::Msix;
use super::root::{Bdf, ConfigPorts, PciRoot, SlotError};
use crate::legacy::reset::ResetControl;

fn board() -> (Arc<PciRoot>, ConfigPorts, Arc<FakeSignals>) {
    let root = Arc::new(PciRoot::new());
    root.insert(Bdf::new(0, 0, 0).unwrap(), Arc::new(host_bridge(0xb000_0000))).unwrap();
    root.insert(Bdf::new(0, 31, 0).unwrap(), Arc::new(isa_bridge(0x600))).unwrap();
    let signals = Arc::new(FakeSignals::default());
    let ports = ConfigPorts::new(Arc::clone(&root), Arc::new(ResetControl::new(signals.clone())));
    (root, ports, signals)
}

fn read(device: &dyn BusDevice, offset: u64) -> u32 {
    let mut data = [0; 4];
    device.read(offset, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn looks_like_a_q35_board() {
    let (root, _, _) = board();
    assert_eq!(read(&*root, 0), 0x29c0_8086);
    assert_eq!(read(&*root, 0x60), 0xb000_0001);
    let lpc = 31 << 15;
    assert_eq!(read(&*root, lpc), 0x2918_8086);
    assert_eq!(read(&*root, lpc + 0x40), 0x601);
    assert_eq!(read(&*root, lpc + 0x44) & 0x80, 0x80);
    assert_eq!(read(&*root, 1 << 15), u32::MAX, "an empty slot");
    assert_eq!(read(&*root, 0x100), 0, "no extended capabilities");
    assert_eq!(read(&*root, 1 << 40), u32::MAX);
}

#[test]
fn shows_the_same_by_ports_and_by_memory() {
    let (root, ports, _) = board();
    for device in [0_u32, 1, 31] {
        for register in (0..256_u32).step_by(4) {
            ports.write(0, &(1 << 31 | device << 11 | register).to_le_bytes());
            assert_eq!(read(&ports, 4), read(&*root, u64::from(device << 15 | register)));
        }
    }
    ports.write(0, &0_u32.to_le_bytes());
    assert_eq!(read(&ports, 4), u32::MAX, "not enabled");
}

#[test]
fn passes_the_reset_byte_between_the_configuration_ports_on() {
    let (_, ports, signals) = board();
    ports.write(1, &[2]);
    ports.write(1, &[6]);
    assert_eq!(signals.take(), [GuestSignal::Reset]);
    ports.write(0, &[0, 6, 0, 0]);
    assert_eq!(signals.take(), []);
}

#[test]
fn puts_one_function_in_one_place() {
    let (root, _, _) = board();
    let bdf = Bdf::new(0, 31, 0).unwrap();
    assert_eq!(root.insert(bdf, Arc::new(isa_bridge(0x600))), Err(SlotError::Taken { bdf }));
    assert_eq!((bdf.to_string(), Bdf::new(0, 32, 0), Bdf::new(0, 0, 8)), ("00:1f.0".to_owned(), None, None));
}

#[test]
fn bridges_and_ports_restore_what_they_saved() {
    let (root, ports, _) = board();
    root.write_config(Bdf::new(0, 0, 0).unwrap(), 0x90, &[0x30]);
    root.write_config(Bdf::new(0, 0, 0).unwrap(), 0x00, &[1]);
    ports.write(0, &0x8000_0000_u32.to_le_bytes());
    let (other, other_ports, _) = board();
    for ((_, from), (_, to)) in root.functions().into_iter().zip(other.functions()) {
        let mut state = from.save().unwrap();
        to.restore(&state).unwrap();
        assert_eq!(to.save().unwrap(), state);
        state.fields["config"][0] = 1.into();
        assert!(to.restore(&state).is_err(), "a constant register");
        state.fields["config"] = vec![0; 4096].into();
        assert!(to.restore(&state).is_err());
        to.reset();
    }
    other_ports.restore(&ports.save().unwrap()).unwrap();
    assert_eq!(other_ports.save().unwrap(), ports.save().unwrap());
    assert_eq!(read(&other_ports, 4), 0x29c0_8086);
    let mut state = ports.save().unwrap();
    state.fields["address"] = u64::MAX.into();
    assert!(other_ports.restore(&state).is_err());
}

#[test]
fn msix_begins_with_every_vector_masked_and_the_function_not() {
    let mut msix = Msix::new(3, &FakeMsi::default(), Arc::default()).unwrap();
    assert_eq!(msix.control(), 2);
    assert!(msix.save().vectors.iter().all(|vector| vector.masked));
    assert_eq!((msix.table_len(), msix.pending_len()), (48, 8));
    assert!(Msix::new(0, &FakeMsi::default(), Arc::default()).is_err());
    assert!(Msix::new(2049, &FakeMsi::default(), Arc::default()).is_err());
}

/// What MSI-X promises, in the simplest form.
#[derive(Default, Clone, Copy)]
struct Model {
    masked: bool,
    pending: bool,
    delivered: usize,
}

proptest! {
    #[test]
    fn msix_delivers_each_trigger_or_keeps_it_pending(steps in prop::collection::vec((0..4_u8, 0..4_u16, any::<u16>()), 0..200)) {
        let source = FakeMsi::default();
        let mut msix = Msix::new(4, &source, Arc::default()).unwrap();
        let mut model = [Model { masked: true, ..Model::default() }; 4];
        let mut control = 0;
        for (what, vector, value) in steps {
            let at = usize::from(vector);
            match what {
                0 => {
                    msix.set_control(value);
                    control = value;
                }
                1 => {
                    msix.write_table(u64::from(vector) * 16 + 12, &u32::from(value & 1).to_le_bytes());
                    model[at].masked = value & 1 != 0;
                }
                2 => msix.write_table(u64::from(vector) * 16 + 8, &u32::from(value).to_le_bytes()),
                _ => {
                    msix.trigger(vector);
                    model[at].pending = true;
                }
            }
            for (index, model) in model.iter_mut().enumerate() {
                if control >> 14 == 0b10 && !model.masked && std::mem::take(&mut model.pending) {
                    model.delivered += 1;
                }
                let mut bits = [0; 8];
                msix.read_pending(0, &mut bits);
                prop_assert_eq!(bits[0] >> index & 1 == 1, model.pending);
            }
        }
        for (index, model) in model.iter().enumerate() {
            prop_assert_eq!(source.vector(index).take_delivered().len(), model.delivered);
            prop_assert_eq!(source.vector(index).lost(), 0);
        }
    }

    #[test]
    fn board_survives_any_access(steps in prop::collection::vec((any::<bool>(), any::<bool>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..9)), 0..100)) {
        let (root, ports, _) = board();
        for (write, by_port, at, mut data) in steps {
            let (device, offset): (&dyn BusDevice, u64) = if by_port { (&ports, (at % 9).into()) } else { (&*root, at.into()) };
            if write { device.write(offset, &data) } else { device.read(offset, &mut data) }
        }
    }
}
