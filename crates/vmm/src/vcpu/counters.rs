// SPDX-License-Identifier: Apache-2.0
//! What a vCPU counts. Each has counters of its own, on cache lines of their own: no two vCPUs wait for one another to count.

use std::sync::atomic::{AtomicU64, Ordering};

use flotilla_device_model::metrics::Counter;
use flotilla_hypervisor::Exit;

/// Exits of one vCPU by reason. Processors fetch cache lines in pairs of 64 bytes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct VcpuCounters {
    port_in: Counter,
    port_out: Counter,
    mmio_read: Counter,
    mmio_write: Counter,
    halt: Counter,
    interrupted: Counter,
    debug: Counter,
    shutdown: Counter,
    system_event: Counter,
    failed: Counter,
    unclaimed: Counter,
    thread_id: AtomicU64,
}

impl VcpuCounters {
    /// Counts an exit.
    pub fn count(&self, exit: &Exit<'_>) {
        let counter = match exit {
            Exit::PortIn { .. } => &self.port_in,
            Exit::PortOut { .. } => &self.port_out,
            Exit::MmioRead { .. } => &self.mmio_read,
            Exit::MmioWrite { .. } => &self.mmio_write,
            Exit::Halt => &self.halt,
            Exit::Interrupted => &self.interrupted,
            Exit::Debug { .. } => &self.debug,
            Exit::Shutdown => &self.shutdown,
            Exit::SystemEvent { .. } => &self.system_event,
            Exit::InternalError { .. }
            | Exit::FailEntry { .. }
            | Exit::MemoryFault { .. }
            | Exit::Unknown(_) => &self.failed,
        };
        counter.increment();
    }

    /// Counts an exit that KVM ended with an error.
    pub fn count_failure(&self) {
        self.failed.increment();
    }

    /// Counts an access where no device is.
    pub fn count_unclaimed(&self) {
        self.unclaimed.increment();
    }

    /// Says which thread of the host runs the vCPU; 0 at its end, when the number may become that of another one.
    pub fn set_thread_id(&self, id: u64) {
        self.thread_id.store(id, Ordering::Relaxed);
    }

    /// The values under their names. Times of the thread are for those to add who can see them.
    pub fn values(&self) -> [(&'static str, u64); 12] {
        [
            ("exits_port_in", self.port_in.get()),
            ("exits_port_out", self.port_out.get()),
            ("exits_mmio_read", self.mmio_read.get()),
            ("exits_mmio_write", self.mmio_write.get()),
            ("exits_halt", self.halt.get()),
            ("exits_interrupted", self.interrupted.get()),
            ("exits_debug", self.debug.get()),
            ("exits_shutdown", self.shutdown.get()),
            ("exits_system_event", self.system_event.get()),
            ("exits_failed", self.failed.get()),
            ("unclaimed_accesses", self.unclaimed.get()),
            ("thread_id", self.thread_id.load(Ordering::Relaxed)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use flotilla_hypervisor::SystemEventKind;
    use flotilla_spec::metrics::Component;

    use super::*;

    #[test]
    fn each_exit_counts_under_its_reason() {
        let (mut byte, counters) = ([0], VcpuCounters::default());
        let value = |name| counters.values().into_iter().find(|(known, _)| *known == name).unwrap().1;
        for (exit, name, expected) in [
            (Exit::PortIn { port: 1, width: 1, data: &mut byte }, "exits_port_in", 1),
            (Exit::PortOut { port: 1, width: 1, data: &[0] }, "exits_port_out", 1),
            (Exit::MmioRead { address: 1, data: &mut [0] }, "exits_mmio_read", 1),
            (Exit::MmioWrite { address: 1, data: &[0] }, "exits_mmio_write", 1),
            (Exit::Halt, "exits_halt", 1),
            (Exit::Interrupted, "exits_interrupted", 1),
            (Exit::Debug { pc: 0 }, "exits_debug", 1),
            (Exit::Shutdown, "exits_shutdown", 1),
            (Exit::SystemEvent { kind: SystemEventKind::Reset }, "exits_system_event", 1),
            (Exit::InternalError { suberror: 1, data: Vec::new() }, "exits_failed", 1),
            (Exit::FailEntry { reason: 1, cpu: 0 }, "exits_failed", 2),
            (Exit::MemoryFault { address: 0, len: 1 }, "exits_failed", 3),
            (Exit::Unknown(99), "exits_failed", 4),
        ] {
            counters.count(&exit);
            assert_eq!(value(name), expected, "{name}");
        }
        counters.count_failure();
        counters.count_unclaimed();
        counters.set_thread_id(7);
        assert_eq!((value("exits_failed"), value("unclaimed_accesses"), value("thread_id")), (5, 1, 7));
        assert_eq!(counters.values().iter().map(|(_, value)| value).sum::<u64>(), 9 + 5 + 1 + 7);
    }

    #[test]
    fn reports_the_metrics_that_are_declared_but_for_the_times_of_its_thread() {
        let differences = Component::named("vcpu").unwrap().differences(&VcpuCounters::default().values());
        let missing =
            ["vcpu.run_ns is declared and not reported", "vcpu.wait_ns is declared and not reported"];
        assert_eq!(differences, missing);
    }

    #[test]
    fn two_vcpus_share_no_cache_line() {
        assert_eq!((align_of::<VcpuCounters>(), size_of::<VcpuCounters>() % 128), (128, 0));
    }
}
