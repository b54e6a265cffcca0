// SPDX-License-Identifier: Apache-2.0
//! The front end against a back end of the test's own, and virtiofsd where it is.

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_device_model::ring::Ring;
use flotilla_device_model::share::ShareBackend;
use flotilla_memory::{Backing, GuestAddress, GuestMemory, allocate};
use flotilla_testing::vhost_user::{FakeBackEnd, Told, answer, good_answer};
use proptest::prelude::*;
use virtio_queue::QueueState;
use vmm_sys_util::eventfd::EventFd;

use crate::VhostUser;
use crate::folder::{self, Folders};
use crate::wire::{self, Request};

const INDIRECT: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const MIB: u64 = 1 << 20;

fn memory(backing: Backing) -> Arc<GuestMemory> {
    allocate(&[(GuestAddress(0), 2 * MIB), (GuestAddress(1 << 32), 2 * MIB)], backing).unwrap()
}

struct Events([EventFd; 3]);

impl Events {
    fn new() -> Self {
        Self([(); 3].map(|()| EventFd::new(0).unwrap()))
    }

    fn ring(&self, at: u64) -> Ring<'_> {
        let state = QueueState {
            max_size: 256,
            next_avail: 7,
            next_used: 7,
            event_idx_enabled: true,
            size: 128,
            ready: true,
            desc_table: at,
            avail_ring: at + 0x1000,
            used_ring: at + 0x2000,
        };
        let [kick, call, error] = &self.0;
        Ring { state, kick, call, error }
    }
}

fn words(told: &Told) -> Vec<u64> {
    told.payload.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
}

/// Whether two descriptors are of one open file: what one is written, the other counts.
fn same_event(passed: &OwnedFd, event: &EventFd) -> bool {
    event.write(1).unwrap();
    let copy = fs::File::from(passed.try_clone().unwrap());
    let mut count = [0; 8];
    std::io::Read::read(&mut &copy, &mut count).is_ok_and(|len| len == 8) && u64::from_ne_bytes(count) == 1
}

#[test]
fn a_back_end_is_told_of_memory_and_rings_by_the_addresses_of_the_guest() {
    let (back, socket) = FakeBackEnd::good();
    let front = VhostUser::new(socket).unwrap();
    assert_eq!(front.features(), INDIRECT | EVENT_IDX, "and nothing else that it offers");
    let requests = |told: &[Told]| told.iter().map(|one| one.request).collect::<Vec<_>>();
    // The last one is not answered, so that it may still be under way.
    while back.take_told().last().is_none_or(|told| told.request != 3) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let memory = memory(Backing::Memfd);
    let (first, second) = (Events::new(), Events::new());
    let rings = [(0, first.ring(0x1_0000)), (1, second.ring((1 << 32) + 0x1_0000))];
    front.start(EVENT_IDX | 1 << 3, &memory, &rings).unwrap();
    let told = back.take_told();
    let of_ring = [8, 10, 9, 13, 14, 12, 18];
    let order: Vec<u32> = [2, 5].into_iter().chain(of_ring).chain(of_ring).chain([1]).collect();
    assert_eq!(requests(&told), order);
    assert_eq!(
        words(&told[0]),
        [EVENT_IDX | 1 << 32 | 1 << 30],
        "only what it offers, and what virtio 1.0 demands"
    );
    assert_eq!(words(&told[1]), [2, 0, 2 * MIB, 0, 0, 1 << 32, 2 * MIB, 1 << 32, 2 * MIB]);
    assert_eq!(told[1].descriptors.len(), 2);
    assert!(
        told[1].descriptors.iter().all(|file| fs::File::from(file.try_clone().unwrap()).metadata().is_ok())
    );
    let at = (1 << 32) + 0x1_0000;
    assert_eq!(words(&told[9]), [1 | 128 << 32]);
    assert_eq!(words(&told[10]), [1 | 7 << 32]);
    assert_eq!(words(&told[11]), [1, at, at + 0x2000, at + 0x1000, 0]);
    let [kick, call, error] = &second.0;
    for (told, event) in told[12..15].iter().zip([call, error, kick]) {
        assert_eq!((words(told), told.descriptors.len()), (vec![1], 1));
        assert!(same_event(&told.descriptors[0], event));
    }
    assert_eq!(front.stop(&[0, 1]).unwrap(), [1, 17]);
    assert!(!front.is_gone());
    front.start(0, &memory, &rings[..1]).unwrap();
}

#[test]
fn private_memory_and_rings_that_no_region_holds_are_refused() {
    let events = Events::new();
    for (backing, at) in
        [(Backing::Anonymous, 0), (Backing::Memfd, 2 * MIB - 0x1800), (Backing::Memfd, 8 * MIB)]
    {
        let (_back, socket) = FakeBackEnd::good();
        let front = VhostUser::new(socket).unwrap();
        assert!(front.start(0, &memory(backing), &[(0, events.ring(at))]).is_err(), "{at:#x}");
        assert!(front.is_gone(), "who knows what it has understood");
        assert!(front.stop(&[0]).is_err());
    }
}

#[test]
fn a_back_end_that_leaves_or_says_what_nobody_asked_for_is_gone() {
    for act in [FakeBackEnd::hang_up, FakeBackEnd::blurt] {
        let (back, socket) = FakeBackEnd::good();
        let front = VhostUser::new(socket).unwrap();
        assert!(!front.is_gone());
        act(&back);
        let deadline = Instant::now() + Duration::from_mins(1);
        while !front.is_gone() {
            assert!(Instant::now() < deadline);
        }
        assert!(front.start(0, &memory(Backing::Memfd), &[]).is_err());
    }
}

#[test]
fn what_is_no_back_end_is_refused() {
    let code = |socket: OwnedFd| VhostUser::new(socket).unwrap_err().code();
    assert_eq!(code(tempfile::tempfile().unwrap().into()), "spec.descriptor_invalid");
    let (datagrams, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
    assert_eq!(code(datagrams.into()), "spec.descriptor_invalid");
    let (left, _) = UnixStream::pair().unwrap();
    assert_eq!(code(left.into()), "io");
    let old = |request, payload: &[u8]| match request {
        1 => Some(answer(1, &(1_u64 << 28).to_ne_bytes())),
        _ => good_answer(request, payload),
    };
    let (_back, socket) = FakeBackEnd::with(Box::new(old));
    assert_eq!(code(socket), "io");
    let another_ring = |request, payload: &[u8]| match request {
        11 => Some(answer(11, &[1; 8])),
        _ => good_answer(request, payload),
    };
    let (_back, socket) = FakeBackEnd::with(Box::new(another_ring));
    let front = VhostUser::new(socket).unwrap();
    assert!(front.stop(&[0]).is_err() && front.is_gone());
}

/// By the clock, but not against it: however slow the host is, the answer takes longer than its limit.
#[test]
fn an_answer_that_comes_byte_by_byte_has_one_limit_of_time() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let trickle = std::thread::spawn(move || {
        for byte in answer(1, &[0; 8]) {
            std::thread::sleep(Duration::from_millis(40));
            if (&theirs).write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    assert!(wire::answer::<8>(&ours, Request::GetFeatures).is_err());
    drop(ours);
    trickle.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes back, nobody panics or waits, and an answer that is none ends the connection.
    #[test]
    fn no_answer_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64), flags in 0_u32..16, len in 0_u32..32) {
        let forged = [[1, flags, len].into_iter().flat_map(u32::to_ne_bytes).collect(), bytes.clone()].concat();
        for said in [bytes, forged] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            theirs.write_all(&said).unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            let good = VhostUser::new(ours.into()).is_ok();
            prop_assert!(!good, "what follows the features is never there");
        }
    }
}

/// The ids of the processes of virtiofsd: their arguments name a descriptor, no folder.
fn processes() -> Vec<u32> {
    let ids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| line.windows(9).any(|part| part == b"virtiofsd"))
    })
    .collect()
}

#[test]
fn virtiofsd_is_locked_into_its_folder_and_ends_with_the_socket() {
    let root = rustix::process::geteuid().is_root();
    if crate::virtiofsd::program().is_none() || !root {
        let _ = writeln!(std::io::stderr(), "SKIPPED: shared folders need virtiofsd and root");
        return;
    }
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("marker"), "").unwrap();
    let folder = folder::open(top.path(), &Folders::Anything).unwrap();
    let socket = crate::virtiofsd::start(&folder, true).unwrap();
    let own_root = |id: &u32| {
        fs::read_dir(format!("/proc/{id}/root"))
            .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| file.file_name() == "marker")))
    };
    let inner = processes().into_iter().find(own_root).expect("its root is the folder");
    let mounts = fs::read_to_string(format!("/proc/{inner}/mountinfo")).unwrap();
    let options = |line: &str| line.split_whitespace().nth(5).unwrap_or_default().to_owned();
    let root = mounts
        .lines()
        .filter(|line| line.split_whitespace().nth(4) == Some("/"))
        .map(options)
        .next_back()
        .unwrap();
    assert!(
        ["ro", "nosuid", "nodev"].iter().all(|wanted| root.split(',').any(|found| found == *wanted)),
        "{root}"
    );
    assert!(!VhostUser::new(socket.try_clone().unwrap()).unwrap().is_gone());
    drop(socket);
    let deadline = Instant::now() + Duration::from_mins(1);
    while processes().contains(&inner) {
        assert!(Instant::now() < deadline, "virtiofsd stays");
        std::thread::sleep(Duration::from_millis(5));
    }
}
