// SPDX-License-Identifier: Apache-2.0
//! The one queue of the driver thread: commands of the owner and news of the guest.
//!
//! It is bounded: each command has a caller that waits for its answer, a guest's signal is a flag however often it
//! comes, and a thread that crashed does not run on to crash again.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::block::SpaceAlarm;
use flotilla_device_model::net::LinkAlarm;
use flotilla_device_model::power::{GuestSignal, GuestSignals};
use flotilla_device_model::share::ShareAlarm;
use flotilla_hypervisor::Registers;

use crate::vcpu::current_vcpu;
use crate::vcpu::exits::Crash;

/// Whose thread crashed or hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// That of the vCPU with this number.
    Vcpu(u32),
    /// An I/O thread of the device with this name.
    Device(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpu(cpu) => write!(f, "vCPU {cpu}"),
            Self::Device(name) => write!(f, "device {name}"),
        }
    }
}

/// A vCPU or a device that cannot go on by itself.
#[derive(Debug)]
pub struct CrashReport {
    /// Where.
    pub origin: Origin,
    /// Why.
    pub crash: Crash,
    /// The registers of a vCPU, if they could be read.
    pub registers: Option<Box<Registers>>,
}

impl CrashReport {
    /// Whether a thread has ended, which no reset of the guest repairs.
    fn is_ours(&self) -> bool {
        matches!(self.crash, Crash::Panicked(_) | Crash::ThreadLost(_))
    }
}

/// What the driver has to deal with next.
#[derive(Debug)]
pub enum Message<C> {
    /// The owner wants something.
    Command(C),
    /// A device passes on what the guest asked for.
    Signal(GuestSignal),
    /// Writes to the disk device of this name wait for space on the host.
    DiskFull(String),
    /// The network of the interface device of this name is gone.
    LinkLost(String),
    /// What serves the shared folder of the device of this name is gone.
    ShareLost(String),
    /// A vCPU crashed, or the thread of a device.
    Crash(CrashReport),
    /// Nobody holds the machine any more.
    Abandoned,
}

struct Queue<C> {
    commands: VecDeque<C>,
    signals: [bool; SIGNALS.len()],
    /// On which vCPU the guest's kernel panicked; of several the first.
    panicked: Option<u32>,
    crashes: VecDeque<CrashReport>,
    /// Disk devices whose writes wait for space.
    full: BTreeSet<String>,
    /// Interface devices whose network is gone, and nobody was told yet.
    lost: BTreeSet<String>,
    /// Shared folders whose back-end is gone, and nobody was told yet.
    lost_shares: BTreeSet<String>,
    abandoned: bool,
    closed: bool,
    /// Whether the guest had the last turn.
    guest_had_turn: bool,
    /// How many commands come before the guest's next news.
    owner_turns: usize,
}

/// The queue. `C` is a command.
pub struct Inbox<C = crate::command::Command> {
    queue: Mutex<Queue<C>>,
    filled: Condvar,
    signalled: AtomicBool,
}

/// In the order in which they are dealt with.
const SIGNALS: [GuestSignal; 4] =
    [GuestSignal::PowerOff, GuestSignal::Panic, GuestSignal::Reset, GuestSignal::Watchdog];

/// Whether vCPUs stay out of the guest until the signal is dealt with: one that comes of itself says that the guest does
/// nothing, and may be followed by nothing.
fn holds(signal: GuestSignal) -> bool {
    signal != GuestSignal::Watchdog
}

impl<C> Default for Inbox<C> {
    fn default() -> Self {
        let queue = Queue {
            commands: VecDeque::new(),
            signals: [false; SIGNALS.len()],
            panicked: None,
            crashes: VecDeque::new(),
            full: BTreeSet::new(),
            lost_shares: BTreeSet::new(),
            lost: BTreeSet::new(),
            abandoned: false,
            closed: false,
            guest_had_turn: false,
            owner_turns: 0,
        };
        Self { queue: Mutex::new(queue), filled: Condvar::new(), signalled: AtomicBool::new(false) }
    }
}

impl<C> Inbox<C> {
    /// Queues a command, or gives it back when the driver takes none any more.
    pub fn send(&self, command: C) -> Result<(), C> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(command);
        }
        queue.commands.push_back(command);
        drop(queue);
        self.filled.notify_all();
        Ok(())
    }

    /// Reports a crash.
    pub fn report_crash(&self, report: CrashReport) {
        self.lock().crashes.push_back(report);
        self.filled.notify_all();
    }

    /// Tells the driver that nobody holds the machine any more.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
        self.filled.notify_all();
    }

    /// Waits for what is next: the guest's news and the owner's commands in turn, the guest first. The owner's turn is all
    /// that it wants at that moment.
    pub fn next(&self) -> Message<C> {
        let mut queue = self.lock();
        loop {
            if let Some(message) = queue.take() {
                return message;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the guest asked something of its machine since [`Inbox::forget_signals`]. A vCPU that sees this stays
    /// out of the guest until the driver has decided: a guest that switched itself off must not run on.
    pub fn guest_signalled(&self) -> bool {
        self.signalled.load(Ordering::SeqCst)
    }

    /// Drops the guest's signals and crashes, not our own faults. For a reset: they belong to the guest before it.
    /// Call while every vCPU is paused.
    pub fn forget_signals(&self) {
        let mut queue = self.lock();
        queue.signals = [false; SIGNALS.len()];
        queue.panicked = None;
        queue.full.clear();
        queue.crashes.retain(CrashReport::is_ours);
        self.signalled.store(false, Ordering::SeqCst);
    }

    /// Takes the number of the vCPU whose write was the panic that is being dealt with.
    pub fn take_panicked(&self) -> Option<u32> {
        self.lock().panicked.take()
    }

    /// Takes the report of a thread that ended by a fault of ours or of the host, if there is one.
    pub fn take_fault(&self) -> Option<CrashReport> {
        let mut queue = self.lock();
        let position = queue.crashes.iter().position(CrashReport::is_ours)?;
        queue.crashes.remove(position)
    }

    /// Lets vCPUs run on after signals that are dealt with, and forgets which disks waited for space: their writes are
    /// tried again now. Call while vCPUs and devices are paused.
    pub fn settle(&self) {
        let mut queue = self.lock();
        queue.full.clear();
        let waiting = queue.signals.iter().zip(SIGNALS).any(|(flag, signal)| *flag && holds(signal));
        self.signalled.store(waiting, Ordering::SeqCst);
    }

    /// Refuses commands from now on and gives back those that wait.
    pub fn close(&self) -> Vec<C> {
        let mut queue = self.lock();
        queue.closed = true;
        queue.commands.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queue<C>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Queue<C> {
    /// Takes turns, so that a guest that resets itself without end cannot keep its owner from stopping it: no command waits
    /// for more than the one piece of news that is being dealt with.
    fn take(&mut self) -> Option<Message<C>> {
        if std::mem::take(&mut self.guest_had_turn) {
            self.owner_turns = self.commands.len().max(1);
        }
        let owners = self.owner_turns > 0;
        self.owner_turns = self.owner_turns.saturating_sub(1);
        let (first, second) = if owners {
            (self.take_owner(), Self::take_guest as fn(&mut Self) -> _)
        } else {
            (self.take_guest(), Self::take_owner as fn(&mut Self) -> _)
        };
        let message = first.or_else(|| second(self))?;
        self.guest_had_turn = matches!(
            message,
            Message::Signal(_)
                | Message::Crash(_)
                | Message::DiskFull(_)
                | Message::LinkLost(_)
                | Message::ShareLost(_)
        );
        Some(message)
    }

    /// What the guest has lost comes first, once for each: it may be why the guest ends, and after the end nothing is told.
    fn take_guest(&mut self) -> Option<Message<C>> {
        if let Some(device) = self.lost.pop_first() {
            return Some(Message::LinkLost(device));
        }
        if let Some(device) = self.lost_shares.pop_first() {
            return Some(Message::ShareLost(device));
        }
        for (flag, signal) in self.signals.iter_mut().zip(SIGNALS) {
            if std::mem::take(flag) {
                return Some(Message::Signal(signal));
            }
        }
        let crash = self.crashes.pop_front().map(Message::Crash);
        crash.or_else(|| self.full.pop_first().map(Message::DiskFull))
    }

    fn take_owner(&mut self) -> Option<Message<C>> {
        let command = self.commands.pop_front().map(Message::Command);
        command.or_else(|| self.abandoned.then_some(Message::Abandoned))
    }
}

impl<C: Send> GuestSignals for Inbox<C> {
    fn signal(&self, signal: GuestSignal) {
        let mut queue = self.lock();
        for (flag, known) in queue.signals.iter_mut().zip(SIGNALS) {
            *flag |= known == signal;
        }
        if signal == GuestSignal::Panic && queue.panicked.is_none() {
            queue.panicked = current_vcpu();
        }
        if holds(signal) {
            self.signalled.store(true, Ordering::SeqCst);
        }
        drop(queue);
        self.filled.notify_all();
    }
}

impl<C: Send> SpaceAlarm for Inbox<C> {
    fn out_of_space(&self, device: &str) {
        let mut queue = self.lock();
        if !queue.full.contains(device) {
            queue.full.insert(device.to_owned());
        }
        drop(queue);
        self.filled.notify_all();
    }
}

impl<C: Send> LinkAlarm for Inbox<C> {
    fn link_lost(&self, device: &str) {
        self.lock().lost.insert(device.to_owned());
        self.filled.notify_all();
    }
}

impl<C: Send> ShareAlarm for Inbox<C> {
    fn share_lost(&self, device: &str) {
        self.lock().lost_shares.insert(device.to_owned());
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::become_vcpu;

    fn crash() -> CrashReport {
        CrashReport { origin: Origin::Vcpu(0), crash: Crash::TripleFault, registers: None }
    }

    #[test]
    fn guest_and_owner_take_turns() {
        let inbox = Inbox::<u32>::default();
        inbox.abandon();
        inbox.send(1).unwrap();
        inbox.report_crash(crash());
        inbox.signal(GuestSignal::PowerOff);
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::PowerOff)));
        inbox.signal(GuestSignal::Reset);
        assert!(matches!(inbox.next(), Message::Command(1)));
        inbox.send(2).unwrap();
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::Reset)));
        inbox.signal(GuestSignal::Reset);
        assert!(matches!(inbox.next(), Message::Command(2)));
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::Reset)));
        assert!(matches!(inbox.next(), Message::Abandoned));
        assert!(matches!(inbox.next(), Message::Crash(_)));
    }

    #[test]
    fn no_command_waits_for_more_than_one_reset_of_a_guest_that_resets_without_end() {
        let inbox = Inbox::<u32>::default();
        inbox.signal(GuestSignal::Reset);
        inbox.next();
        // While the guest is loaded again its owner asks for counters, three times, and for a pause.
        (1..=4).for_each(|command| inbox.send(command).unwrap());
        inbox.signal(GuestSignal::Reset);
        for wanted in 1..=4 {
            assert!(matches!(inbox.next(), Message::Command(command) if command == wanted));
            inbox.send(100 + wanted).unwrap();
        }
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::Reset)), "nor the guest for its owner");
    }

    #[test]
    fn a_storm_of_signals_is_one_message() {
        let inbox = Inbox::<u32>::default();
        for _ in 0..100_000 {
            inbox.signal(GuestSignal::Panic);
        }
        inbox.send(1).unwrap();
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::Panic)));
        assert!(matches!(inbox.next(), Message::Command(1)));
    }

    #[test]
    fn a_lost_link_is_told_whatever_became_of_the_guest_meanwhile() {
        let inbox = Inbox::<u32>::default();
        inbox.link_lost("net:b");
        inbox.link_lost("net:b");
        inbox.forget_signals();
        inbox.settle();
        assert!(!inbox.guest_signalled(), "vCPUs need not wait for that");
        assert!(matches!(inbox.next(), Message::LinkLost(device) if device == "net:b"));
        inbox.abandon();
        assert!(matches!(inbox.next(), Message::Abandoned));
    }

    #[test]
    fn what_a_guest_lost_is_told_before_it_ends() {
        let inbox = Inbox::<u32>::default();
        inbox.signal(GuestSignal::PowerOff);
        inbox.share_lost("share:b");
        inbox.link_lost("net:b");
        assert!(matches!(inbox.next(), Message::LinkLost(_)));
        assert!(matches!(inbox.next(), Message::ShareLost(_)));
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::PowerOff)));
    }

    #[test]
    fn a_lost_share_is_told_as_a_lost_link_is() {
        let inbox = Inbox::<u32>::default();
        inbox.share_lost("share:b");
        inbox.link_lost("net:b");
        inbox.forget_signals();
        assert!(!inbox.guest_signalled(), "vCPUs need not wait for that");
        assert!(matches!(inbox.next(), Message::LinkLost(device) if device == "net:b"));
        assert!(matches!(inbox.next(), Message::ShareLost(device) if device == "share:b"));
    }

    #[test]
    fn a_full_disk_is_one_message_until_the_machine_goes_on() {
        let inbox = Inbox::<u32>::default();
        for _ in 0..100_000 {
            inbox.out_of_space("disk:b");
            inbox.out_of_space("disk:a");
        }
        assert!(!inbox.guest_signalled(), "vCPUs need not wait for that");
        assert!(matches!(inbox.next(), Message::DiskFull(device) if device == "disk:a"));
        inbox.settle();
        inbox.send(1).unwrap();
        inbox.send(2).unwrap();
        assert!(matches!(inbox.next(), Message::Command(1)));
        inbox.out_of_space("disk:b");
        inbox.forget_signals();
        assert!(matches!(inbox.next(), Message::Command(2)));
    }

    #[test]
    fn the_vcpu_that_panicked_first_is_known_until_it_is_dealt_with() {
        let inbox = Inbox::<u32>::default();
        let on_vcpu = |index, signal| {
            let on_thread = || {
                become_vcpu(index);
                inbox.signal(signal);
            };
            std::thread::scope(|scope| scope.spawn(on_thread).join().unwrap());
        };
        on_vcpu(2, GuestSignal::Reset);
        assert_eq!(inbox.take_panicked(), None, "a reset is no panic");
        on_vcpu(3, GuestSignal::Panic);
        on_vcpu(1, GuestSignal::Panic);
        assert_eq!(inbox.take_panicked(), Some(3));
        on_vcpu(1, GuestSignal::Panic);
        assert_eq!(inbox.take_panicked(), Some(1), "another panic, after the machine was resumed");
        on_vcpu(1, GuestSignal::Panic);
        inbox.forget_signals();
        inbox.signal(GuestSignal::Panic);
        assert_eq!(inbox.take_panicked(), None, "no thread of a vCPU");
    }

    #[test]
    fn vcpus_stay_out_until_all_signals_are_dealt_with() {
        let inbox = Inbox::<u32>::default();
        inbox.signal(GuestSignal::Panic);
        inbox.signal(GuestSignal::Reset);
        inbox.next();
        inbox.settle();
        assert!(inbox.guest_signalled());
        inbox.next();
        inbox.settle();
        assert!(!inbox.guest_signalled());
    }

    #[test]
    fn a_watchdog_is_one_message_and_holds_no_vcpu() {
        let inbox = Inbox::<u32>::default();
        inbox.signal(GuestSignal::Watchdog);
        inbox.signal(GuestSignal::Watchdog);
        assert!(!inbox.guest_signalled());
        inbox.settle();
        assert!(!inbox.guest_signalled());
        inbox.signal(GuestSignal::Panic);
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::Panic)));
        inbox.settle();
        assert!(!inbox.guest_signalled());
        inbox.send(1).unwrap();
        assert!(matches!(inbox.next(), Message::Command(1)));
        assert!(matches!(inbox.next(), Message::Signal(GuestSignal::Watchdog)));
        inbox.signal(GuestSignal::Watchdog);
        inbox.forget_signals();
        inbox.send(2).unwrap();
        assert!(matches!(inbox.next(), Message::Command(2)), "the guest before the reset");
    }

    #[test]
    fn a_reset_forgets_what_the_old_guest_said() {
        let inbox = Inbox::<u32>::default();
        inbox.signal(GuestSignal::PowerOff);
        inbox.report_crash(crash());
        inbox.forget_signals();
        assert!(!inbox.guest_signalled());
        inbox.send(1).unwrap();
        assert!(matches!(inbox.next(), Message::Command(1)));
    }

    #[test]
    fn a_closed_inbox_gives_commands_back() {
        let inbox = Inbox::<u32>::default();
        inbox.send(1).unwrap();
        assert_eq!(inbox.close(), [1]);
        assert_eq!(inbox.send(2), Err(2));
    }
}
