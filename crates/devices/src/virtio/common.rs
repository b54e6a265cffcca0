// SPDX-License-Identifier: Apache-2.0
//! What every virtio device has, so that none retypes it.

use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use flotilla_device_model::metrics::Counter;
use flotilla_device_model::threads::{DeviceThreads, Unwatched, WatchedThread};
use virtio_queue::QueueState;

use super::worker::{Service, Sources, Worker};

/// Name, features, queue sizes and I/O threads of a device.
///
/// [`super::device::Device`] holds one of these. A model calls [`VirtioCommon::start`] when it is activated, once per
/// I/O thread.
pub struct VirtioCommon<S: Service> {
    name: String,
    features: u64,
    queue_max_sizes: Vec<u16>,
    workers: RwLock<Vec<Worker<S>>>,
    threads: Arc<dyn DeviceThreads>,
    /// Doorbells that were answered.
    notifications: Arc<Counter>,
}

impl<S: Service> VirtioCommon<S> {
    /// A device that is not active. Sizes are powers of two up to 32768.
    pub fn new(name: impl Into<String>, features: u64, queue_max_sizes: Vec<u16>) -> Self {
        let workers = RwLock::new(Vec::new());
        let threads = Arc::new(Unwatched);
        Self { name: name.into(), features, queue_max_sizes, workers, threads, notifications: Arc::default() }
    }

    /// From now on, `threads` watches each I/O thread that starts.
    pub fn watch(&mut self, threads: Arc<dyn DeviceThreads>) {
        self.threads = threads;
    }

    /// The name of the device in its machine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The features the device offers.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// The largest size of each queue.
    pub fn queue_max_sizes(&self) -> &[u16] {
        &self.queue_max_sizes
    }

    /// Starts one I/O thread. After an error call [`VirtioCommon::deactivate`] to end those started before.
    pub fn start(&self, thread: &str, service: S, sources: Sources<'_>) -> io::Result<()> {
        let watched = WatchedThread { device: self.name.clone(), threads: Arc::clone(&self.threads) };
        let worker = Worker::start(thread, service, sources, watched, Arc::clone(&self.notifications))?;
        self.workers.write().unwrap_or_else(PoisonError::into_inner).push(worker);
        Ok(())
    }

    /// Runs `look` on the service of each I/O thread, between two of its calls.
    pub fn each(&self, mut look: impl FnMut(&mut S)) {
        for worker in self.workers().iter() {
            worker.with(&mut look);
        }
    }

    /// Lets the service of `queue` answer its doorbell on the calling thread, that of a vCPU, which waits for its turn with
    /// `wait`; `false` if nothing was done.
    pub fn doorbell_of_vcpu(&self, queue: u16, wait: bool) -> bool {
        let workers = self.workers();
        let worker = workers.iter().find(|worker| worker.serves(queue));
        worker.is_some_and(|worker| worker.doorbell_of_vcpu(queue, wait))
    }

    /// How many doorbells the device has answered, on its I/O threads or on those of vCPUs.
    pub fn notifications(&self) -> u64 {
        self.notifications.get()
    }

    /// Pauses every I/O thread.
    pub fn pause(&self) {
        self.workers().iter().for_each(Worker::pause);
    }

    /// Resumes every I/O thread.
    pub fn resume(&self) {
        self.workers().iter().for_each(Worker::resume);
    }

    /// Ends every I/O thread and hands back their services. Idempotent.
    pub fn deactivate(&self) -> Vec<S> {
        let workers = std::mem::take(&mut *self.workers.write().unwrap_or_else(PoisonError::into_inner));
        workers.into_iter().filter_map(Worker::stop).collect()
    }

    /// The queues in order of their index, `None` where no thread serves one. Call while paused.
    pub fn queues(&self) -> Vec<Option<QueueState>> {
        let mut queues = vec![None; self.queue_max_sizes.len()];
        for worker in self.workers().iter() {
            for (index, state) in worker.with(|service| service.queues()) {
                if let Some(slot) = queues.get_mut(usize::from(index)) {
                    *slot = Some(state);
                }
            }
        }
        queues
    }

    fn workers(&self) -> RwLockReadGuard<'_, Vec<Worker<S>>> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner)
    }
}
