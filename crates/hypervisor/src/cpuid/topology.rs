// SPDX-License-Identifier: Apache-2.0
//! The place of a vCPU in its machine, in every leaf that tells of it.

use kvm_bindings::KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

use super::{Cpuid, CpuidEntry, set};

/// The processors that a machine shows its guest. An APIC id is made of the numbers of thread, core and socket, each in a field
/// of whole bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTopology {
    /// Sockets of the machine, at least 1.
    pub sockets: u32,
    /// Cores of a socket, at least 1.
    pub cores: u32,
    /// Threads of a core, at least 1.
    pub threads: u32,
}

impl CpuTopology {
    /// One socket of cores without siblings.
    pub const fn flat(cpus: u32) -> Self {
        Self { sockets: 1, cores: cpus, threads: 1 }
    }

    /// Width in bits of the thread number in an APIC id.
    fn thread_bits(self) -> u32 {
        width(self.threads)
    }

    /// Width in bits of thread and core number together.
    fn package_bits(self) -> u32 {
        width(self.threads).saturating_add(width(self.cores)).min(31)
    }

    /// Ids that a socket can have.
    fn package_ids(self) -> u32 {
        1 << self.package_bits()
    }

    /// CPUs of a socket.
    fn package_cpus(self) -> u32 {
        self.cores.saturating_mul(self.threads).max(1)
    }
}

/// Bits that hold the numbers below `count`.
fn width(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

impl Cpuid {
    /// Fits the table to the vCPU with this APIC id. `tsc_khz` is the frequency of its TSC.
    pub(crate) fn fit(&mut self, apic_id: u32, topology: CpuTopology, tsc_khz: Option<u32>) {
        let amd = self.is_amd();
        for entry in &mut self.entries {
            match entry.function {
                0x1 => package(entry, apic_id, topology),
                0x4 | 0x8000_001d => sharing(entry, topology),
                // CMP_LEGACY: the count in leaf 1 means cores.
                0x8000_0001 if amd => set(&mut entry.ecx, 1, topology.package_cpus() > 1),
                0x8000_0008 => package_size(entry, topology, amd),
                0x8000_001e => amd_ids(entry, apic_id, topology),
                _ => {}
            }
        }
        self.set_extended_topology(apic_id, topology, amd);
        self.set_timing(tsc_khz);
    }

    /// Leaf 0xB, which KVM leaves nearly empty, and its successor 0x1F. AMD's own successor would tell of the host.
    fn set_extended_topology(&mut self, apic_id: u32, topology: CpuTopology, amd: bool) {
        self.entries.retain(|entry| ![0xb, 0x1f, 0x8000_0026].contains(&entry.function));
        let highest = self.raise_highest(0, 0xb);
        let successor = (!amd && highest >= 0x1f).then_some(0x1f);
        for function in [Some(0xb), successor].into_iter().flatten() {
            let level = |subleaf, kind: u32, shift, count| CpuidEntry {
                function,
                index: subleaf,
                flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                eax: shift,
                ebx: count,
                ecx: kind << 8 | subleaf,
                edx: apic_id,
            };
            let threads = level(0, 1, topology.thread_bits(), topology.threads & 0xffff);
            let cores = level(1, 2, topology.package_bits(), topology.package_cpus() & 0xffff);
            self.entries.extend([threads, cores, level(2, 0, 0, 0)]);
        }
    }
}

fn package(entry: &mut CpuidEntry, apic_id: u32, topology: CpuTopology) {
    let cache_line = 64 / 8;
    entry.ebx =
        (apic_id & 0xff) << 24 | topology.package_ids().min(255) << 16 | cache_line << 8 | entry.ebx & 0xff;
    set(&mut entry.edx, 28, topology.package_cpus() > 1); // HTT: more than one id per package
}

/// Which caches are shared: the last level by all CPUs of a socket, the others by the threads of a core.
fn sharing(entry: &mut CpuidEntry, topology: CpuTopology) {
    let kind = entry.eax & 0x1f;
    if kind == 0 {
        return;
    }
    let level = entry.eax >> 5 & 7;
    let sharers = if level >= 3 { topology.package_ids() } else { 1 << topology.thread_bits() };
    entry.eax = entry.eax & 0x3fff | (sharers - 1).min(0xfff) << 14;
    if entry.function == 0x4 {
        let cores = topology.package_ids() >> topology.thread_bits();
        entry.eax |= (cores.max(1) - 1).min(0x3f) << 26;
    }
}

fn package_size(entry: &mut CpuidEntry, topology: CpuTopology, amd: bool) {
    entry.ecx &= !0xf0ff;
    if amd {
        entry.ecx |= topology.package_bits().min(15) << 12 | (topology.package_cpus() - 1).min(0xff);
    }
}

/// The id, the core with its threads, and the node: a socket is one.
fn amd_ids(entry: &mut CpuidEntry, apic_id: u32, topology: CpuTopology) {
    let core = (apic_id & (topology.package_ids() - 1)) >> topology.thread_bits();
    let threads = topology.threads.saturating_sub(1).min(0xff);
    entry.eax = apic_id;
    entry.ebx = threads << 8 | core & 0xff;
    entry.ecx = (apic_id >> topology.package_bits()) & 0xff;
}
