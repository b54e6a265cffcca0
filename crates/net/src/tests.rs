// SPDX-License-Identifier: Apache-2.0
//! Taps of the real kernel, in a network namespace that ends with the test's thread.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Offloads, PacketBackend};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};

use crate::{Tap, TapError, tap};

/// An `EtherType` for experiments (IEEE Std 802), so that no other frame on the link is taken for ours.
const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

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
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            // SAFETY: reads `frame.len()` bytes of the frame.
            let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
            if usize::try_from(sent).is_ok_and(|sent| sent == frame.len()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("cannot send within five seconds");
    }

    /// The next frame of our type.
    fn receive(&self) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(5);
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
        panic!("no frame within five seconds");
    }
}

fn frame(len: usize) -> Vec<u8> {
    let mut frame = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2];
    frame.extend(EXPERIMENT);
    frame.extend((frame.len()..len).map(|i| u8::try_from(i % 251).unwrap()));
    frame
}

/// Receives the next frame of our type into `segments`.
fn receive(tap: &Tap, memory: &GuestMemory, segments: &[Segment]) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if let Some(len) = tap.receive(memory, segments).unwrap() {
            let mut kind = [0; 2];
            memory.read_slice(&mut kind, GuestAddress(segments[0].address.0 + 24)).unwrap();
            if kind == EXPERIMENT {
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
        tap::create_persistent("tap0", None).unwrap();
        let (tap, memory) = (Tap::open("tap0").unwrap(), ram());
        let host = Host::on("tap0");
        let sent = frame(900);
        memory.write_slice(&[0; 12], GuestAddress(100)).unwrap();
        memory.write_slice(&sent[..7], GuestAddress(5000)).unwrap();
        memory.write_slice(&sent[7..], GuestAddress(9001)).unwrap();
        let pieces = segments(&[(100, 12), (5000, 7), (9001, 893)]);
        assert_eq!(tap.send(&memory, &pieces).unwrap(), 912);
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
        tap::create_persistent("tap0", None).unwrap();
        let (tap, memory) = (Tap::open("tap0").unwrap(), ram());
        assert_eq!(tap.receive(&memory, &segments(&[(0, 2048)])).unwrap(), None);
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
        tap::create_persistent("tap0", None).unwrap();
        let (tap, memory) = (Tap::open("tap0").unwrap(), ram());
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
        tap::create_persistent("tap0", None).unwrap();
        let (tap, memory) = (Tap::open("tap0").unwrap(), ram());
        let _host = Host::on("tap0");
        memory.write_slice(&frame(100), GuestAddress(12)).unwrap();
        // NEEDS_CSUM far past the frame; an unknown gso_type; TCPv4 with a gso_size of 0.
        for header in [
            [1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            [0, 0x7f, 0, 0, 1, 0, 0, 0, 0, 0],
            [0, 1, 54, 0, 0, 0, 0, 0, 0, 0],
        ] {
            memory.write_slice(&header, GuestAddress(0)).unwrap();
            let error = tap.send(&memory, &segments(&[(0, 112)])).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{header:?}");
        }
        // Shorter than the header itself.
        assert!(tap.send(&memory, &segments(&[(0, 5)])).is_err());
    });
}

#[test]
fn takes_every_combination_of_offloads() {
    in_namespace(|| {
        tap::create_persistent("tap0", None).unwrap();
        let tap = Tap::open("tap0").unwrap();
        assert!(tap.offloads().checksum && tap.offloads().tso4);
        for bits in 0..16_u8 {
            let on = |bit: u8| bits & bit != 0;
            let offloads = Offloads { checksum: on(1), tso4: on(2), tso6: on(4), ecn: on(8) };
            tap.set_guest_offloads(offloads).unwrap();
        }
    });
}

#[test]
fn explains_why_a_tap_cannot_be_opened() {
    in_namespace(|| {
        let missing = Tap::open("tap7").unwrap_err();
        assert_eq!(missing.code(), "tap.missing");
        assert!(missing.to_string().contains("ip tuntap add dev tap7"), "{missing}");
        assert_eq!(index_of("tap7"), 0, "a failed open must create nothing");

        tap::create_persistent("tap0", None).unwrap();
        let _used = Tap::open("tap0").unwrap();
        assert_eq!(Tap::open("tap0").unwrap_err().code(), "tap.busy");
        assert_eq!(tap::delete("tap0").unwrap_err().code(), "tap.busy");
        assert_eq!(tap::create_persistent("tap0", None).unwrap_err().code(), "tap.exists");
        assert_eq!(Tap::open("lo").unwrap_err().code(), "tap.unsuitable");
    });
}

#[test]
fn keeps_other_users_out() {
    in_namespace(|| {
        tap::create_persistent("tap0", Some(1234)).unwrap();
        // Becomes another user in this thread alone: the raw system call, not the wrapper of libc.
        let become_user = |user: libc::c_long| {
            // SAFETY: takes no memory.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1_i64, user, -1_i64) }, 0);
        };
        // /dev/net/tun may be closed to others on this host: then it is the one that denies.
        become_user(4321);
        assert_eq!(Tap::open("tap0").unwrap_err().code(), "tap.denied");
    });
}

#[test]
fn persistent_taps_outlive_their_users_until_deleted() {
    in_namespace(|| {
        tap::create_persistent("tap0", None).unwrap();
        drop(Tap::open("tap0").unwrap());
        drop(Tap::open("tap0").unwrap());
        tap::delete("tap0").unwrap();
        assert_eq!(tap::delete("tap0").unwrap_err().code(), "tap.missing");
    });
}

#[test]
fn takes_a_descriptor_and_refuses_what_is_no_tap() {
    in_namespace(|| {
        tap::create_persistent("tap0", None).unwrap();
        let tap = Tap::from_descriptor(tap::open_descriptor("tap0").unwrap()).unwrap();
        assert!(tap.receive_event().as_fd().as_raw_fd() >= 0);
        let other: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        assert!(matches!(Tap::from_descriptor(other), Err(TapError::NotTap { .. })));
        let detached: OwnedFd =
            std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap().into();
        assert!(matches!(Tap::from_descriptor(detached), Err(TapError::NotTap { .. })));
    });
}

#[test]
fn refuses_names_that_the_kernel_would_change_or_misread() {
    for name in ["", ".", "..", "tap%d", "a/b", "a:1", "tap 0", "sixteen-letters!", "täp"] {
        assert_eq!(Tap::open(name).unwrap_err().code(), "spec.tap_invalid", "{name}");
    }
}
