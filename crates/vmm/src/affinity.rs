// SPDX-License-Identifier: Apache-2.0
//! On which CPUs of the host the threads of a machine run.
//!
//! A thread begins on the CPUs of the one that started it. The threads of devices are started by vCPUs, so where those are
//! pinned, these return to where the machine was built unless they have CPUs of their own.

use std::io;

use flotilla_device_model::threads::named;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{PinSpec, Violation};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::BuildError;

/// The CPUs of each thread; `None` means those it begins with.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    vcpus: Vec<Option<CpuSet>>,
    /// For the threads of devices.
    pub io: Option<CpuSet>,
}

impl Affinity {
    /// What the specification asks for, after a look whether this host and process have these CPUs.
    pub fn of(pin: &PinSpec) -> Result<Self, BuildError> {
        if pin.is_empty() {
            return Ok(Self::default());
        }
        let host = |source: io::Error| BuildError::Host { step: "look which CPUs there are", source };
        let usable = usable(pin).map_err(host)?;
        for (path, list) in lists(pin) {
            if let Some(absent) = list.iter().find(|cpu| !usable.contains(cpu)) {
                let message =
                    format!("CPU {absent} of the host is absent, off or not allowed to this process");
                return Err(BuildError::Resource(Violation::new(ErrorCode::HostCpuAbsent, path, message)));
            }
        }
        let own = sched_getaffinity(None).map_err(|error| host(error.into()))?;
        Ok(Self { vcpus: pin.vcpus.iter().map(|list| set(list)).collect(), io: set(&pin.io).or(Some(own)) })
    }

    /// The CPUs of a vCPU.
    pub fn vcpu(&self, index: usize) -> Option<CpuSet> {
        self.vcpus.get(index).copied().flatten()
    }
}

/// Moves the calling thread to these CPUs.
pub fn enter(cpus: Option<&CpuSet>) -> io::Result<()> {
    cpus.map_or(Ok(()), |cpus| sched_setaffinity(None, cpus).map_err(io::Error::from))
}

fn lists(pin: &PinSpec) -> impl Iterator<Item = (String, &Vec<u32>)> {
    let vcpus = pin.vcpus.iter().enumerate();
    let vcpus = vcpus.map(|(index, list)| (format!("$.cpu.pin.vcpus[{index}]"), list));
    vcpus.chain([("$.cpu.pin.io".to_owned(), &pin.io)])
}

/// Those of the named CPUs that a thread of this process can run on. Tried out: in a jail there is no `/sys` to read.
fn usable(pin: &PinSpec) -> io::Result<Vec<u32>> {
    let mut named_ones: Vec<u32> = lists(pin).flat_map(|(_, list)| list.iter().copied()).collect();
    named_ones.sort_unstable();
    named_ones.dedup();
    let trial = move || -> Vec<u32> {
        let works = |cpu: &u32| set(&[*cpu]).is_some_and(|cpus| sched_setaffinity(None, &cpus).is_ok());
        named_ones.into_iter().filter(works).collect()
    };
    let tried = named("pin-check").spawn(trial)?.join();
    tried.map_err(|_| io::Error::other("the thread that tried them out has ended"))
}

/// The set of these CPUs; `None` for an empty list.
fn set(list: &[u32]) -> Option<CpuSet> {
    let mut cpus = CpuSet::new();
    for cpu in list {
        let cpu = usize::try_from(*cpu).ok().filter(|cpu| *cpu < CpuSet::MAX_CPU)?;
        cpus.set(cpu);
    }
    (!list.is_empty()).then_some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_its_place() {
        let pin = PinSpec { vcpus: vec![vec![], vec![1023]], io: vec![] };
        let error = Affinity::of(&pin).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::HostCpuAbsent, Some("$.cpu.pin.vcpus[1]")));
        let error = Affinity::of(&PinSpec { vcpus: vec![], io: vec![1022] }).unwrap_err();
        assert_eq!((error.code(), error.field()), (ErrorCode::HostCpuAbsent, Some("$.cpu.pin.io")));
    }

    #[test]
    fn threads_of_devices_do_not_stay_where_a_vcpu_is_pinned() {
        let own = sched_getaffinity(None).unwrap();
        let first = (0..1024).find(|cpu| own.is_set(*cpu)).unwrap();
        let first = u32::try_from(first).unwrap();
        let affinity = Affinity::of(&PinSpec { vcpus: vec![vec![first], vec![]], io: vec![] }).unwrap();
        assert_eq!(affinity.vcpu(0).unwrap().count(), 1);
        assert!(affinity.vcpu(1).is_none() && affinity.vcpu(9).is_none());
        assert_eq!(affinity.io.unwrap(), own);
        assert!(Affinity::of(&PinSpec::default()).unwrap().io.is_none());
    }
}
