// SPDX-License-Identifier: Apache-2.0
//! The back end of vhost-user at the other end of a socket: remembers what it is told, and answers as a good one does, or as it
//! is made to.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

/// What a good one offers: indirect descriptors, `EVENT_IDX`, virtio 1.0 and protocol features, beside what is not ours.
pub const FEATURES: u64 = 1 << 28 | 1 << 29 | 1 << 32 | 1 << 30 | 1 << 26;

/// A message that came.
#[derive(Debug)]
pub struct Told {
    /// Which request.
    pub request: u32,
    /// Its payload.
    pub payload: Vec<u8>,
    /// The descriptors beside it.
    pub descriptors: Vec<OwnedFd>,
}

/// What is answered to a request with this payload: the whole message, or nothing.
pub type Answer = Box<dyn Fn(u32, &[u8]) -> Option<Vec<u8>> + Send>;

/// The back end. It ends with its connection.
pub struct FakeBackEnd {
    told: Arc<Mutex<Vec<Told>>>,
    socket: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl FakeBackEnd {
    /// A good one, and the front end's end of its socket.
    pub fn good() -> (Self, OwnedFd) {
        Self::with(Box::new(good_answer))
    }

    /// One that answers in its own way.
    pub fn with(answer: Answer) -> (Self, OwnedFd) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let (socket, list) = (theirs.try_clone().unwrap(), Arc::clone(&told));
        let thread = std::thread::spawn(move || {
            while let Some(message) = receive(&theirs) {
                let answer = answer(message.request, &message.payload);
                list.lock().unwrap().push(message);
                if let Some(bytes) = answer
                    && std::io::Write::write_all(&mut &theirs, &bytes).is_err()
                {
                    return;
                }
            }
        });
        (Self { told, socket, thread: Some(thread) }, ours.into())
    }

    /// What it was told since it was asked last.
    pub fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// Goes away.
    pub fn hang_up(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Says what nobody asked for.
    pub fn blurt(&self) {
        std::io::Write::write_all(&mut &self.socket, b"?").unwrap();
    }
}

impl Drop for FakeBackEnd {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// An answer to a request.
pub fn answer(request: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    let header = [request, 5, len].into_iter().flat_map(u32::to_ne_bytes);
    header.chain(payload.iter().copied()).collect()
}

/// Features, no protocol features, and for each ring its number times 16 and one more as its position.
pub fn good_answer(request: u32, payload: &[u8]) -> Option<Vec<u8>> {
    match request {
        1 => Some(answer(request, &FEATURES.to_ne_bytes())),
        15 => Some(answer(request, &0_u64.to_ne_bytes())),
        11 => {
            let index = u32::from_ne_bytes(payload.get(..4)?.try_into().unwrap());
            Some(answer(request, &[index.to_ne_bytes(), (index * 16 + 1).to_ne_bytes()].concat()))
        }
        _ => None,
    }
}

/// A message, if one comes whole.
fn receive(socket: &UnixStream) -> Option<Told> {
    let mut header = [0; 12];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut header)];
    let got = rustix::net::recvmsg(socket, &mut parts, &mut beside, RecvFlags::WAITALL).ok()?;
    if got.bytes != header.len() {
        return None;
    }
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    let number = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
    assert_eq!(number(4), 1, "version of the protocol");
    let mut payload = vec![0; usize::try_from(number(8)).unwrap()];
    std::io::Read::read_exact(&mut &*socket, &mut payload).ok()?;
    Some(Told { request: number(0), payload, descriptors })
}
