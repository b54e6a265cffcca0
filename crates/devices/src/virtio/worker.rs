// SPDX-License-Identifier: Apache-2.0
//! The I/O thread of a virtio device.
//!
//! ```text
//!              start                    pause                       stop
//!   (no thread) ───▶ serving ─────────────────────▶ paused ──────────────────▶ (no thread)
//!                      │ ▲   drain, acknowledge       │                             ▲
//!                      │ └────────────────────────────┘ resume: serve every queue   │
//!                      └────────────────────────────────────────────────────────────┘ drain
//! ```
//!
//! The thread waits on the doorbells of its queues, the descriptors of its back-end and a control eventfd. Each ring of
//! a doorbell wakes it once (edge-triggered), so that it need not read the count, which nobody looks at. `resume` serves
//! every queue in any case, so no doorbell is lost in a pause; so does `start`, for those rung before the thread lived.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flotilla_device_model::metrics::Counter;
use flotilla_device_model::threads::{WatchedThread, named};
use virtio_queue::QueueState;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Events taken per wait.
const BATCH: usize = 16;
/// Epoll data of the control eventfd; doorbells count from `DOORBELLS`, back-end descriptors from 0.
const CONTROL: u64 = u64::MAX;
const DOORBELLS: u64 = 1 << 32;

/// The work of an I/O thread: what a device does when something happens. All calls come from the thread, except
/// `queues`, which comes while it is paused, and `doorbell_of_vcpu`. No two run at the same time.
pub trait Service: Send + 'static {
    /// The thread begins to serve, at its start and after each pause, before it serves the queues it has doorbells of.
    fn begin(&mut self, _watches: &Watches) {}

    /// The driver rang the doorbell of `queue`, or it may have done so unseen.
    fn doorbell(&mut self, queue: u16, watches: &Watches);

    /// The driver rang the doorbell of `queue`, and its vCPU waits outside the guest until this returns. `false`: nothing
    /// was done, the thread shall do it.
    fn doorbell_of_vcpu(&mut self, _queue: u16) -> bool {
        false
    }

    /// It goes on after a pause. Doorbells that were rung meanwhile come next.
    fn resumed(&mut self) {}

    /// The back-end descriptor with this token is ready. It is reported again until it is no longer ready or its
    /// watch is disabled.
    fn ready(&mut self, _token: u32, _watches: &Watches) {}

    /// When `tick` is due, if ever (throttling).
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline passed.
    fn tick(&mut self, _watches: &Watches) {}

    /// Brings all that is in flight to its end and publishes it. Comes before a pause and before the stop.
    fn drain(&mut self) {}

    /// The queues served here with their indices, as they stand after `drain`.
    fn queues(&self) -> Vec<(u16, QueueState)>;
}

struct Watch {
    token: u32,
    descriptor: OwnedFd,
    /// Whether it is in the epoll set.
    listens: Cell<bool>,
}

/// Back-end descriptors of a worker, which its service can switch on and off.
pub struct Watches {
    epoll: Epoll,
    descriptors: Vec<Watch>,
}

impl Watches {
    fn add(&mut self, token: u32, descriptor: OwnedFd) -> io::Result<()> {
        self.descriptors.push(Watch { token, descriptor, listens: Cell::new(false) });
        self.enable(token, true)
    }

    /// Reports (or no longer reports) that the descriptor is readable. Watches begin enabled.
    pub fn enable(&self, token: u32, enabled: bool) -> io::Result<()> {
        self.listen(token, if enabled { EventSet::IN } else { EventSet::empty() })
    }

    /// Reports the descriptor for these events. With none it leaves the set, because errors and hang-ups are
    /// reported for every descriptor in it and would keep the thread busy.
    pub fn listen(&self, token: u32, events: EventSet) -> io::Result<()> {
        let found = self.descriptors.iter().find(|watch| watch.token == token);
        let watch = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let wanted = !events.is_empty();
        let operation = match (watch.listens.get(), wanted) {
            (false, false) => return Ok(()),
            (false, true) => ControlOperation::Add,
            (true, true) => ControlOperation::Modify,
            (true, false) => ControlOperation::Delete,
        };
        let event = EpollEvent::new(events, u64::from(token));
        self.epoll.ctl(operation, watch.descriptor.as_raw_fd(), event)?;
        watch.listens.set(wanted);
        Ok(())
    }

    /// Stops reporting a descriptor whose other end is gone.
    pub fn forget(&self, token: u32) -> io::Result<()> {
        self.enable(token, false)
    }
}

/// What a worker waits for.
#[derive(Default)]
pub struct Sources<'a> {
    /// The doorbell of each queue.
    pub doorbells: Vec<(u16, Arc<EventFd>)>,
    /// Back-end descriptors and the token each is reported with. They are duplicated.
    pub descriptors: Vec<(u32, BorrowedFd<'a>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Paused,
    Stopped,
}

struct Control {
    /// What the owner wants, and what the thread says it does.
    phases: Mutex<(Phase, Phase)>,
    changed: Condvar,
    event: EventFd,
    /// Whether vCPUs may call the service themselves.
    serving: AtomicBool,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, (Phase, Phase)> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a phase and waits until the thread is in it, or gone.
    fn request(&self, wanted: Phase) {
        let mut phases = self.lock();
        phases.0 = wanted;
        // A full counter means that the thread is to be woken already.
        let _ = self.event.write(1);
        self.changed.notify_all();
        while phases.1 != wanted && phases.1 != Phase::Stopped {
            phases = self.changed.wait(phases).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn acknowledge(&self, phase: Phase) {
        self.lock().1 = phase;
        self.changed.notify_all();
    }

    /// Blocks the thread while it is to be paused; the phase it is to enter then.
    fn wait_while_paused(&self) -> Phase {
        let mut phases = self.lock();
        while phases.0 == Phase::Paused {
            phases = self.changed.wait(phases).unwrap_or_else(PoisonError::into_inner);
        }
        phases.0
    }
}

/// Says `Stopped` even if a service panics, so that nobody waits for a dead thread.
struct Farewell(Arc<Control>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.acknowledge(Phase::Stopped);
    }
}

/// A running I/O thread. Dropping it stops the thread.
pub struct Worker<S: Service> {
    control: Arc<Control>,
    service: Arc<Mutex<S>>,
    queues: Vec<u16>,
    notifications: Arc<Counter>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Service> Worker<S> {
    /// Starts a thread called `name` (the kernel keeps 15 bytes of it) that serves every queue once and then
    /// waits for `sources`, counting in `notifications` the doorbells it answers. How it fails goes to whoever watches it.
    pub fn start(
        name: &str,
        service: S,
        sources: Sources<'_>,
        supervised: WatchedThread,
        notifications: Arc<Counter>,
    ) -> io::Result<Self> {
        let control = Arc::new(Control {
            phases: Mutex::new((Phase::Serving, Phase::Serving)),
            changed: Condvar::new(),
            event: EventFd::new(EFD_NONBLOCK)?,
            serving: AtomicBool::new(true),
        });
        let mut watches = Watches { epoll: Epoll::new()?, descriptors: Vec::new() };
        let event = EpollEvent::new(EventSet::IN, CONTROL);
        watches.epoll.ctl(ControlOperation::Add, control.event.as_raw_fd(), event)?;
        for (queue, doorbell) in &sources.doorbells {
            let event =
                EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, DOORBELLS + u64::from(*queue));
            watches.epoll.ctl(ControlOperation::Add, doorbell.as_raw_fd(), event)?;
        }
        for (token, descriptor) in &sources.descriptors {
            watches.add(*token, descriptor.try_clone_to_owned()?)?;
        }
        let service = Arc::new(Mutex::new(service));
        let queues = sources.doorbells.iter().map(|(queue, _)| *queue).collect();
        let state = Loop {
            control: Arc::clone(&control),
            service: Arc::clone(&service),
            watches,
            doorbells: sources.doorbells,
            notifications: Arc::clone(&notifications),
        };
        let farewell = Farewell(Arc::clone(&control));
        let run = move || {
            // Said after the fault is reported, so that who finds the thread gone finds the reason too.
            let _farewell = farewell;
            supervised.run(|| state.run());
        };
        let thread = named(name).spawn(run)?;
        Ok(Self { control, service, queues, notifications, thread: Some(thread) })
    }

    /// Returns when everything in flight has ended and nothing new starts.
    pub fn pause(&self) {
        self.control.request(Phase::Paused);
    }

    /// Goes on; every queue is served at once.
    pub fn resume(&self) {
        self.control.request(Phase::Serving);
    }

    /// Whether it serves this queue.
    pub fn serves(&self, queue: u16) -> bool {
        self.queues.contains(&queue)
    }

    /// Lets the service answer a doorbell on the calling thread, that of a vCPU. `false`: nothing was done, because the
    /// thread is at work and shall not be waited for, is to pause, or shall do it.
    pub fn doorbell_of_vcpu(&self, queue: u16, wait: bool) -> bool {
        let service = if wait { self.service.lock().ok() } else { self.service.try_lock().ok() };
        let Some(mut service) = service else { return false };
        // A pause clears the flag before it takes the service to drain it. A deadline that came up is for the thread, which
        // knows of those that were there before.
        let known = service.deadline();
        let answered = self.control.serving.load(Ordering::SeqCst)
            && service.doorbell_of_vcpu(queue)
            && service.deadline().is_none_or(|due| known.is_some_and(|known| known <= due));
        // What is left to the thread is counted there.
        self.notifications.add(u64::from(answered));
        answered
    }

    /// Looks at the service between two of its calls. Blocks while one runs.
    pub fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        look(&mut self.service.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the thread after it drained and hands the service back, with its queues as they stand.
    /// `None` if the service panicked.
    pub fn stop(mut self) -> Option<S> {
        let ended_well = self.finish();
        let service = Arc::clone(&self.service);
        drop(self);
        let service = Arc::into_inner(service)?;
        ended_well.then(|| service.into_inner().ok()).flatten()
    }

    fn finish(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return false };
        self.control.request(Phase::Stopped);
        thread.join().is_ok()
    }
}

impl<S: Service> Drop for Worker<S> {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Loop<S: Service> {
    control: Arc<Control>,
    service: Arc<Mutex<S>>,
    watches: Watches,
    /// Kept open as long as they are in the epoll set.
    doorbells: Vec<(u16, Arc<EventFd>)>,
    notifications: Arc<Counter>,
}

impl<S: Service> Loop<S> {
    fn run(self) -> io::Result<()> {
        self.serve_all();
        let mut events = [EpollEvent::default(); BATCH];
        loop {
            let count = match self.watches.epoll.wait(self.timeout(), &mut events) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let ready = events.get(..count).unwrap_or_default();
            if ready.iter().any(|event| event.data() == CONTROL) && !self.obey() {
                return Ok(());
            }
            for event in ready {
                self.dispatch(event.data());
            }
            self.tick();
        }
    }

    /// Follows the owner's wish; `false` at the end.
    fn obey(&self) -> bool {
        let _ = self.control.event.read();
        let wanted = self.control.lock().0;
        if wanted == Phase::Serving {
            return true;
        }
        self.control.serving.store(false, Ordering::SeqCst);
        self.service().drain();
        if wanted == Phase::Stopped {
            return false;
        }
        self.control.acknowledge(Phase::Paused);
        if self.control.wait_while_paused() == Phase::Stopped {
            return false;
        }
        self.control.acknowledge(Phase::Serving);
        self.control.serving.store(true, Ordering::SeqCst);
        self.service().resumed();
        self.serve_all();
        true
    }

    fn dispatch(&self, data: u64) {
        match data {
            CONTROL => {}
            DOORBELLS.. => {
                self.notifications.increment();
                let queue = u16::try_from(data - DOORBELLS).unwrap_or(u16::MAX);
                self.service().doorbell(queue, &self.watches);
            }
            token => self.service().ready(u32::try_from(token).unwrap_or(u32::MAX), &self.watches),
        }
    }

    fn serve_all(&self) {
        self.service().begin(&self.watches);
        for (queue, _) in &self.doorbells {
            self.service().doorbell(*queue, &self.watches);
        }
    }

    fn tick(&self) {
        let mut service = self.service();
        if service.deadline().is_some_and(|due| due <= Instant::now()) {
            service.tick(&self.watches);
        }
    }

    /// Milliseconds until the deadline, rounded up; -1 for ever.
    fn timeout(&self) -> i32 {
        let Some(due) = self.service().deadline() else { return -1 };
        let wait = due.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
    }

    fn service(&self) -> MutexGuard<'_, S> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
