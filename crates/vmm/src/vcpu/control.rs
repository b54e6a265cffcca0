// SPDX-License-Identifier: Apache-2.0
//! How the driver thread and a vCPU thread agree on what the vCPU does.
//!
//! ```text
//!   driver                                   vCPU thread
//!   command(Pause), kick ─── order ───▶ leaves the guest, finishes its exit
//!   wait_for(Paused)     ◀── phase ──── Paused, sleeps
//!   with(job)            ─── job ─────▶ runs the job on its vCPU, sleeps again
//!   command(Run)         ─── order ───▶ Running
//! ```
//!
//! Only acknowledged phases count: the driver never believes a vCPU paused because it was told to. But it waits for no
//! acknowledgement for ever: a vCPU may hang in a device.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// What a vCPU shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Run the guest.
    Run,
    /// Stay outside the guest.
    Pause,
    /// End the thread.
    Stop,
}

/// What a vCPU does, as its thread says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In the guest or handling an exit.
    Running,
    /// Outside the guest, with no exit half done.
    Paused,
    /// The thread has ended or is about to.
    Gone,
}

/// Why the driver waited for a vCPU in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Its thread has ended.
    Gone,
    /// It did not come in time.
    Late,
}

/// Work for a paused vCPU thread.
type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

struct Inner<T> {
    order: Order,
    phase: Phase,
    /// Whether the thread itself decided to stay out of the guest.
    held: bool,
    job: Option<Job<T>>,
}

/// Shared by the driver and one vCPU thread; `T` is what the thread owns.
pub struct Control<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
    /// Whether the thread must look at its order before it enters the guest.
    attention: AtomicBool,
}

impl<T> Default for Control<T> {
    fn default() -> Self {
        let inner = Inner { order: Order::Pause, phase: Phase::Running, held: false, job: None };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), attention: AtomicBool::new(true) }
    }
}

impl<T> Control<T> {
    /// Driver: gives an order. The vCPU must be kicked after it.
    pub fn command(&self, order: Order) {
        self.give(self.lock(), order);
    }

    /// Driver: takes an order to pause back, unless the thread would not run on by itself either. Looked at and given
    /// under one lock: a vCPU that holds itself at this moment must not be sent on, nor one that was told to stop.
    pub fn recall(&self) {
        let inner = self.lock();
        if inner.order == Order::Pause && !inner.held {
            self.give(inner, Order::Run);
        }
    }

    fn give(&self, mut inner: MutexGuard<'_, Inner<T>>, order: Order) {
        inner.order = order;
        inner.held &= order != Order::Run;
        self.attention.store(true, Ordering::SeqCst);
        drop(inner);
        self.changed.notify_all();
    }

    /// Driver: waits until the thread says it is in `phase`.
    pub fn wait_for(&self, phase: Phase, limit: Duration) -> Result<(), Missed> {
        let waits = |inner: &mut Inner<T>| inner.phase != phase && inner.phase != Phase::Gone;
        let waited = self.changed.wait_timeout_while(self.lock(), limit, waits);
        let (inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        match inner.phase {
            reached if reached == phase => Ok(()),
            Phase::Gone => Err(Missed::Gone),
            Phase::Running | Phase::Paused => {
                debug_assert!(timeout.timed_out(), "only time ends the wait otherwise");
                Err(Missed::Late)
            }
        }
    }

    /// Driver: lets the paused thread run `job` and gives its result.
    pub fn with<R: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, Missed> {
        let deadline = Instant::now() + limit;
        // A job left behind for a thread that comes late would meet it at a time nobody expects.
        self.wait_for(Phase::Paused, limit)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let mut inner = self.lock();
        if inner.phase == Phase::Gone {
            return Err(Missed::Gone);
        }
        inner.job = Some(Box::new(move |value| drop(sender.send(job(value)))));
        drop(inner);
        self.changed.notify_all();
        let answer = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        answer.map_err(|error| match error {
            // The sender is dropped unused when the thread ends: `leave` drops the job.
            mpsc::RecvTimeoutError::Disconnected => Missed::Gone,
            mpsc::RecvTimeoutError::Timeout => {
                self.lock().job = None;
                Missed::Late
            }
        })
    }

    /// vCPU: whether to leave the run loop and look at the order.
    pub fn needs_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    /// vCPU: decides by itself not to run on until the driver says so.
    pub fn hold(&self) {
        let mut inner = self.lock();
        inner.held = true;
        if inner.order == Order::Run {
            inner.order = Order::Pause;
        }
        self.attention.store(true, Ordering::SeqCst);
    }

    /// vCPU: acknowledges that it is outside the guest, does the jobs that come, and returns what is next:
    /// [`Order::Run`] or [`Order::Stop`].
    pub fn pause(&self, value: &mut T) -> Order {
        let mut inner = self.lock();
        inner.phase = Phase::Paused;
        self.changed.notify_all();
        loop {
            if let Some(job) = inner.job.take() {
                drop(inner);
                job(value);
                inner = self.lock();
                continue;
            }
            match inner.order {
                Order::Pause => inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Order::Stop => return Order::Stop,
                Order::Run => {
                    inner.phase = Phase::Running;
                    self.attention.store(false, Ordering::SeqCst);
                    drop(inner);
                    self.changed.notify_all();
                    return Order::Run;
                }
            }
        }
    }

    /// vCPU: the thread ends.
    pub fn leave(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Gone;
        inner.job = None;
        drop(inner);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(10);

    /// A thread that counts while it runs.
    fn counter(control: &Arc<Control<u64>>, count: &Arc<AtomicU64>) -> std::thread::JoinHandle<()> {
        let (control, count) = (Arc::clone(control), Arc::clone(count));
        std::thread::spawn(move || {
            let mut value = 0;
            while control.pause(&mut value) == Order::Run {
                while !control.needs_attention() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
            control.leave();
        })
    }

    #[test]
    fn a_pause_counts_only_once_acknowledged() {
        let (control, count) = (Arc::new(Control::default()), Arc::new(AtomicU64::new(0)));
        let thread = counter(&control, &count);
        for _ in 0..1000 {
            control.command(Order::Run);
            control.wait_for(Phase::Running, LIMIT).unwrap();
            control.command(Order::Pause);
            control.wait_for(Phase::Paused, LIMIT).unwrap();
            let before = count.load(Ordering::SeqCst);
            std::thread::yield_now();
            assert_eq!(count.load(Ordering::SeqCst), before);
        }
        control.command(Order::Stop);
        thread.join().unwrap();
        assert_eq!(control.wait_for(Phase::Paused, LIMIT), Err(Missed::Gone));
    }

    #[test]
    fn jobs_run_on_the_paused_thread() {
        let (control, count) = (Arc::new(Control::default()), Arc::new(AtomicU64::new(0)));
        let thread = counter(&control, &count);
        assert_eq!(control.with(LIMIT, |value| std::mem::replace(value, 7)), Ok(0));
        assert_eq!(control.with(LIMIT, |value| *value), Ok(7));
        control.command(Order::Stop);
        thread.join().unwrap();
        assert_eq!(control.with(LIMIT, |value| *value), Err(Missed::Gone));
    }

    #[test]
    fn a_held_vcpu_waits_for_the_next_order() {
        let control = Control::<u64>::default();
        control.command(Order::Run);
        assert_eq!(control.pause(&mut 0), Order::Run);
        control.hold();
        assert!(control.needs_attention());
        control.command(Order::Stop);
        control.hold();
        assert_eq!(control.pause(&mut 0), Order::Stop);
    }

    #[test]
    fn nobody_waits_for_ever_for_a_thread_that_hangs() {
        let control = Control::<u64>::default();
        control.command(Order::Run);
        assert_eq!(control.pause(&mut 0), Order::Run);
        control.command(Order::Pause);
        assert_eq!(control.wait_for(Phase::Paused, SHORT), Err(Missed::Late));
        assert_eq!(control.with(SHORT, |value| *value), Err(Missed::Late));
        // Nothing waits for it when it comes back.
        control.command(Order::Run);
        let mut value = 3;
        assert_eq!(control.pause(&mut value), Order::Run);
    }

    #[test]
    fn an_order_to_pause_can_be_taken_back_but_for_a_vcpu_that_holds_itself() {
        let control = Control::<u64>::default();
        control.command(Order::Run);
        control.command(Order::Pause);
        control.recall();
        assert_eq!(control.pause(&mut 0), Order::Run);
        control.hold();
        control.command(Order::Pause);
        control.recall();
        control.command(Order::Stop);
        assert_eq!(control.pause(&mut 0), Order::Stop);
        control.command(Order::Run);
        control.hold();
        control.recall();
        assert_eq!(control.lock().order, Order::Pause);
    }

    #[test]
    fn an_order_to_stop_is_not_taken_back() {
        let control = Control::<u64>::default();
        control.command(Order::Run);
        control.command(Order::Stop);
        control.recall();
        assert_eq!(control.pause(&mut 0), Order::Stop);
    }
}
