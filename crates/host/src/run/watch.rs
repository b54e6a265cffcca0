// SPDX-License-Identifier: Apache-2.0
//! Noticing the death of workers at once, with one thread for all of them and none while there are none.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::process::{Process, WorkerExit};

type OnExit = Box<dyn FnOnce(WorkerExit) + Send>;

/// Watches processes and reaps those that are children.
#[derive(Clone, Default)]
pub struct Watcher(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Watched and not yet seen by the thread.
    added: Vec<(Process, OnExit)>,
    /// Wakes the thread; absent while there is none.
    wake: Option<OwnedFd>,
}

impl Watcher {
    /// Watches nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `on_exit` on a thread of the watcher once the process has ended and, if it is a child, is reaped.
    pub fn watch(
        &self,
        process: Process,
        on_exit: impl FnOnce(WorkerExit) + Send + 'static,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if state.wake.is_none() {
            state.wake = Some(self.start()?);
        }
        state.added.push((process, Box::new(on_exit)));
        if let Some(wake) = &state.wake {
            rustix::io::write(wake, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }

    fn start(&self) -> io::Result<OwnedFd> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (watcher, woken) = (self.clone(), wake.try_clone()?);
        thread::Builder::new().name("worker-watch".to_owned()).spawn(move || watcher.run(&woken))?;
        Ok(wake)
    }

    fn run(&self, woken: &OwnedFd) {
        let mut watched: Vec<(Process, OnExit)> = Vec::new();
        loop {
            {
                let mut state = self.lock();
                watched.append(&mut state.added);
                if watched.is_empty() {
                    state.wake = None;
                    return;
                }
            }
            for index in ended(woken, &watched).into_iter().rev() {
                let (process, on_exit) = watched.swap_remove(index);
                on_exit(process.reap());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits, and gives the indexes of those that ended, in order.
fn ended(woken: &OwnedFd, watched: &[(Process, OnExit)]) -> Vec<usize> {
    let descriptors =
        std::iter::once(woken.as_fd()).chain(watched.iter().map(|(process, _)| process.as_fd()));
    let mut polled: Vec<PollFd<'_>> =
        descriptors.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let _ = poll(&mut polled, None);
    let _ = rustix::io::read(woken, &mut [0; 8]);
    let processes = polled.iter().skip(1).enumerate();
    processes.filter(|(_, fd)| !fd.revents().is_empty()).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn tells_each_end_once_and_then_rests() {
        let watcher = Watcher::new();
        let (sender, ends) = mpsc::channel();
        for script in ["exit 3", "exit 4", "kill -9 $$"] {
            #[expect(clippy::zombie_processes, reason = "the watcher reaps it")]
            let child = Command::new("sh").args(["-c", &format!("sleep 0.1; {script}")]).spawn().unwrap();
            let sender = sender.clone();
            let process = Process::open(child.id()).unwrap();
            watcher.watch(process, move |exit| sender.send(exit).unwrap()).unwrap();
        }
        drop(sender);
        let mut ends: Vec<_> = ends.iter().map(|exit| (exit.status, exit.signal)).collect();
        ends.sort_unstable();
        assert_eq!(ends, [(None, Some(9)), (Some(3), None), (Some(4), None)]);
        for _ in 0..1000 {
            if watcher.lock().wake.is_none() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the thread goes on without anything to watch");
    }
}
