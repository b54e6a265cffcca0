// SPDX-License-Identifier: Apache-2.0
//! Back-ends in trouble.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_device_model::block::Segment;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::net::{Condition, Offloads, PacketBackend, PacketQueue, Receipt};
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_memory::GuestMemory;
use flotilla_testing::driver::Buffer::Readable;
use flotilla_testing::driver::wait_until;

use super::receive::MAX_FAILURES;
use super::tests::{TX, bench_on};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Ready for ever, and fails: a tap whose interface was deleted.
    Gone,
    /// Has sent only a part of a frame, until it is flushed.
    HalfSent,
}

struct Troubled {
    trouble: Trouble,
    event: OwnedFd,
    /// Looks for a frame at one that is gone, flushes of one that has half sent.
    calls: Arc<AtomicU64>,
}

fn troubled(trouble: Trouble, event: OwnedFd) -> Troubled {
    Troubled { trouble, event, calls: Arc::default() }
}

impl Troubled {
    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn fails(&self) -> io::Result<()> {
        if self.trouble == Trouble::Gone { Err(io::Error::other("gone")) } else { Ok(()) }
    }
}

impl PacketBackend for Troubled {
    fn offloads(&self) -> Offloads {
        Offloads::default()
    }

    fn set_guest_offloads(&self, _offloads: Offloads) -> io::Result<()> {
        Ok(())
    }

    fn pairs(&self) -> u16 {
        1
    }

    fn use_pairs(&self, _pairs: u16) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, _pair: u16) -> io::Result<Box<dyn PacketQueue>> {
        let (event, calls) = (self.event.try_clone()?, Arc::clone(&self.calls));
        Ok(Box::new(Self { trouble: self.trouble, event, calls }))
    }

    fn discard(&self) -> io::Result<()> {
        self.fails()
    }
}

impl PacketQueue for Troubled {
    fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn offer(&mut self, _memory: &Arc<GuestMemory>, segments: &[Segment]) -> io::Result<usize> {
        Ok(segments.len())
    }

    fn retire(&mut self, _buffers: usize) {}

    fn receive(&mut self) -> io::Result<Receipt> {
        if self.trouble == Trouble::Gone {
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
        self.fails().map(|()| Receipt::Nothing)
    }

    fn discard(&mut self) -> io::Result<()> {
        self.fails()
    }

    fn send(&mut self, _memory: &GuestMemory, head: &[u8], _segments: &[Segment]) -> io::Result<usize> {
        self.fails().map(|()| head.len())
    }

    fn condition(&self) -> Condition {
        if self.trouble == Trouble::HalfSent && self.calls() == 0 {
            Condition::Sending
        } else {
            Condition::Ready
        }
    }

    fn flush(&mut self) {
        if self.trouble == Trouble::HalfSent {
            self.calls.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn gives_a_back_end_up_that_is_gone() {
    // A pipe without a writer reports an error that no epoll interest can silence.
    let (reader, writer) = io::pipe().unwrap();
    drop(writer);
    let mut bench = bench_on(troubled(Trouble::Gone, reader.into()), 0);
    bench.offer(4, 2048);
    let most = u64::from(MAX_FAILURES);
    wait_until("it has failed often enough", || bench.metric("rx_errors") == most);
    bench.offer(1, 2048);
    bench.tx.add(&[Readable(TX, 100)]);
    bench.tx.ring();
    bench.tx.wait_used();
    assert_eq!(bench.metric("tx_errors"), 1);
    bench.device.pause();
    bench.device.resume();
    bench.device.deactivate();
    assert_eq!(bench.backend.calls(), most, "it is left alone");
}

#[test]
fn the_rest_of_a_frame_is_sent_after_a_pause_too() {
    let (mut ours, mut peer) = UnixStream::pair().unwrap();
    for end in [&ours, &peer] {
        end.set_nonblocking(true).unwrap();
    }
    while ours.write(&[0; 4096]).is_ok() {}
    let mut bench = bench_on(troubled(Trouble::HalfSent, ours.into()), 0);
    bench.tx.add(&[Readable(TX, 100)]);
    bench.tx.ring();
    bench.tx.wait_used();
    bench.device.pause();
    let before = bench.backend.calls();
    bench.device.resume();
    assert_eq!((before, bench.backend.calls()), (0, 0), "there is no room yet");
    while peer.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {}
    wait_until("it goes on", || bench.backend.calls() > 0);
    bench.device.deactivate();
}
