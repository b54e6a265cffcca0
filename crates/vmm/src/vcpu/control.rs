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
//! Only acknowledged phases count: the driver never believes a vCPU paused because it was told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

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

/// Work for a paused vCPU thread.
type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

struct Inner<T> {
    order: Order,
    phase: Phase,
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
        let inner = Inner { order: Order::Pause, phase: Phase::Running, job: None };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), attention: AtomicBool::new(true) }
    }
}

impl<T> Control<T> {
    /// Driver: gives an order. The vCPU must be kicked after it.
    pub fn command(&self, order: Order) {
        let mut inner = self.lock();
        inner.order = order;
        self.attention.store(true, Ordering::SeqCst);
        drop(inner);
        self.changed.notify_all();
    }

    /// Driver: waits until the thread says it is in `phase`; `false` when the thread ended first.
    pub fn wait_for(&self, phase: Phase) -> bool {
        let mut inner = self.lock();
        while inner.phase != phase {
            if inner.phase == Phase::Gone {
                return false;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Driver: lets the paused thread run `job` and gives its result, or `None` when the thread ended.
    pub fn with<R: Send + 'static>(&self, job: impl FnOnce(&mut T) -> R + Send + 'static) -> Option<R> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let mut inner = self.lock();
        if inner.phase == Phase::Gone {
            return None;
        }
        inner.job = Some(Box::new(move |value| drop(sender.send(job(value)))));
        drop(inner);
        self.changed.notify_all();
        // The sender is dropped unused when the thread ends: `leave` drops the job.
        receiver.recv().ok()
    }

    /// vCPU: whether to leave the run loop and look at the order.
    pub fn needs_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    /// vCPU: decides by itself not to run on until the driver says so.
    pub fn hold(&self) {
        let mut inner = self.lock();
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
            assert!(control.wait_for(Phase::Running));
            control.command(Order::Pause);
            assert!(control.wait_for(Phase::Paused));
            let before = count.load(Ordering::SeqCst);
            std::thread::yield_now();
            assert_eq!(count.load(Ordering::SeqCst), before);
        }
        control.command(Order::Stop);
        thread.join().unwrap();
        assert!(!control.wait_for(Phase::Paused));
    }

    #[test]
    fn jobs_run_on_the_paused_thread() {
        let (control, count) = (Arc::new(Control::default()), Arc::new(AtomicU64::new(0)));
        let thread = counter(&control, &count);
        assert_eq!(control.with(|value| std::mem::replace(value, 7)), Some(0));
        assert_eq!(control.with(|value| *value), Some(7));
        control.command(Order::Stop);
        thread.join().unwrap();
        assert_eq!(control.with(|value| *value), None);
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
}
