// SPDX-License-Identifier: Apache-2.0
//! Machines with several CPUs, each of which is seen to run: it counts in guest memory, under its own APIC identifier.

use std::time::{Duration, Instant};

use flotilla_memory::{Bytes, GuestAddress};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::MachineState;
use flotilla_spec::{HostLimits, MAX_CPUS};
use flotilla_test_guests::counters::{CENSUS, COUNTERS, MOST_CPUS};

use super::{Fixture, LIMIT, kvm_is_there, spec_of};

/// The guest that counts, with as many CPUs.
struct Counting {
    fixture: Fixture,
    cpus: usize,
}

impl Counting {
    fn boot(cpus: u32) -> Self {
        let fixture = Fixture::boot("counters", |spec| spec.cpus = cpus);
        fixture.expect("ready\n");
        Self { fixture, cpus: usize::try_from(cpus).unwrap() }
    }

    fn word(&self, address: u32) -> u32 {
        let word: u32 = self.fixture.machine.memory().read_obj(GuestAddress(address.into())).unwrap();
        u32::from_le(word)
    }

    /// The counters of all CPUs the guest could have.
    fn counters(&self) -> Vec<u32> {
        (0..MOST_CPUS).map(|cpu| self.word(COUNTERS + 4 * cpu)).collect()
    }

    /// Waits until every CPU has counted on from where it was, and gives where they are then.
    fn all_move_on(&self, from: &[u32]) -> Vec<u32> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let now = self.counters();
            if now.iter().zip(from).take(self.cpus).all(|(now, from)| now != from) {
                return now;
            }
            assert!(Instant::now() < deadline, "of {} CPUs some stand still: {from:?}, {now:?}", self.cpus);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn every_cpu_comes_once_and_runs() {
    if !kvm_is_there() {
        return;
    }
    for cpus in [1, 2, 8, 64] {
        let guest = Counting::boot(cpus);
        let counted = guest.all_move_on(&[0; 64]);
        assert_eq!(guest.word(CENSUS), cpus - 1, "each of the others, and each once");
        assert!(counted[guest.cpus..].iter().all(|counter| *counter == 0), "{cpus}: {counted:?}");
        guest.fixture.machine.stop().unwrap();
    }
}

#[test]
fn a_pause_stops_every_cpu_and_a_resume_starts_every_cpu() {
    if !kvm_is_there() {
        return;
    }
    for cpus in [4, 32] {
        let guest = Counting::boot(cpus);
        guest.all_move_on(&[0; 64]);
        for _ in 0..5 {
            guest.fixture.machine.pause().unwrap();
            assert_eq!(guest.fixture.machine.info().state, MachineState::Paused);
            // From the moment of the answer on, nothing moves: a vCPU that had not stopped would do millions of steps.
            let stopped = guest.counters();
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(guest.counters(), stopped, "{cpus} CPUs");
            guest.fixture.machine.resume().unwrap();
            guest.all_move_on(&stopped);
        }
        // A reset stops the CPUs that the guest has started as well: all come anew.
        guest.fixture.machine.reset().unwrap();
        guest.fixture.expect("ready\nready\n");
        guest.all_move_on(&[0; 64]);
        assert_eq!(guest.word(CENSUS), cpus - 1);
    }
}

#[test]
fn more_cpus_than_there_may_be_are_refused_by_name() {
    let (mut spec, _directory) = spec_of("counters");
    spec.cpus = MAX_CPUS;
    assert!(spec.clone().validate(&HostLimits::ANY).is_ok());
    assert_eq!(MAX_CPUS, 64);
    spec.cpus = 65;
    let faults = spec.validate(&HostLimits::ANY).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.code, fault.path.as_str())).collect();
    assert_eq!(told, [(ErrorCode::SpecCpusOutOfRange, "$.cpus")]);
}
