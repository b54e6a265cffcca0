// SPDX-License-Identifier: Apache-2.0
//! Taps of the real kernel, in a network namespace that ends with the test's thread.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Offloads, PacketBackend, PacketQueue, Receipt};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};

use crate::{Tap, TapError, tap};

/// An `EtherType` for experiments (IEEE Std 802), so that no other frame on the link is taken for ours.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];
/// How long a test waits for what comes at once, unless the host has much to do.
const LIMIT: Duration = Duration::from_mins(1);

/// Runs a test in a network namespace of its own, or says that it cannot.
fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: takes no memory and concerns this thread alone.
            let isolated = unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0;
            if isolated && std::path::Path::new("/dev/net/tun").exists() {
                test();
            } else {
                let required = std::env::var("REQUIRE_KVM").is_ok_and(|value| value == "1");
                assert!(!required, "REQUIRE_KVM=1: needs root and /dev/net/tun");
                let _ = writeln!(io::stderr(), "SKIPPED: needs root and /dev/net/tun");
            }
        });
        thread.join().unwrap();
    });
}

fn ram() -> Arc<GuestMemory> {
    allocate(&[(GuestAddress(0), 1 << 20)], Backing::Anonymous).unwrap()
}

fn segments(list: &[(u64, u32)]) -> Vec<Segment> {
    list.iter().map(|&(address, len)| Segment { address: GuestAddress(address), len }).collect()
}

fn index_of(name: &str) -> i32 {
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: a C string that lives through the call.
    i32::try_from(unsafe { libc::if_nametoindex(name.as_ptr()) }).unwrap()
}

/// The host's end of the cable: a packet socket on the interface, which is switched on.
struct Host(OwnedFd);

impl Host {
    fn on(name: &str) -> Self {
        let protocol = 0x0003_u16.to_be();
        // SAFETY: takes no memory.
        let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(protocol)) };
        assert!(socket >= 0);
        // SAFETY: new, valid and owned by nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: all zeroes is a valid value of both structures.
        let (mut address, mut request): (libc::sockaddr_ll, libc::ifreq) = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_protocol = protocol;
        address.sll_ifindex = index_of(name);
        let len = u32::try_from(size_of::<libc::sockaddr_ll>()).unwrap();
        // SAFETY: the address and its length belong together.
        assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }, 0);
        for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *place = i8::try_from(byte).unwrap();
        }
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).unwrap();
        // SAFETY: the request reads one ifreq.
        assert_eq!(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) }, 0);
        Self(socket)
    }

    /// Sends a frame; tried again until the kernel has noticed that the link is up.
    fn send(&self, frame: &[u8]) {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            // SAFETY: reads `frame.len()` bytes of the frame.
            let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
            if usize::try_from(sent).is_ok_and(|sent| sent == frame.len()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("cannot send within {LIMIT:?}");
    }

    /// The next frame of our type.
    fn receive(&self) -> Vec<u8> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let mut frame = vec![0; 2048];
            // SAFETY: writes at most `frame.len()` bytes to the frame.
            let len = unsafe {
                libc::recv(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), libc::MSG_DONTWAIT)
            };
            frame.truncate(usize::try_from(len).unwrap_or(0));
            if frame.get(12..14) == Some(&EXPERIMENT) {
                return frame;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no frame within {LIMIT:?}");
    }
}

fn frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2];
    frame.extend(EXPERIMENT);
    frame.extend((frame.len()..len).map(|i| u8::try_from(i % 251).unwrap()));
    frame
}

/// Sends a frame by the first queue.
fn send(tap: &Tap, memory: &GuestMemory, segments: &[Segment]) -> io::Result<usize> {
    tap.open(0).unwrap().send(memory, &[], segments)
}

/// Receives the next frame of our type into `segments`; more than they have if it was cut.
fn receive(tap: &Tap, memory: &Arc<GuestMemory>, segments: &[Segment]) -> usize {
    receive_by(&mut *tap.open(0).unwrap(), memory, segments)
}

fn receive_by(queue: &mut dyn PacketQueue, memory: &Arc<GuestMemory>, segments: &[Segment]) -> usize {
    let deadline = Instant::now() + LIMIT;
    let buffers = queue.offer(memory, segments).unwrap();
    while Instant::now() < deadline {
        let len = match queue.receive().unwrap() {
            Receipt::Nothing => None,
            Receipt::Frame(len) => Some(len),
            Receipt::Cut => Some(usize::MAX),
        };
        if let Some(len) = len {
            let mut kind = [0; 2];
            memory.read_slice(&mut kind, GuestAddress(segments[0].address.0 + 24)).unwrap();
            if kind == EXPERIMENT {
                queue.retire(buffers);
                return len;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no frame within five seconds");
}

#[test]
fn moves_frames_between_scattered_guest_memory_and_the_host() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let (tap, memory) = (Tap::open("tap0", 1).unwrap(), ram());
        let host = Host::on("tap0");
        let sent = frame(900);
        memory.write_slice(&[0; 12], GuestAddress(100)).unwrap();
        memory.write_slice(&sent[..7], GuestAddress(5000)).unwrap();
        memory.write_slice(&sent[7..], GuestAddress(9001)).unwrap();
        let pieces = segments(&[(100, 12), (5000, 7), (9001, 893)]);
        assert_eq!(send(&tap, &memory, &pieces).unwrap(), 912);
        assert!(host.receive() == sent);

        host.send(&sent);
        let pieces = segments(&[(20_000, 40), (30_001, 2000)]);
        assert_eq!(receive(&tap, &memory, &pieces), 912);
        let mut back = vec![0; 912];
        memory.read_slice(&mut back[..40], GuestAddress(20_000)).unwrap();
        memory.read_slice(&mut back[40..], GuestAddress(30_001)).unwrap();
        assert!(back[12..] == sent);
    });
}

#[test]
fn says_that_no_frame_waits_and_cuts_one_that_does_not_fit() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let (tap, memory) = (Tap::open("tap0", 1).unwrap(), ram());
        let mut queue = tap.open(0).unwrap();
        queue.offer(&memory, &segments(&[(0, 2048)])).unwrap();
        assert_eq!(queue.receive().unwrap(), Receipt::Nothing);
        let host = Host::on("tap0");
        host.send(&frame(900));
        let len = receive(&tap, &memory, &segments(&[(4096, 100)]));
        assert!(len > 100, "a frame that was cut passes for a whole one of {len}");
        assert_eq!(memory.read_obj::<u64>(GuestAddress(4196)).unwrap(), 0, "wrote past the buffer");
        host.send(&frame(900));
        assert_eq!(receive(&tap, &memory, &segments(&[(8192, 912)])), 912, "fits exactly");
    });
}

#[test]
fn throws_away_what_waits_and_nothing_that_comes_later() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let (tap, memory) = (Tap::open("tap0", 1).unwrap(), ram());
        tap.discard().unwrap();
        let host = Host::on("tap0");
        for len in [100, 200, 300] {
            host.send(&frame(len));
        }
        tap.discard().unwrap();
        host.send(&frame(400));
        assert_eq!(receive(&tap, &memory, &segments(&[(4096, 2048)])), 412);
    });
}

#[test]
fn the_kernel_refuses_hostile_headers() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let (tap, memory) = (Tap::open("tap0", 1).unwrap(), ram());
        let _host = Host::on("tap0");
        memory.write_slice(&frame(100), GuestAddress(12)).unwrap();
        // NEEDS_CSUM far past the frame; an unknown gso_type; TCPv4 with a gso_size of 0.
        for header in [
            [1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            [0, 0x7f, 0, 0, 1, 0, 0, 0, 0, 0],
            [0, 1, 54, 0, 0, 0, 0, 0, 0, 0],
        ] {
            memory.write_slice(&header, GuestAddress(0)).unwrap();
            let error = send(&tap, &memory, &segments(&[(0, 112)])).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{header:?}");
        }
        // Shorter than the header itself.
        assert!(send(&tap, &memory, &segments(&[(0, 5)])).is_err());
    });
}

#[test]
fn takes_every_combination_of_offloads() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let tap = Tap::open("tap0", 1).unwrap();
        assert!(tap.offloads().checksum && tap.offloads().tso4);
        for bits in 0..64_u8 {
            let on = |bit: u8| bits & bit != 0;
            let [checksum, tso4, tso6, ecn, ufo, uso] = [1, 2, 4, 8, 16, 32].map(on);
            let offloads = Offloads { checksum, tso4, tso6, ecn, ufo, uso };
            tap.set_guest_offloads(offloads).unwrap();
        }
    });
}

#[test]
fn explains_why_a_tap_cannot_be_opened() {
    in_namespace(|| {
        let missing = Tap::open("tap7", 1).unwrap_err();
        assert_eq!(missing.code(), "tap.missing");
        assert!(missing.to_string().contains("ip tuntap add dev tap7"), "{missing}");
        assert_eq!(index_of("tap7"), 0, "a failed open must create nothing");

        tap::create_persistent("tap0", None, false).unwrap();
        let _used = Tap::open("tap0", 1).unwrap();
        assert_eq!(Tap::open("tap0", 1).unwrap_err().code(), "tap.busy");
        assert_eq!(tap::delete("tap0").unwrap_err().code(), "tap.busy");
        assert_eq!(tap::create_persistent("tap0", None, false).unwrap_err().code(), "tap.exists");
        assert_eq!(Tap::open("lo", 1).unwrap_err().code(), "tap.unsuitable");
    });
}

#[test]
fn keeps_other_users_out() {
    in_namespace(|| {
        tap::create_persistent("tap0", Some(1234), false).unwrap();
        // Becomes another user in this thread alone: the raw system call, not the wrapper of libc.
        let become_user = |user: libc::c_long| {
            // SAFETY: takes no memory.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1_i64, user, -1_i64) }, 0);
        };
        // /dev/net/tun may be closed to others on this host: then it is the one that denies.
        become_user(4321);
        assert_eq!(Tap::open("tap0", 1).unwrap_err().code(), "tap.denied");
    });
}

#[test]
fn persistent_taps_outlive_their_users_until_deleted() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        drop(Tap::open("tap0", 1).unwrap());
        drop(Tap::open("tap0", 1).unwrap());
        tap::delete("tap0").unwrap();
        assert_eq!(tap::delete("tap0").unwrap_err().code(), "tap.missing");
    });
}

#[test]
fn takes_a_descriptor_and_refuses_what_is_no_tap() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let tap = Tap::from_descriptors(tap::open_descriptors("tap0", 1).unwrap()).unwrap();
        assert!(tap.open(0).unwrap().event().as_raw_fd() >= 0);
        let other: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        assert!(matches!(Tap::from_descriptors(vec![other]), Err(TapError::NotTap { .. })));
        let detached: OwnedFd =
            std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap().into();
        assert!(matches!(Tap::from_descriptors(vec![detached]), Err(TapError::NotTap { .. })));
    });
}

#[test]
fn refuses_names_that_the_kernel_would_change_or_misread() {
    for name in ["", ".", "..", "tap%d", "a/b", "a:1", "tap 0", "sixteen-letters!", "täp"] {
        assert_eq!(Tap::open(name, 1).unwrap_err().code(), "spec.tap_invalid", "{name}");
    }
}

#[test]
fn several_queues_carry_frames_once_they_are_in_use() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, true).unwrap();
        let (tap, memory) = (Tap::open("tap0", 3).unwrap(), ram());
        assert_eq!(tap.pairs(), 3);
        let host = Host::on("tap0");
        let sent = frame(200);
        memory.write_slice(&[0; 12], GuestAddress(0)).unwrap();
        memory.write_slice(&sent, GuestAddress(12)).unwrap();
        let mut last = tap.open(2).unwrap();
        for _ in 0..3 {
            tap.use_pairs(3).unwrap();
            last.send(&memory, &[], &segments(&[(0, 212)])).unwrap();
            assert!(host.receive() == sent);
            tap.use_pairs(1).unwrap();
        }
        // With one queue in use every frame comes by it, and offloads can be set all the while.
        tap.set_guest_offloads(Offloads { checksum: true, ..Offloads::default() }).unwrap();
        let mut first = tap.open(0).unwrap();
        for _ in 0..20 {
            host.send(&sent);
            assert_eq!(receive_by(&mut *first, &memory, &segments(&[(4096, 2048)])), 212);
        }
        for bad in [0, 4] {
            assert!(tap.use_pairs(bad).is_err());
        }
    });
}

#[test]
fn takes_one_queue_of_an_interface_for_several_and_not_several_of_one_for_one() {
    in_namespace(|| {
        tap::create_persistent("many", None, true).unwrap();
        tap::create_persistent("one", None, false).unwrap();
        Tap::open("many", 1).unwrap();
        let refused = Tap::open("one", 2).unwrap_err();
        assert!(matches!(refused, TapError::OneQueue { .. }) && refused.to_string().contains("multi_queue"));
        tap::delete("many").unwrap();
        tap::delete("one").unwrap();
    });
}

#[test]
fn sends_what_was_checked_in_place_of_what_stands_in_memory() {
    in_namespace(|| {
        tap::create_persistent("tap0", None, false).unwrap();
        let (tap, memory) = (Tap::open("tap0", 1).unwrap(), ram());
        let host = Host::on("tap0");
        let sent = frame(300);
        let head = [&[0; 12][..], &sent[..12]].concat();
        memory.write_slice(&[0xee; 24], GuestAddress(0)).unwrap();
        memory.write_slice(&sent[12..], GuestAddress(24)).unwrap();
        let mut queue = tap.open(0).unwrap();
        queue.send(&memory, &head, &segments(&[(0, 10), (10, 100), (110, 202)])).unwrap();
        assert!(host.receive() == sent);
    });
}

/// The links end with the namespace, and that with the thread.
fn ip(words: &str) {
    let done = std::process::Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(done.status.success(), "ip {words}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_macvtap_interface_is_a_tap_whose_cable_leads_to_a_link() {
    in_namespace(|| {
        ip("link add flt-up type veth peer name flt-far");
        // A number of its own: the devices of all namespaces lie side by side.
        let index = 1000 + std::process::id();
        ip(&format!("link add link flt-up name flt-mv index {index} type macvtap mode bridge"));
        ip("link set flt-mv address 52:54:00:00:00:01");
        for name in ["flt-up", "flt-mv"] {
            ip(&format!("link set {name} up"));
        }
        let far = Host::on("flt-far");
        let tap = Tap::open("flt-mv", 2).unwrap();
        assert!(tap.offloads().checksum && tap.offloads().tso4);
        tap.use_pairs(2).unwrap();
        tap.use_pairs(1).unwrap();
        let memory = ram();
        // What comes tells that the link has noticed its carrier.
        far.send(&frame(200));
        assert_eq!(receive(&tap, &memory, &segments(&[(0x1000, 2000)])), 212);
        // Not to itself: such a frame does not get as far as the link.
        let mut sent = frame(100);
        sent[5] = 9;
        memory.write_slice(&[0; 12], GuestAddress(0)).unwrap();
        memory.write_slice(&sent, GuestAddress(12)).unwrap();
        assert_eq!(send(&tap, &memory, &segments(&[(0, 112)])).unwrap(), 112);
        assert_eq!(far.receive(), sent);
        assert!(matches!(tap::delete("flt-mv"), Err(TapError::NotTap { .. })), "it is not ours to delete");
        assert!(matches!(Tap::open("flt-far", 1), Err(TapError::NotTap { .. })));
    });
}
