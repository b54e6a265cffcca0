// SPDX-License-Identifier: Apache-2.0
//! Tap interfaces: the host's end of a virtual network cable. Macvtap interfaces are used in the same way; their cable leads
//! to a link of the host.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{FRAME_HEADER_LEN, Offloads, PacketBackend, PacketQueue, Receipt};
use flotilla_memory::GuestMemory;

use crate::buffers::Buffers;
use crate::{TapError, sys};

/// Most frames that are thrown away at once: more than a tap holds (`TUN_READQ_SIZE` is 500), so that a flood cannot
/// keep whoever discards.
const MAX_DISCARDED: usize = 2048;

/// What taps do: since 6.2 all of it, since 4.14 all but the cutting into datagrams, before that only TCP.
const ALL_OFFLOADS: [Offloads; 3] = {
    let tcp = Offloads { checksum: true, tso4: true, tso6: true, ecn: true, ufo: false, uso: false };
    let fragments = Offloads { ufo: true, ..tcp };
    [Offloads { uso: true, ..fragments }, fragments, tcp]
};

/// An open tap interface with one queue or several.
///
/// ```no_run
/// let tap = flotilla_net::Tap::open("tap0", 1)?;
/// # Ok::<(), flotilla_net::TapError>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    queues: Vec<Arc<OwnedFd>>,
    offloads: Offloads,
    /// Queues attached to the interface; those behind them are detached.
    used: Mutex<usize>,
}

impl Tap {
    /// Opens an existing tap interface of this network namespace, with so many queues.
    pub fn open(name: &str, queues: u16) -> Result<Self, TapError> {
        Self::prepare(open_descriptors(name, queues)?, name)
    }

    /// Takes over descriptors that [`open_descriptors`], or another program, attached to a tap interface: its queues.
    pub fn from_descriptors(descriptors: Vec<OwnedFd>) -> Result<Self, TapError> {
        Self::prepare(descriptors, "descriptor")
    }

    fn prepare(descriptors: Vec<OwnedFd>, name: &str) -> Result<Self, TapError> {
        let host = |step| move |source| TapError::Host { step, name: name.to_owned(), source };
        let header = libc::c_int::try_from(FRAME_HEADER_LEN).unwrap_or(libc::c_int::MAX);
        for descriptor in &descriptors {
            let tap = descriptor.as_fd();
            if !sys::is_suitable(tap).unwrap_or(false) {
                return Err(TapError::NotTap { name: name.to_owned() });
            }
            sys::set_nonblocking(tap).map_err(host("make nonblocking"))?;
            sys::set_header_len(tap, header).map_err(host("set the header length of"))?;
        }
        let first = descriptors.first().ok_or_else(|| TapError::NotTap { name: name.to_owned() })?.as_fd();
        // Only trying tells what the driver can do. Then off again, until a guest says what it takes.
        let offloads = ALL_OFFLOADS.into_iter().find(|all| sys::set_offloads(first, *all).is_ok());
        sys::set_offloads(first, Offloads::default()).map_err(host("reset the offloads of"))?;
        let used = Mutex::new(descriptors.len());
        let queues = descriptors.into_iter().map(Arc::new).collect();
        let tap = Self { queues, offloads: offloads.unwrap_or_default(), used };
        tap.use_pairs(1).map_err(host("use one queue of"))?;
        Ok(tap)
    }

    /// The descriptor of each queue.
    pub fn queues(&self) -> &[Arc<OwnedFd>] {
        &self.queues
    }
}

impl PacketBackend for Tap {
    fn offloads(&self) -> Offloads {
        self.offloads
    }

    fn set_guest_offloads(&self, offloads: Offloads) -> io::Result<()> {
        // Any attached queue stands for the interface; the first one always is.
        let first = self.queues.first().ok_or(io::ErrorKind::NotFound)?;
        sys::set_offloads(first.as_fd(), offloads)
    }

    fn pairs(&self) -> u16 {
        u16::try_from(self.queues.len()).unwrap_or(u16::MAX)
    }

    fn use_pairs(&self, pairs: u16) -> io::Result<()> {
        let wanted = usize::from(pairs);
        if wanted == 0 || wanted > self.queues.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used < wanted {
            let queue = self.queues.get(*used).ok_or(io::ErrorKind::NotFound)?;
            sys::set_attached(queue.as_fd(), true)?;
            *used += 1;
        }
        while *used > wanted {
            let queue = self.queues.get(*used - 1).ok_or(io::ErrorKind::NotFound)?;
            sys::set_attached(queue.as_fd(), false)?;
            *used -= 1;
        }
        Ok(())
    }

    fn open(&self, pair: u16) -> io::Result<Box<dyn PacketQueue>> {
        let descriptor = self.queues.get(usize::from(pair)).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(TapQueue::new(Arc::clone(descriptor))))
    }

    fn discard(&self) -> io::Result<()> {
        // Detached queues hold nothing: the kernel throws it away.
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.queues.iter().take(used).try_for_each(|queue| discard(queue.as_fd()))
    }
}

fn discard(tap: BorrowedFd<'_>) -> io::Result<()> {
    // The kernel wants room for the header and cuts the rest.
    let mut header = [0; FRAME_HEADER_LEN];
    for _ in 0..MAX_DISCARDED {
        // SAFETY: the buffer is our own.
        match unsafe { sys::read(tap, &[iovec(&mut header)]) } {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One queue of a tap in use.
struct TapQueue {
    descriptor: Arc<OwnedFd>,
    offered: Buffers,
    /// Room for the buffers of a frame that is sent, kept so that none is allocated for each.
    sending: Buffers,
}

impl TapQueue {
    fn new(descriptor: Arc<OwnedFd>) -> Self {
        Self { descriptor, offered: Buffers::default(), sending: Buffers::default() }
    }
}

impl PacketQueue for TapQueue {
    fn event(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn offer(&mut self, memory: &Arc<GuestMemory>, segments: &[Segment]) -> io::Result<usize> {
        self.offered.hold(memory);
        self.offered.push(memory, segments)
    }

    fn retire(&mut self, buffers: usize) {
        self.offered.retire(buffers);
    }

    fn receive(&mut self) -> io::Result<Receipt> {
        // The kernel does not say that it cut a frame. One that reaches into this byte did not fit.
        let mut beyond = [0_u8];
        let (capacity, result) = self.offered.with(iovec(&mut beyond), |buffers, capacity| {
            // SAFETY: the buffers lie in guest memory, which is held as long as they are offered, and in our own byte.
            (capacity, unsafe { sys::read(self.descriptor.as_fd(), buffers) })
        });
        match result {
            Ok(len) if len > capacity => Ok(Receipt::Cut),
            Ok(len) => Ok(Receipt::Frame(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Receipt::Nothing),
            Err(error) => Err(error),
        }
    }

    fn discard(&mut self) -> io::Result<()> {
        discard(self.descriptor.as_fd())
    }

    fn send(&mut self, memory: &GuestMemory, head: &[u8], segments: &[Segment]) -> io::Result<usize> {
        self.sending.clear();
        if !head.is_empty() {
            // Only read: the cast is what the type of a buffer wants.
            let base = head.as_ptr().cast_mut().cast();
            self.sending.list.push(libc::iovec { iov_base: base, iov_len: head.len() });
        }
        self.sending.push_behind(memory, head.len(), segments)?;
        // SAFETY: the buffers lie in guest memory and in `head`, both borrowed through the call.
        unsafe { sys::write(self.descriptor.as_fd(), &self.sending.list) }
    }
}

/// Opens an existing tap or macvtap interface of this network namespace with so many queues, for
/// [`Tap::from_descriptors`] here or elsewhere.
pub fn open_descriptors(name: &str, queues: u16) -> Result<Vec<OwnedFd>, TapError> {
    // Attaching to a name that does not exist would create an interface.
    let index = index_of(name)?.ok_or_else(|| TapError::Missing { name: name.to_owned() })?;
    match attach_queues(name, queues) {
        Err(error @ (TapError::NotTap { .. } | TapError::OneQueue { .. })) => {
            open_macvtap(name, index, queues)?.ok_or(error)
        }
        attached => attached,
    }
}

fn index_of(name: &str) -> Result<Option<u32>, TapError> {
    check_name(name)?;
    sys::index_of(name).map_err(|source| host_error("look for", name, source))
}

/// The queues of a macvtap interface, each made by opening its device anew; `None` if it is none.
fn open_macvtap(name: &str, index: u32, queues: u16) -> Result<Option<Vec<OwnedFd>>, TapError> {
    let mut opened = Vec::new();
    for _ in 0..queues {
        let queue = match sys::open_macvtap(index) {
            Ok(queue) => queue,
            Err(error) => {
                return match error.raw_os_error() {
                    Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Ok(None),
                    Some(libc::EACCES | libc::EPERM) => Err(TapError::Denied { name: name.to_owned() }),
                    Some(libc::EBUSY) => Err(TapError::Busy { name: name.to_owned() }),
                    _ => Err(host_error("open", name, error)),
                };
            }
        };
        // The devices of all network namespaces lie side by side, and numbers repeat among those.
        if !sys::is_on(queue.as_fd(), name).unwrap_or(false) {
            return Ok(None);
        }
        opened.push(queue);
    }
    Ok(Some(opened))
}

fn attach_queues(name: &str, queues: u16) -> Result<Vec<OwnedFd>, TapError> {
    if queues == 1 {
        // An interface made for several queues takes none who does not know that, and the other way round.
        return match attach(name, false) {
            Err(TapError::NotTap { .. }) => attach(name, true).map(|tap| vec![tap]),
            attached => attached.map(|tap| vec![tap]),
        };
    }
    (0..queues).map(|_| attach(name, true).map_err(one_queue)).collect()
}

/// What does not take several queues is not suitable for them.
fn one_queue(error: TapError) -> TapError {
    match error {
        TapError::NotTap { name } => TapError::OneQueue { name },
        other => other,
    }
}

/// Creates a tap interface that stays until it is deleted. With `owner`, that user may use it without privilege; with
/// `multi_queue` it takes several queues.
pub fn create_persistent(name: &str, owner: Option<u32>, multi_queue: bool) -> Result<(), TapError> {
    if index_of(name)?.is_some() {
        return Err(TapError::Exists { name: name.to_owned() });
    }
    // Until it is made persistent the interface goes away with the descriptor: no error leaves one behind.
    let tap = attach(name, multi_queue)?;
    if let Some(user) = owner {
        sys::set_owner(tap.as_fd(), user).map_err(|source| host_error("give away", name, source))?;
    }
    sys::set_persistent(tap.as_fd(), true).map_err(|source| host_error("keep", name, source))
}

/// Deletes a tap interface that nobody uses.
pub fn delete(name: &str) -> Result<(), TapError> {
    index_of(name)?.ok_or_else(|| TapError::Missing { name: name.to_owned() })?;
    let taps = attach_queues(name, 1)?;
    let tap = taps.first().ok_or_else(|| TapError::Missing { name: name.to_owned() })?;
    sys::set_persistent(tap.as_fd(), false).map_err(|source| host_error("delete", name, source))
}

fn attach(name: &str, multi_queue: bool) -> Result<OwnedFd, TapError> {
    let named = || name.to_owned();
    let tap = sys::open_driver().map_err(|source| match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver(source),
        Some(libc::EACCES | libc::EPERM) => TapError::Denied { name: named() },
        _ => host_error("open the driver for", name, source),
    })?;
    sys::attach(tap.as_fd(), name, multi_queue).map_err(|source| match source.raw_os_error() {
        Some(libc::EBUSY) => TapError::Busy { name: named() },
        Some(libc::EACCES | libc::EPERM) => TapError::Denied { name: named() },
        Some(libc::EINVAL) => TapError::NotTap { name: named() },
        _ => host_error("attach to", name, source),
    })?;
    Ok(tap)
}

/// What the kernel takes as a name, without `%`: it would choose another name by itself then.
fn check_name(name: &str) -> Result<(), TapError> {
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte));
    if printable && (1..16).contains(&name.len()) && name != "." && name != ".." {
        return Ok(());
    }
    Err(TapError::Name { name: name.chars().take(64).collect() })
}

fn host_error(step: &'static str, name: &str, source: io::Error) -> TapError {
    TapError::Host { step, name: name.to_owned(), source }
}

fn iovec(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}
