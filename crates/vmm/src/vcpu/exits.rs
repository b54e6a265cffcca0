// SPDX-License-Identifier: Apache-2.0
//! What each exit of a vCPU leads to. Free functions: a test feeds them made-up exits and needs no KVM.

use std::sync::Arc;

use flotilla_device_model::bus::Bus;
use flotilla_hypervisor::{Exit, SystemEventKind};

use super::counters::VcpuCounters;

/// Where exits go.
pub struct Routes {
    /// Devices at I/O ports.
    pub ports: Arc<Bus>,
    /// Devices at memory addresses.
    pub memory: Arc<Bus>,
}

impl Drop for Routes {
    /// The PCI root lies on the memory bus, and its functions hold that bus to move about on it.
    fn drop(&mut self) {
        self.ports.clear();
        self.memory.clear();
    }
}

/// What follows an exit.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Enter the guest again.
    Continue,
    /// The vCPU cannot go on by itself; the driver decides.
    Crash(Crash),
}

/// Why a vCPU cannot go on by itself; the last two also of the thread of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crash {
    /// Three nested faults: the guest broke its own fault handling.
    TripleFault,
    /// The guest asked KVM, not a device, to switch off.
    PowerOff,
    /// The guest asked KVM, not a device, to reset.
    Reset,
    /// The guest told KVM, not a device, that it crashed.
    Panic,
    /// KVM or the processor refuses to go on; the text says what it told.
    Internal(String),
    /// The host refused something that the thread cannot work without, and the thread has ended.
    ThreadLost(String),
    /// Our own code panicked on the thread; the text is its message.
    Panicked(String),
}

/// Answers one exit. No lock is held while a device answers.
pub fn handle(exit: Exit<'_>, routes: &Routes, counters: &VcpuCounters) -> Outcome {
    counters.count(&exit);
    match exit {
        Exit::PortIn { port, width, data } => {
            for access in data.chunks_mut(usize::from(width.max(1))) {
                count_unclaimed(counters, routes.ports.read(u64::from(port), access));
            }
            Outcome::Continue
        }
        Exit::PortOut { port, width, data } => {
            for access in data.chunks(usize::from(width.max(1))) {
                count_unclaimed(counters, routes.ports.write(u64::from(port), access));
            }
            Outcome::Continue
        }
        Exit::MmioRead { address, data } => {
            count_unclaimed(counters, routes.memory.read(address, data));
            Outcome::Continue
        }
        Exit::MmioWrite { address, data } => {
            count_unclaimed(counters, routes.memory.write(address, data));
            Outcome::Continue
        }
        // Halt: with interrupt controllers in the kernel KVM waits there itself; waiting again is harmless.
        // Debug: nobody asked for it, a debugger may have left a breakpoint behind.
        Exit::Interrupted | Exit::Halt | Exit::Debug { .. } => Outcome::Continue,
        Exit::Shutdown => Outcome::Crash(Crash::TripleFault),
        Exit::SystemEvent { kind } => system_event(kind),
        Exit::InternalError { suberror, data } => Outcome::Crash(Crash::Internal(internal(suberror, &data))),
        Exit::FailEntry { reason, cpu } => {
            let text = format!(
                "The processor refuses the guest's state: hardware reason {reason:#x} on host CPU {cpu}"
            );
            Outcome::Crash(Crash::Internal(text))
        }
        Exit::MemoryFault { address, len } => {
            let text = format!("Guest memory {address:#x}+{len:#x} cannot be reached: the host took it away");
            Outcome::Crash(Crash::Internal(text))
        }
        Exit::Unknown(reason) => {
            Outcome::Crash(Crash::Internal(format!("KVM left the guest with the unknown reason {reason}")))
        }
    }
}

fn count_unclaimed(counters: &VcpuCounters, claimed: bool) {
    if !claimed {
        counters.count_unclaimed();
    }
}

fn system_event(kind: SystemEventKind) -> Outcome {
    match kind {
        SystemEventKind::Shutdown => Outcome::Crash(Crash::PowerOff),
        SystemEventKind::Reset => Outcome::Crash(Crash::Reset),
        SystemEventKind::Crash => Outcome::Crash(Crash::Panic),
        SystemEventKind::Wakeup | SystemEventKind::Suspend | SystemEventKind::Other(_) => Outcome::Continue,
    }
}

fn internal(suberror: u32, data: &[u64]) -> String {
    let cause = match suberror {
        1 => "cannot emulate an instruction of the guest",
        2 => "met two exceptions at once",
        3 => "could not deliver an event to the guest",
        4 => "met an exit it does not expect",
        _ => "stopped for a reason of its own",
    };
    let words: Vec<String> = data.iter().map(|word| format!("{word:#x}")).collect();
    format!("KVM {cause} (internal error {suberror}, data [{}])", words.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use flotilla_device_model::bus::BusDevice;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u64, Vec<u8>)>>);

    impl BusDevice for Recorder {
        fn read(&self, offset: u64, data: &mut [u8]) {
            let mut calls = self.0.lock().unwrap();
            calls.push((offset, Vec::new()));
            data.fill(u8::try_from(calls.len()).unwrap());
        }

        fn write(&self, offset: u64, data: &[u8]) {
            self.0.lock().unwrap().push((offset, data.to_vec()));
        }
    }

    fn routes() -> (Routes, Arc<Recorder>) {
        let routes = Routes { ports: Arc::default(), memory: Arc::default() };
        let device = Arc::new(Recorder::default());
        routes.ports.insert(0x100, 8, device.clone()).unwrap();
        routes.memory.insert(0x1000, 0x100, device.clone()).unwrap();
        (routes, device)
    }

    fn handle(exit: Exit<'_>, routes: &Routes) -> Outcome {
        super::handle(exit, routes, &VcpuCounters::default())
    }

    #[test]
    fn absent_hardware_reads_all_ones() {
        let ((routes, _), counters) = (routes(), VcpuCounters::default());
        let mut data = [0; 4];
        super::handle(Exit::PortIn { port: 0x80, width: 4, data: &mut data }, &routes, &counters);
        assert_eq!(data, [0xff; 4]);
        let mut data = [0; 8];
        super::handle(Exit::MmioRead { address: 0x1100, data: &mut data }, &routes, &counters);
        assert_eq!(data, [0xff; 8]);
        let exit = Exit::MmioRead { address: u64::MAX, data: &mut data };
        assert_eq!(super::handle(exit, &routes, &counters), Outcome::Continue);
        assert!(counters.values().contains(&("unclaimed_accesses", 3)));
        assert!(counters.values().contains(&("exits_mmio_read", 2)));
    }

    #[test]
    fn accesses_reach_their_device_at_its_offset() {
        let (routes, device) = routes();
        handle(Exit::PortOut { port: 0x102, width: 2, data: &[1, 2] }, &routes);
        handle(Exit::MmioWrite { address: 0x1010, data: &[3] }, &routes);
        assert_eq!(*device.0.lock().unwrap(), [(2, vec![1, 2]), (0x10, vec![3])]);
    }

    #[test]
    fn a_string_instruction_is_many_accesses_to_one_port() {
        let (routes, device) = routes();
        handle(Exit::PortOut { port: 0x104, width: 1, data: b"abc" }, &routes);
        assert_eq!(*device.0.lock().unwrap(), [(4, vec![b'a']), (4, vec![b'b']), (4, vec![b'c'])]);
        let mut data = [0; 4];
        handle(Exit::PortIn { port: 0x104, width: 2, data: &mut data }, &routes);
        assert_eq!(data, [4, 4, 5, 5]);
    }

    #[test]
    fn what_the_guest_cannot_survive_is_a_crash() {
        let (routes, _) = routes();
        assert_eq!(handle(Exit::Shutdown, &routes), Outcome::Crash(Crash::TripleFault));
        let event = Exit::SystemEvent { kind: SystemEventKind::Crash };
        assert_eq!(handle(event, &routes), Outcome::Crash(Crash::Panic));
        let error = handle(Exit::InternalError { suberror: 1, data: vec![0x10, 2] }, &routes);
        let Outcome::Crash(Crash::Internal(text)) = error else { panic!("{error:?}") };
        assert!(text.contains("emulate") && text.contains("0x10, 0x2"), "{text}");
        let refused = handle(Exit::FailEntry { reason: 0x8000_0021, cpu: 3 }, &routes);
        let Outcome::Crash(Crash::Internal(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("0x80000021") && text.contains("CPU 3"), "{text}");
    }

    #[test]
    fn exits_without_meaning_here_go_on() {
        let (routes, _) = routes();
        for exit in [Exit::Halt, Exit::Interrupted, Exit::Debug { pc: 0 }] {
            assert_eq!(handle(exit, &routes), Outcome::Continue);
        }
        let event = Exit::SystemEvent { kind: SystemEventKind::Other(99) };
        assert_eq!(handle(event, &routes), Outcome::Continue);
    }
}
