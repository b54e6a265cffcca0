// SPDX-License-Identifier: Apache-2.0
//! The transport driven as a guest drives it: through configuration space, the MMIO bus and the doorbells.

mod round_trip;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flotilla_device_model::bus::Bus;
use flotilla_device_model::interrupt::MsiMessage;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::DeviceState;
use flotilla_device_model::virtio::{VirtioDevice, VirtioInterrupt};
use flotilla_memory::GuestMemory;
use flotilla_testing::doorbells::FakeDoorbells;
use flotilla_testing::driver::{Buffer, Descriptor, FakeQueue, NEXT, wait_until};
use flotilla_testing::interrupts::{FakeMsi, FakeMsiVector};
use flotilla_testing::memory::guest_memory;

use super::device::{VirtioPci, VirtioPciParts};
use super::layout::{BAR_SIZE, DEVICE, ISR, NOTIFY, PENDING, TABLE};
use crate::declared::assert_declared;
use crate::pci::PciFunction;
use crate::pci::memory::{PciMemory, Placement};
use crate::pci::ranges::RangeAllocator;
use crate::virtio::rng::device::Rng;
use crate::virtio::rng::source::EntropySource;

const WINDOW: u64 = 0x80_0000_0000;
const ELSEWHERE: u64 = WINDOW + 0x100_0000;
const MESSAGE: MsiMessage = MsiMessage { address: 0xfee0_1000, data: 0x41 };

/// Gives 7 for ever; can be told to block until released.
#[derive(Default)]
struct Sevens {
    held: AtomicBool,
}

impl EntropySource for Sevens {
    fn fill(&self, data: &mut [u8]) -> std::io::Result<()> {
        while self.held.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        data.fill(7);
        Ok(())
    }
}

type Action<'a> = &'a dyn Fn();
type Edit = fn(&mut serde_json::Value);

struct Bench {
    bus: Arc<Bus>,
    memory: Arc<GuestMemory>,
    msi: FakeMsi,
    doorbells: Arc<FakeDoorbells>,
    source: Arc<Sevens>,
    function: Arc<VirtioPci>,
}

fn bench_on(memory: &Arc<GuestMemory>) -> Bench {
    let source = Arc::<Sevens>::default();
    bench_of(memory, Arc::new(Rng::new("rng0", source.clone())), source)
}

fn bench_of(memory: &Arc<GuestMemory>, device: Arc<dyn VirtioDevice>, source: Arc<Sevens>) -> Bench {
    let bus = Arc::new(Bus::new());
    let low = RangeAllocator::new(0xc000_0000, 0x1000_0000).unwrap();
    let high = RangeAllocator::new(WINDOW, 0x1000_0000).unwrap();
    let pci_memory = Arc::new(PciMemory::new(Arc::clone(&bus), low, high));
    let (msi, doorbells) = (FakeMsi::default(), Arc::<FakeDoorbells>::default());
    let function = VirtioPci::new(VirtioPciParts {
        device,
        memory: Arc::clone(memory),
        msi: &msi,
        doorbells: doorbells.clone(),
        pci_memory,
        placement: Placement::Above4G,
    })
    .unwrap();
    Bench { bus, memory: Arc::clone(memory), msi, doorbells, source, function }
}

fn bench() -> Bench {
    bench_on(&guest_memory(0x10_0000))
}

impl Bench {
    fn config(&self, offset: u16) -> u32 {
        let mut data = [0; 4];
        self.function.read_config(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn set_config(&self, offset: u16, value: u32) {
        self.function.write_config(offset, &value.to_le_bytes());
    }

    fn decode(&self) {
        self.function.write_config(4, &6_u16.to_le_bytes());
    }

    /// Where the BAR register points.
    fn bar(&self) -> u64 {
        u64::from(self.config(0x10) & !0xf) | u64::from(self.config(0x14)) << 32
    }

    fn read<const N: usize>(&self, offset: u64) -> u64 {
        let mut data = [0; N];
        assert!(self.bus.read(self.bar() + offset, &mut data), "the BAR answers");
        data.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn write<const N: usize>(&self, offset: u64, value: u64) {
        assert!(self.bus.write(self.bar() + offset, &value.to_le_bytes()[..N]), "the BAR answers");
    }

    fn status(&self) -> u64 {
        self.read::<1>(0x14)
    }

    fn negotiate(&self, low_features: u64) {
        self.write::<1>(0x14, 0);
        self.write::<1>(0x14, 1);
        self.write::<1>(0x14, 3);
        for (page, features) in [(0, low_features), (1, 1)] {
            self.write::<4>(0x08, page);
            self.write::<4>(0x0c, features);
        }
        self.write::<1>(0x14, 11);
        assert_eq!(self.status(), 11);
    }

    fn set_up_queue(&self, queue: &FakeQueue) {
        self.set_up_queue_at(0, queue);
    }

    fn set_up_queue_at(&self, index: u64, queue: &FakeQueue) {
        self.write::<2>(0x16, index);
        self.write::<2>(0x18, queue.size.into());
        self.write::<4>(0x20, queue.descriptors);
        self.write::<4>(0x24, 0);
        self.write::<8>(0x28, queue.available);
        self.write::<8>(0x30, queue.used);
        self.write::<2>(0x1a, 1);
        self.write::<2>(0x1c, 1);
    }

    fn enable_msix(&self) {
        for vector in 0..2 {
            self.write::<8>(TABLE + 16 * vector, MESSAGE.address);
            self.write::<4>(TABLE + 16 * vector + 8, u64::from(MESSAGE.data) + vector);
            self.write::<4>(TABLE + 16 * vector + 12, 0);
        }
        self.function.write_config(0x42, &0x8000_u16.to_le_bytes());
        self.write::<2>(0x10, 0);
    }

    /// A working device with one queue at 0x1000.
    fn start(&self) -> FakeQueue {
        self.decode();
        self.enable_msix();
        let queue = FakeQueue::new(&self.memory, 0x1000, 16);
        self.negotiate(0);
        self.set_up_queue(&queue);
        self.write::<2>(0x10, 0);
        self.write::<1>(0x14, 15);
        assert_eq!(self.status(), 15);
        queue
    }

    fn request(&self, queue: &mut FakeQueue) {
        queue.add(&[Buffer::Writable(0x8000, 16)]);
        assert!(self.doorbells.ring(self.bar() + NOTIFY, 0), "the doorbell is bound");
        assert_eq!(queue.wait_used().1, 16);
    }

    fn queue_vector(&self) -> Arc<FakeMsiVector> {
        self.msi.vector(1)
    }

    fn metric(&self, name: &str) -> u64 {
        self.function.metrics().into_iter().find(|(known, _)| *known == name).unwrap().1
    }
}

#[test]
fn can_be_discovered_from_configuration_space_alone() {
    let bench = bench();
    assert_eq!(bench.config(0), 0x1044_1af4);
    assert_eq!(bench.config(8), 0xff00_0001);
    let mut at = u16::try_from(bench.config(0x34) & 0xff).unwrap();
    let mut found = Vec::new();
    while at != 0 {
        let header = bench.config(at);
        found.push((header & 0xff, header >> 24, bench.config(at + 8), bench.config(at + 12)));
        at = u16::try_from(header >> 8 & 0xff).unwrap();
    }
    let kinds: Vec<_> = found.iter().skip(1).map(|entry| (entry.0, entry.1)).collect();
    assert_eq!(kinds, [(9, 1), (9, 3), (9, 4), (9, 2), (9, 5)]);
    assert_eq!(found[0].0, 0x11);
    assert_eq!((found[4].2, bench.config(0x8c)), (0x6000, 4));
    assert_eq!(bench.config(0x40) >> 16, 1, "two vectors");
}

#[test]
fn serves_requests_and_interrupts_by_message() {
    let bench = bench();
    let mut queue = bench.start();
    bench.request(&mut queue);
    let vector = bench.queue_vector();
    wait_until("the message arrives", || {
        vector.take_delivered() == [MsiMessage { address: MESSAGE.address, data: MESSAGE.data + 1 }]
    });
    assert_eq!(bench.read::<1>(ISR), 1);
    assert_eq!(bench.read::<1>(ISR), 0, "reading clears");
    assert_eq!((bench.metric("requests"), bench.metric("pci_queue_interrupts")), (1, 1));
}

#[test]
fn takes_a_doorbell_that_arrives_as_an_exit() {
    let bench = bench();
    bench.doorbells.refuse_from(Some(0));
    let mut queue = bench.start();
    queue.add(&[Buffer::Writable(0x8000, 16)]);
    bench.write::<2>(NOTIFY, 0);
    queue.wait_used();
    bench.write::<2>(NOTIFY + 4, 1);
    assert_eq!(bench.metric("pci_doorbell_exits"), 2);
    assert_eq!((bench.metric("pci_doorbell_failures"), bench.metric("pci_refused_writes")), (1, 1));
}

#[test]
fn serves_what_was_queued_before_the_driver_was_ready() {
    let bench = bench();
    bench.decode();
    let mut queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    queue.add(&[Buffer::Writable(0x8000, 16)]);
    bench.negotiate(0);
    bench.set_up_queue(&queue);
    bench.write::<1>(0x14, 15);
    queue.wait_used();
}

#[test]
fn keeps_a_masked_vector_pending_until_it_is_unmasked() {
    let bench = bench();
    let mut queue = bench.start();
    let vector = bench.queue_vector();
    let silence: [(Action<'_>, Action<'_>); 3] = [
        (&|| bench.write::<4>(TABLE + 28, 1), &|| bench.write::<4>(TABLE + 28, 0)),
        (&|| bench.function.write_config(0x42, &0xc000_u16.to_le_bytes()), &|| {
            bench.function.write_config(0x43, &[0x80]);
        }),
        (&|| bench.set_config(0x40, 0x4000_0000), &|| bench.set_config(0x40, 0x8000_0000)),
    ];
    for (mask, unmask) in silence {
        mask();
        assert!(!vector.is_unmasked());
        bench.request(&mut queue);
        wait_until("the pending bit", || bench.read::<8>(PENDING) == 2);
        assert_eq!(vector.take_delivered(), []);
        unmask();
        assert_eq!(vector.take_delivered().len(), 1);
        assert_eq!(bench.read::<8>(PENDING), 0);
    }
    assert_eq!(vector.lost(), 0);
    assert_eq!((bench.read::<2>(TABLE), bench.read::<1>(PENDING)), (0xffff, 0xff), "odd widths");
}

#[test]
fn follows_a_message_that_changes() {
    let bench = bench();
    let mut queue = bench.start();
    bench.write::<4>(TABLE + 24, 0x99);
    bench.request(&mut queue);
    let vector = bench.queue_vector();
    wait_until("the new message", || vector.take_delivered().iter().any(|message| message.data == 0x99));
}

/// As vhost-net does: by an eventfd, past this process.
#[test]
fn what_others_signal_waits_while_masked_and_the_queue_keeps_its_vector() {
    let bench = bench();
    let _queue = bench.start();
    let (interrupts, vector) = (Arc::clone(&bench.function.interrupts), bench.queue_vector());
    let event = VirtioInterrupt::queue_event(&*interrupts, 0).unwrap();
    assert!(VirtioInterrupt::queue_event(&*interrupts, 9).is_none(), "no such queue");

    bench.write::<4>(TABLE + 16 + 12, 1);
    event.write(1).unwrap();
    vector.take_delivered();
    bench.write::<4>(TABLE + 16 + 12, 0);
    assert_eq!(vector.take_delivered().len(), 1, "the host delivers it by itself");
    bench.write::<4>(TABLE + 16 + 12, 1);
    event.write(1).unwrap();
    assert_eq!(bench.read::<8>(PENDING), 0b10, "the guest sees that it waits");
    assert!(interrupts.msix().save().vectors[1].pending);
    bench.write::<4>(TABLE + 16 + 12, 0);
    assert_eq!((vector.take_delivered().len(), bench.read::<8>(PENDING)), (1, 0));

    bench.write::<2>(0x16, 0);
    bench.write::<2>(0x1a, 0);
    assert_eq!(bench.read::<2>(0x1a), 1, "the eventfd leads to the old one");
    bench.write::<1>(0x14, 0);
    bench.write::<2>(0x1a, 0);
    assert_eq!(bench.read::<2>(0x1a), 0, "free again after a reset");
}

#[test]
fn counts_a_vector_the_host_refuses_and_tries_again() {
    let bench = bench();
    bench.decode();
    bench.msi.vector(1).fail(true);
    let mut queue = bench.start();
    assert!(bench.metric("pci_msi_failures") > 0);
    bench.request(&mut queue);
    bench.msi.vector(1).fail(false);
    wait_until("pending", || bench.read::<8>(PENDING) == 2);
    bench.write::<4>(TABLE + 28, 0);
    assert_eq!(bench.queue_vector().take_delivered().len(), 1);
}

#[test]
fn opens_each_register_only_in_its_phase() {
    let bench = bench();
    bench.decode();
    bench.write::<8>(0x20, 0x1000);
    bench.write::<2>(0x1c, 1);
    assert_eq!((bench.read::<8>(0x20), bench.read::<2>(0x1c)), (0, 0), "before FEATURES_OK");
    bench.negotiate(0);
    for bad in [0, 3, 512, 0xffff] {
        bench.write::<2>(0x18, bad);
        assert_eq!(bench.read::<2>(0x18), 256, "size {bad}");
    }
    bench.write::<2>(0x16, 9);
    bench.write::<8>(0x20, 0x1000);
    let absent = [bench.read::<2>(0x18), bench.read::<2>(0x1a), bench.read::<2>(0x1c), bench.read::<8>(0x20)];
    assert_eq!(absent, [0, 0xffff, 0, 0]);
    bench.write::<2>(0x16, 0);
    bench.write::<2>(0x1a, 2);
    assert_eq!(bench.read::<2>(0x1a), 0xffff, "no such vector");
    bench.write::<4>(0x00, 7);
    assert_eq!(bench.read::<4>(0x04), 0);
    bench.write::<4>(0x08, 0);
    bench.write::<4>(0x0c, 1);
    assert_eq!(bench.read::<4>(0x0c), 0, "features after FEATURES_OK");
    let queue = FakeQueue::new(&bench.memory, 0x1000, 16);
    bench.set_up_queue(&queue);
    bench.write::<1>(0x14, 15);
    bench.write::<8>(0x20, 0x5000);
    assert_eq!(bench.read::<8>(0x20), 0x1000, "after DRIVER_OK");
    bench.write::<1>(0x14, 11);
    assert_eq!(bench.status(), 15, "bits are not cleared one by one");
    assert!(bench.metric("pci_refused_writes") >= 9);
}

#[test]
fn asks_for_a_reset_when_it_cannot_start() {
    let bench = bench();
    bench.decode();
    bench.enable_msix();
    for outside in [0x10_0000 - 8, 0xffff_ffff_ffff_fff0] {
        let mut queue = FakeQueue::new(&bench.memory, 0x1000, 16);
        queue.descriptors = outside;
        bench.negotiate(0);
        bench.write::<2>(0x10, 0);
        bench.set_up_queue(&queue);
        bench.write::<4>(0x24, outside >> 32);
        bench.write::<1>(0x14, 15);
        assert_eq!(bench.status(), 0x4f);
        assert_eq!(bench.msi.vector(0).take_delivered().len(), 1, "configuration change");
    }
    // No queue at all.
    bench.negotiate(0);
    bench.write::<1>(0x14, 15);
    assert_eq!(bench.status(), 0x4f);
    assert_eq!((bench.metric("pci_activation_failures"), bench.metric("pci_needs_resets")), (3, 3));
    assert_eq!(bench.metric("pci_config_interrupts"), 3);
    let mut queue = bench.start();
    bench.request(&mut queue);
}

#[test]
fn asks_for_a_reset_when_the_driver_breaks_the_queue() {
    let bench = bench();
    let mut queue = bench.start();
    queue.write_descriptor(0, Descriptor { address: 0x8000, len: 4, flags: NEXT, next: 0 });
    queue.offer(0);
    bench.doorbells.ring(bench.bar() + NOTIFY, 0);
    wait_until("DEVICE_NEEDS_RESET", || bench.status() == 0x4f);
    let generation = bench.read::<1>(0x15);
    assert_ne!(generation, 0);
    let mut queue = bench.start();
    bench.request(&mut queue);
}

#[test]
fn a_device_reset_forgets_pending_messages_and_keeps_the_vectors() {
    let bench = bench();
    let mut queue = bench.start();
    bench.write::<4>(TABLE + 28, 1);
    bench.request(&mut queue);
    wait_until("pending", || bench.read::<8>(PENDING) == 2);
    bench.write::<1>(0x14, 0);
    assert_eq!(bench.read::<8>(PENDING), 0);
    assert_eq!(bench.config(0x40) >> 16, 0x8001, "still enabled");
}

#[test]
fn resets_with_work_in_flight() {
    let bench = bench();
    let mut queue = bench.start();
    bench.source.held.store(true, Ordering::SeqCst);
    queue.add(&[Buffer::Writable(0x8000, 16)]);
    bench.doorbells.ring(bench.bar() + NOTIFY, 0);
    std::thread::scope(|scope| {
        let reset = scope.spawn(|| bench.write::<1>(0x14, 0));
        std::thread::sleep(std::time::Duration::from_millis(10));
        bench.source.held.store(false, Ordering::SeqCst);
        reset.join().unwrap();
    });
    assert_eq!(bench.status(), 0);
    assert!(bench.doorbells.addresses().is_empty());
    assert_eq!((bench.read::<2>(0x10), bench.read::<2>(0x1a), bench.read::<2>(0x1c)), (0xffff, 0xffff, 0));
    assert_eq!(bench.metric("pci_resets"), 2);
    for _ in 0..200 {
        let mut queue = bench.start();
        bench.request(&mut queue);
    }
}

#[test]
fn tells_its_size_and_moves_with_its_doorbells() {
    let bench = bench();
    let mut queue = bench.start();
    let home = bench.bar();
    assert_eq!(bench.doorbells.addresses(), [home + NOTIFY]);
    bench.set_config(0x10, u32::MAX);
    bench.set_config(0x14, u32::MAX);
    let size = u64::from(bench.config(0x10) & !0xf) | u64::from(bench.config(0x14)) << 32;
    assert_eq!((!size).wrapping_add(1), BAR_SIZE);
    assert!(bench.bus.read(home, &mut [0; 4]), "sizing moves nothing");

    bench.set_config(0x10, u32::try_from(ELSEWHERE & 0xffff_ffff).unwrap());
    bench.set_config(0x14, u32::try_from(ELSEWHERE >> 32).unwrap());
    assert_eq!(bench.bar(), ELSEWHERE);
    assert!(!bench.bus.read(home, &mut [0; 4]));
    assert_eq!(bench.doorbells.addresses(), [ELSEWHERE + NOTIFY]);
    bench.request(&mut queue);

    bench.function.write_config(4, &4_u16.to_le_bytes());
    assert!(!bench.bus.read(ELSEWHERE, &mut [0; 4]), "decoding is off");
    assert!(bench.doorbells.addresses().is_empty());
    bench.decode();
    bench.request(&mut queue);
}

#[test]
fn stays_where_it_is_when_a_move_fails() {
    struct Other;
    impl flotilla_device_model::bus::BusDevice for Other {
        fn read(&self, _: u64, _: &mut [u8]) {}
        fn write(&self, _: u64, _: &[u8]) {}
    }
    let bench = bench();
    let _queue = bench.start();
    let home = bench.bar();
    bench.bus.insert(ELSEWHERE + 0x100, 8, Arc::new(Other)).unwrap();
    for target in [ELSEWHERE, WINDOW + 0x1000_0000, 0xfee0_0000] {
        bench.set_config(0x10, u32::try_from(target & 0xffff_ffff).unwrap());
        bench.set_config(0x14, u32::try_from(target >> 32).unwrap());
        assert!(bench.bus.read(home, &mut [0; 4]));
        assert_eq!(bench.doorbells.addresses(), [home + NOTIFY]);
    }
    assert!(bench.metric("pci_bar_move_failures") >= 3);
    bench.set_config(0x10, u32::try_from(home & 0xffff_ffff).unwrap());
    bench.set_config(0x14, u32::try_from(home >> 32).unwrap());
    assert_eq!(bench.status(), 15);
}

#[test]
fn can_be_driven_through_the_configuration_window() {
    let bench = bench();
    let access = |offset: u32, len: u32| {
        bench.function.write_config(0x94, &[0]);
        bench.set_config(0x98, offset);
        bench.set_config(0x9c, len);
    };
    access(0x14, 1);
    bench.set_config(0xa0, 0xffff_ff01);
    assert_eq!(bench.config(0xa0), 1, "one byte only");
    access(0x12, 2);
    assert_eq!(bench.config(0xa0), 1);
    for (offset, len) in [(0x14, 0), (0x14, 3), (0x15, 2), (0x8_0000, 4), (u32::MAX, 4), (0, u32::MAX)] {
        access(offset, len);
        bench.set_config(0xa0, 0);
        assert_eq!(bench.config(0xa0), 0);
    }
    access(0x14, 1);
    assert_eq!(bench.config(0xa0), 1, "no reset came through");
    bench.function.write_config(0x94, &[1]);
    assert_eq!(bench.config(0xa0), 0, "no such BAR");
}

#[test]
fn loses_nothing_across_pauses() {
    let bench = bench();
    let mut queue = bench.start();
    for _ in 0..1000 {
        queue.add(&[Buffer::Writable(0x8000, 16)]);
        bench.doorbells.ring(bench.bar() + NOTIFY, 0);
        bench.function.pause();
        bench.function.resume();
        queue.wait_used();
    }
}

#[test]
fn goes_on_in_another_machine_where_it_stopped() {
    let first = bench();
    let mut queue = first.start();
    first.set_config(0x10, u32::try_from(ELSEWHERE & 0xffff_ffff).unwrap());
    for _ in 0..20 {
        first.request(&mut queue);
    }
    first.write::<4>(TABLE + 28, 1);
    first.request(&mut queue);
    wait_until("pending", || first.read::<8>(PENDING) == 2);
    first.function.pause();
    queue.add(&[Buffer::Writable(0x8000, 16)]);
    let state = first.function.save().unwrap();
    assert_eq!(state, first.function.save().unwrap());
    let text = serde_json::to_string(&state).unwrap();
    first.write::<1>(0x14, 0);

    let second = bench_on(&first.memory);
    second.function.restore(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(state, second.function.save().unwrap(), "saving again without a resume");
    assert_eq!(queue.take_used(), None, "nothing runs before the resume");
    assert_eq!((second.bar(), second.status()), (ELSEWHERE, 15));
    second.function.resume();
    queue.wait_used();
    second.request(&mut queue);
    assert_eq!(second.queue_vector().take_delivered(), []);
    second.write::<4>(TABLE + 28, 0);
    assert!(!second.queue_vector().take_delivered().is_empty(), "what was pending goes out");
    second.function.pause();
    assert!(second.function.restore(&state).is_err(), "not over a working device");
}

#[test]
fn holds_interrupts_back_until_a_restored_machine_runs() {
    let first = bench();
    let mut queue = first.start();
    first.request(&mut queue);
    first.function.pause();
    let mut state = first.function.save().unwrap();
    state.fields["msix"]["vectors"][1]["pending"] = true.into();
    let second = bench_on(&first.memory);
    second.function.restore(&state).unwrap();
    assert!(second.queue_vector().is_unmasked());
    assert_eq!(second.queue_vector().take_delivered(), []);
    second.function.resume();
    assert!(!second.queue_vector().take_delivered().is_empty());
}

#[test]
fn refuses_each_impossible_field() {
    let first = bench();
    let mut queue = first.start();
    first.request(&mut queue);
    first.function.pause();
    let state = first.function.save().unwrap();
    let second = bench_on(&first.memory);
    let fresh = second.function.save().unwrap();
    let edits: Vec<(&str, Edit)> = vec![
        ("config", |fields| fields["config"][0] = 0.into()),
        ("config", |fields| fields["config"] = vec![0; 255].into()),
        ("mapped_at", |fields| fields["mapped_at"] = 0x1000.into()),
        ("mapped_at", |fields| fields["mapped_at"] = 0xfee0_0000_u64.into()),
        ("msix", |fields| fields["msix"]["enabled"] = false.into()),
        ("msix", |fields| fields["msix"]["vectors"] = serde_json::json!([])),
        ("status", |fields| fields["status"] = 6.into()),
        ("status", |fields| fields["driver_features"] = u64::MAX.into()),
        ("status", |fields| fields["driver_features"] = 0.into()),
        ("queues", |fields| fields["queues"] = serde_json::json!([])),
        ("queues", |fields| fields["queues"][0]["size"] = 0.into()),
        ("queues", |fields| fields["queues"][0]["size"] = 3.into()),
        ("queues", |fields| fields["queues"][0]["size"] = 512.into()),
        ("queues", |fields| fields["queues"][0]["vector"] = 2.into()),
        ("config_vector", |fields| fields["config_vector"] = 7.into()),
        ("device", |fields| fields["device"]["kind"] = "other".into()),
        ("device", |fields| fields["device"]["fields"]["features"] = u64::MAX.into()),
        ("shape", |fields| fields["surprise"] = 1.into()),
    ];
    for (what, edit) in edits {
        let mut broken = state.clone();
        edit(&mut broken.fields);
        assert!(second.function.restore(&broken).is_err(), "{what}");
        assert_eq!(second.function.save().unwrap(), fresh, "{what}: unchanged after an error");
    }
    second.function.restore(&state).unwrap();
}

#[test]
fn survives_a_restored_queue_that_makes_no_sense() {
    let first = bench();
    let _queue = first.start();
    first.function.pause();
    let mut state = first.function.save().unwrap();
    state.fields["queues"][0]["used"] = 0xffff_ffff_ffff_fffc_u64.into();
    let second = bench_on(&first.memory);
    second.function.restore(&state).unwrap();
    second.function.resume();
    assert_eq!(second.status(), 0x4f);

    state = DeviceState { kind: "rng".into(), ..state };
    assert!(bench().function.restore(&state).is_err());
}

#[test]
fn is_as_after_power_on_after_a_machine_reset() {
    let bench = bench();
    let fresh = bench.function.save().unwrap();
    let home = bench.bar();
    let mut queue = bench.start();
    bench.request(&mut queue);
    bench.set_config(0x10, u32::try_from(ELSEWHERE & 0xffff_ffff).unwrap());
    bench.function.pause();
    bench.function.reset();
    assert_eq!(bench.function.save().unwrap(), fresh);
    assert!(!bench.bus.read(home, &mut [0; 4]) && !bench.bus.read(ELSEWHERE, &mut [0; 4]));
    bench.function.resume();
    let mut queue = bench.start();
    bench.request(&mut queue);
}

#[test]
fn counts_moves_and_activations() {
    let bench = bench();
    let _queue = bench.start();
    assert_eq!((bench.metric("pci_bar_moves"), bench.metric("pci_activations")), (1, 1));
    bench.read::<4>(DEVICE);
    bench.write::<4>(DEVICE, 1);
}

#[test]
fn reports_the_metrics_that_are_declared() {
    let mut values = bench().function.metrics();
    values.retain(|(name, _)| name.starts_with("pci_"));
    assert_declared("pci", &values);
}
