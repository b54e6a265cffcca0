// SPDX-License-Identifier: Apache-2.0
//! The device between a made-up driver and a made-up back-end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::ring::Ring;
use flotilla_device_model::share::{ShareAlarm, ShareBackend};
use flotilla_device_model::state::StateError;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::driver::{FakeQueue, wait_until};
use flotilla_testing::interrupts::FakeVirtioInterrupt;
use flotilla_testing::memory::guest_memory;
use vm_memory::bitmap::Bitmap;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, MmapRegion};
use vmm_sys_util::eventfd::EventFd;

use super::device::Share;

const FEATURES: u64 = 1 << 29;

/// A ring that is served: where it stood, and its call and error.
type Served = (u16, u16, EventFd, EventFd);

struct FakeShare {
    event: UnixStream,
    peer: Mutex<Option<UnixStream>>,
    served: Mutex<Vec<Served>>,
    fails: AtomicBool,
    gone: AtomicBool,
    starts: AtomicU64,
}

impl FakeShare {
    fn new() -> Arc<Self> {
        let (event, peer) = UnixStream::pair().unwrap();
        Arc::new(Self {
            event,
            peer: Mutex::new(Some(peer)),
            served: Mutex::default(),
            fails: AtomicBool::default(),
            gone: AtomicBool::default(),
            starts: AtomicU64::default(),
        })
    }

    fn leave(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.peer.lock().unwrap().take();
    }

    fn fail_if_told(&self) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            self.gone.store(true, Ordering::SeqCst);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl ShareBackend for FakeShare {
    fn features(&self) -> u64 {
        FEATURES
    }

    fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    fn start(&self, features: u64, _memory: &GuestMemory, rings: &[(u16, Ring<'_>)]) -> io::Result<()> {
        self.fail_if_told()?;
        assert_eq!(features, FEATURES);
        let mut served = self.served.lock().unwrap();
        assert!(served.is_empty(), "it is served already");
        served.extend(rings.iter().map(|(index, ring)| {
            let [call, error] = [ring.call, ring.error].map(|event| event.try_clone().unwrap());
            (*index, ring.state.next_avail, call, error)
        }));
        self.starts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn stop(&self, rings: &[u16]) -> io::Result<Vec<u16>> {
        self.fail_if_told()?;
        let served = std::mem::take(&mut *self.served.lock().unwrap());
        assert_eq!(served.iter().map(|ring| ring.0).collect::<Vec<_>>(), rings);
        Ok(served.iter().map(|ring| ring.1 + 3 + ring.0).collect())
    }
}

#[derive(Default)]
struct Hearer(Mutex<Vec<String>>);

impl ShareAlarm for Hearer {
    fn share_lost(&self, device: &str) {
        self.0.lock().unwrap().push(device.to_owned());
    }
}

struct Bench {
    memory: Arc<GuestMemory>,
    queues: Vec<FakeQueue>,
    interrupt: Arc<FakeVirtioInterrupt>,
    backend: Arc<FakeShare>,
    hearer: Arc<Hearer>,
    device: Share,
}

impl Bench {
    fn idle() -> Self {
        let memory = guest_memory(0x10_0000);
        let queues = [0x1000, 0x4000].map(|at| FakeQueue::new(&memory, at, 64)).into();
        let (backend, hearer) = (FakeShare::new(), Arc::<Hearer>::default());
        let device = Share::new("share:data", "data", backend.clone()).alarming(hearer.clone());
        Self { memory, queues, interrupt: Arc::default(), backend, hearer, device }
    }

    fn active() -> Self {
        let bench = Self::idle();
        bench.activate().unwrap();
        wait_until("it is served", || bench.backend.served.lock().unwrap().len() == 2);
        bench
    }

    fn activate(&self) -> Result<(), String> {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            features: FEATURES,
            queues: self.queues.iter().map(|queue| Some(queue.activate())).collect(),
            interrupt: self.interrupt.clone(),
        };
        self.device.activate(activation).map_err(|error| error.to_string())
    }

    fn metric(&self, name: &str) -> u64 {
        self.device.metrics().iter().find(|(found, _)| *found == name).unwrap().1
    }

    fn lost(&self) -> Vec<String> {
        self.hearer.0.lock().unwrap().clone()
    }
}

#[test]
fn a_driver_reads_the_tag_and_the_number_of_queues() {
    let bench = Bench::idle();
    let mut space = [0xff; 44];
    bench.device.read_config(0, &mut space);
    assert_eq!((&space[..5], &space[5..36]), (&b"data\0"[..], &[0; 31][..]));
    assert_eq!((&space[36..40], &space[40..]), (&1_u32.to_le_bytes()[..], &[0; 4][..]));
    assert_eq!((bench.device.device_type(), bench.device.device_features()), (26, FEATURES));
    assert_eq!(bench.device.queue_max_sizes(), [1024, 1024]);
    let long = Share::new("share:x", "x".repeat(50), FakeShare::new());
    long.read_config(0, &mut space);
    assert_eq!((&space[..36], &space[36..40]), (&[b'x'; 36][..], &1_u32.to_le_bytes()[..]));
}

#[test]
fn a_pause_takes_the_rings_back_where_they_stand_and_all_memory_counts_as_written() {
    let bench = Bench::active();
    bench.memory.write_obj(9_u16.to_le(), GuestAddress(bench.queues[1].used + 2)).unwrap();
    for region in bench.memory.iter() {
        MmapRegion::bitmap(region).reset();
    }
    bench.device.pause();
    assert!(bench.backend.served.lock().unwrap().is_empty());
    let queues: Vec<_> = bench.device.queues().into_iter().flatten().collect();
    assert_eq!(queues.iter().map(|queue| queue.next_avail).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(queues[1].next_used, 9);
    assert!(bench.memory.iter().all(|region| region.bitmap().dirty_at(0)));
    bench.device.resume();
    wait_until("it is served again", || bench.backend.starts.load(Ordering::SeqCst) == 2);
    assert_eq!(bench.backend.served.lock().unwrap()[1].1, 4);
    bench.device.deactivate();
    assert!(bench.backend.served.lock().unwrap().is_empty());
    bench.activate().unwrap();
    wait_until("a new driver is served", || bench.backend.starts.load(Ordering::SeqCst) == 3);
    assert!(!bench.interrupt.is_reset_needed() && bench.lost().is_empty());
}

#[test]
fn calls_of_the_back_end_reach_the_driver_and_a_broken_ring_needs_a_reset() {
    let bench = Bench::active();
    bench.backend.served.lock().unwrap()[1].2.write(1).unwrap();
    wait_until("the driver is called", || bench.interrupt.queue(1) == 1);
    assert_eq!((bench.interrupt.queue(0), bench.metric("interrupts")), (0, 1));
    assert!(bench.metric("notifications") > 0);
    for _ in 0..2 {
        bench.backend.served.lock().unwrap()[0].3.write(1).unwrap();
        wait_until("the driver is told", || bench.interrupt.is_reset_needed());
    }
    bench.device.pause();
    assert_eq!(bench.metric("broken_queues"), 1);
    bench.device.resume();
    assert_eq!(bench.backend.starts.load(Ordering::SeqCst), 1, "nobody serves what the driver broke");
}

#[test]
fn a_back_end_that_leaves_is_told_of_once_and_no_reset_brings_it_back() {
    let bench = Bench::active();
    bench.backend.leave();
    wait_until("it is told", || bench.lost() == ["share:data"]);
    wait_until("the driver is told", || bench.interrupt.is_reset_needed());
    bench.device.pause();
    bench.device.resume();
    bench.device.deactivate();
    assert!(bench.activate().is_err());
    assert_eq!((bench.lost().len(), bench.metric("losses")), (1, 1));
}

#[test]
fn a_back_end_that_left_before_there_was_a_driver_or_does_not_obey_is_told_of_too() {
    let bench = Bench::idle();
    bench.backend.leave();
    assert!(bench.activate().is_err());
    assert_eq!(bench.metric("losses"), 1);
    let bench = Bench::idle();
    bench.backend.fails.store(true, Ordering::SeqCst);
    bench.activate().unwrap();
    wait_until("it is told", || bench.lost().len() == 1 && bench.interrupt.is_reset_needed());
    let bench = Bench::active();
    bench.backend.fails.store(true, Ordering::SeqCst);
    bench.device.pause();
    assert_eq!((bench.lost().len(), bench.interrupt.is_reset_needed()), (1, true));
}

#[test]
fn its_state_is_elsewhere() {
    let bench = Bench::active();
    bench.device.pause();
    assert!(matches!(bench.device.save(), Err(StateError::Elsewhere { .. })));
}
