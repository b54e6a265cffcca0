// SPDX-License-Identifier: Apache-2.0
//! The stream back-end against the other end of a socket pair.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{Condition, Offloads, PacketBackend, PacketQueue, Receipt};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};

use crate::{StreamError, StreamNet};

/// The other end, the back-end and its queue, and the memory of a guest.
struct Cable {
    peer: UnixStream,
    net: StreamNet,
    queue: Box<dyn PacketQueue>,
    memory: Arc<GuestMemory>,
}

impl Cable {
    fn new() -> Self {
        let (ours, peer) = UnixStream::pair().unwrap();
        peer.set_read_timeout(Some(std::time::Duration::from_mins(1))).unwrap();
        let net = StreamNet::from_descriptor(ours.into()).unwrap();
        let queue = net.open(0).unwrap();
        let memory = allocate(&[(GuestAddress(0), 1 << 20)], Backing::Anonymous).unwrap();
        Self { peer, net, queue, memory }
    }

    /// Puts a header and a frame at `address` and sends them in pieces of these lengths.
    fn send(&mut self, address: u64, frame: &[u8], lens: &[usize], head: &[u8]) -> io::Result<usize> {
        self.memory.write_slice(frame, GuestAddress(address + 12)).unwrap();
        let (mut segments, mut at) = (Vec::new(), address);
        let end = address + 12 + u64::try_from(frame.len()).unwrap();
        for len in lens.iter().copied().chain([usize::MAX]) {
            let len = u32::try_from(len.min(usize::try_from(end - at).unwrap())).unwrap();
            segments.push(Segment { address: GuestAddress(at), len });
            at += u64::from(len);
        }
        self.queue.send(&self.memory, head, &segments)
    }

    fn read(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.peer.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.peer.read_exact(&mut frame).unwrap();
        frame
    }

    fn offer(&mut self, segments: &[(u64, u32)]) {
        let segments: Vec<_> =
            segments.iter().map(|&(address, len)| Segment { address: GuestAddress(address), len }).collect();
        self.queue.offer(&self.memory, &segments).unwrap();
    }

    fn bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }
}

fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
}

#[test]
fn offers_no_offloads_and_one_pair() {
    let net = Cable::new().net;
    assert_eq!((net.offloads(), net.pairs()), (Offloads::default(), 1));
    assert!(net.use_pairs(1).is_ok() && net.use_pairs(2).is_err() && net.open(1).is_err());
}

#[test]
fn takes_nothing_but_a_stream_socket() {
    let file = tempfile::tempfile().unwrap();
    assert!(matches!(StreamNet::from_descriptor(file.into()), Err(StreamError::NotStream)));
    let (datagrams, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
    assert!(matches!(StreamNet::from_descriptor(datagrams.into()), Err(StreamError::NotStream)));
    let internet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(matches!(StreamNet::from_descriptor(internet.into()), Err(StreamError::NotStream)));
}

#[test]
fn a_frame_is_sent_without_its_header_behind_its_length() {
    let mut cable = Cable::new();
    let sent = frame(1514);
    for lens in [&[][..], &[12], &[5, 9, 3], &[12, 1, 700]] {
        assert_eq!(cable.send(0x1000, &sent, lens, &[]).unwrap(), 12 + 1514);
        assert_eq!(cable.read(), sent);
    }
    // What was checked goes out, not what stands in memory now.
    let head: Vec<u8> = vec![0xee; 24];
    cable.send(0x1000, &sent, &[7, 20], &head).unwrap();
    assert_eq!(cable.read(), [&head[12..], &sent[12..]].concat());
    assert_eq!(cable.queue.condition(), Condition::Ready);
}

#[test]
fn what_is_no_frame_and_what_is_for_the_loopback_of_the_host_does_not_leave() {
    let mut cable = Cable::new();
    for len in [0, 13, 65_536, 100_000] {
        assert_eq!(
            cable.send(0x1000, &frame(len), &[], &[]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
    let mut to_loopback = frame(60);
    to_loopback[12..14].copy_from_slice(&[8, 0]);
    to_loopback[30..34].copy_from_slice(&[127, 0, 0, 1]);
    // The address may come in pieces.
    let refused = cable.send(0x1000, &to_loopback, &[44, 1], &[]);
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    to_loopback[30] = 10;
    cable.send(0x1000, &to_loopback, &[44, 1], &[]).unwrap();
    assert_eq!(cable.read(), to_loopback);
    assert_eq!(cable.queue.condition(), Condition::Ready);
}

#[test]
fn a_full_peer_gets_each_frame_whole_or_not_at_all() {
    let mut cable = Cable::new();
    let sent = frame(60_000);
    let mut taken = 0;
    let full = loop {
        match cable.send(0x1000, &sent, &[], &[]) {
            Ok(_) if cable.queue.condition() == Condition::Sending => break taken + 1,
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break taken;
            }
        }
        assert!(taken < 1000);
    };
    assert!(full > 0);
    assert_eq!(cable.send(0x1000, &sent, &[], &[]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    for at in 0..full {
        if at + 1 == full {
            cable.queue.flush();
            assert_eq!(cable.queue.condition(), Condition::Ready);
        }
        assert_eq!(cable.read(), sent);
    }
    cable.send(0x1000, &frame(60), &[], &[]).unwrap();
    assert_eq!(cable.read(), frame(60));
}

#[test]
fn a_frame_comes_behind_an_empty_header_in_as_many_buffers_as_it_needs() {
    let mut cable = Cable::new();
    cable.memory.write_slice(&[0xff; 64], GuestAddress(0)).unwrap();
    let came = frame(1000);
    let stream = framed(&came);
    let (first, rest) = stream.split_at(3);
    cable.offer(&[(0, 5), (0x100, 0), (0x200, 20), (0x1000, 2000), (0x2000, 100)]);
    cable.peer.write_all(first).unwrap();
    assert_eq!(cable.queue.receive().unwrap(), Receipt::Nothing);
    cable.peer.write_all(rest).unwrap();
    assert_eq!(cable.queue.receive().unwrap(), Receipt::Frame(1012));
    assert_eq!(cable.bytes(0, 6), [0, 0, 0, 0, 0, 0xff]);
    assert_eq!(cable.bytes(0x200, 20), [&[0; 7][..], &came[..13]].concat());
    assert_eq!(cable.bytes(0x1000, 987), came[13..]);
    cable.queue.retire(4);
    cable.peer.write_all(&[framed(&frame(89)), framed(&frame(20))].concat()).unwrap();
    assert_eq!(cable.queue.receive().unwrap(), Receipt::Cut);
    assert_eq!(cable.queue.receive().unwrap(), Receipt::Frame(32));
    assert_eq!(cable.queue.receive().unwrap(), Receipt::Nothing);
}

#[test]
fn what_is_thrown_away_ends_between_two_frames() {
    let mut cable = Cable::new();
    cable.offer(&[(0, 4096)]);
    let stream = [framed(&frame(100)), framed(&frame(200)), framed(&frame(300))].concat();
    cable.peer.write_all(&stream[..400]).unwrap();
    cable.net.discard().unwrap();
    // The next driver has a queue of its own, and the stream goes on.
    cable.queue = cable.net.open(0).unwrap();
    cable.offer(&[(0, 4096)]);
    cable.peer.write_all(&stream[400..]).unwrap();
    assert_eq!(cable.queue.receive().unwrap(), Receipt::Frame(312));
}

#[test]
fn a_peer_that_goes_away_or_lies_is_gone_for_good() {
    for end in 0..3 {
        let mut cable = Cable::new();
        cable.offer(&[(0, 4096)]);
        cable.peer.write_all(&framed(&frame(60))).unwrap();
        match end {
            0 => cable.peer.write_all(&[0; 4]).unwrap(),
            1 => cable.peer.write_all(&[0xff; 4000]).unwrap(),
            _ => cable.peer.shutdown(std::net::Shutdown::Both).unwrap(),
        }
        assert_eq!(cable.queue.receive().unwrap(), Receipt::Frame(72));
        for _ in 0..2 {
            assert_eq!(cable.queue.receive().unwrap(), Receipt::Nothing);
            assert_eq!(cable.queue.condition(), Condition::Gone);
        }
        assert_eq!(cable.send(0x1000, &frame(60), &[], &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        cable.net.discard().unwrap();
        assert_eq!(cable.net.open(0).unwrap().condition(), Condition::Gone);
    }
    let mut cable = Cable::new();
    drop(cable.peer);
    cable.peer = UnixStream::pair().unwrap().0;
    assert!(cable.send(0x1000, &frame(60), &[], &[]).is_err());
    assert_eq!(cable.queue.condition(), Condition::Gone);
}
