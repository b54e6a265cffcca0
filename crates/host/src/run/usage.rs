// SPDX-License-Identifier: Apache-2.0
//! What the host says of the process that runs a machine. A worker cannot look itself: there is no /proc in its jail.

use std::collections::BTreeMap;
use std::fs;

use super::process::{ProcessIdentity, Stat};

/// The clock tick of /proc, whatever the kernel's own is (`USER_HZ`).
const TICK_NANOSECONDS: u64 = 10_000_000;
const PAGE: u64 = 4096;

/// Adds to the metrics of a machine the times of its vCPU threads, by the thread ids among them, and what its process uses.
/// Nothing for a process that has ended, and less where the host does not say.
pub fn add_usage(metrics: &mut BTreeMap<String, u64>, identity: ProcessIdentity) {
    let process = format!("/proc/{}", identity.pid);
    let Ok(text) = fs::read_to_string(format!("{process}/stat")) else { return };
    let Some(stat) = Stat::parse(&text).filter(|stat| stat.start_time() == Some(identity.start_time)) else {
        return;
    };
    for (name, value) in of_process(&stat) {
        metrics.extend(value.map(|value| (format!("process.{name}"), value)));
    }
    if let Ok(descriptors) = fs::read_dir(format!("{process}/fd")) {
        metrics.insert("process.open_descriptors".to_owned(), descriptors.count() as u64);
    }
    let threads: Vec<_> = metrics
        .iter()
        .filter_map(|(name, thread)| Some((name.strip_suffix(".thread_id")?.to_owned(), *thread)))
        .collect();
    for (vcpu, thread) in threads {
        // Below the process: a worker that lies can only name threads of its own.
        let text = fs::read_to_string(format!("{process}/task/{thread}/schedstat")).unwrap_or_default();
        if let Some((run, wait)) = times(&text) {
            metrics.insert(format!("{vcpu}.run_ns"), run);
            metrics.insert(format!("{vcpu}.wait_ns"), wait);
        }
    }
}

fn of_process(stat: &Stat<'_>) -> [(&'static str, Option<u64>); 5] {
    let ticks = stat.field(14).zip(stat.field(15)).map(|(user, system)| user.saturating_add(system));
    [
        ("cpu_ns", ticks.map(|ticks| ticks.saturating_mul(TICK_NANOSECONDS))),
        ("resident_bytes", stat.field(24).map(|pages| pages.saturating_mul(PAGE))),
        ("threads", stat.field(20)),
        ("minor_faults", stat.field(10)),
        ("major_faults", stat.field(12)),
    ]
}

/// Nanoseconds on a CPU and in wait for one (`schedstat`, Documentation/scheduler/sched-stats.rst).
fn times(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace().map_while(|field| field.parse().ok());
    Some((fields.next()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use flotilla_spec::metrics::Component;

    use super::*;
    use crate::run::Process;

    #[test]
    fn tells_what_a_process_uses_and_how_long_its_threads_ran() {
        let identity = Process::open(std::process::id()).unwrap().identity();
        let looked = std::thread::spawn(move || {
            let own = u64::from(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
            let mut metrics = BTreeMap::from([("vcpu:0.thread_id".to_owned(), own)]);
            add_usage(&mut metrics, identity);
            let first = metrics.clone();
            let begin = Instant::now();
            while metrics["vcpu:0.run_ns"] < first["vcpu:0.run_ns"] + 20_000_000 {
                assert!(begin.elapsed() < Duration::from_mins(1), "{metrics:?}");
                add_usage(&mut metrics, identity);
            }
            (first, metrics)
        });
        let (first, second) = looked.join().unwrap();
        let names = Component::named("process").unwrap().metrics.iter().map(|metric| metric.name);
        for name in names.filter(|name| !["major_faults", "cpu_ns"].contains(name)) {
            assert!(second[&format!("process.{name}")] > 0, "{name}: {second:?}");
        }
        assert!(second["process.cpu_ns"] > 0);
        assert!(second["vcpu:0.wait_ns"] >= first["vcpu:0.wait_ns"]);
        assert_eq!(second.len(), 1 + 2 + Component::named("process").unwrap().metrics.len());
    }

    #[test]
    fn tells_nothing_of_another_process_with_the_same_pid_and_of_threads_that_are_not_its_own() {
        let identity = Process::open(std::process::id()).unwrap().identity();
        let mut metrics = BTreeMap::from([("vcpu:0.thread_id".to_owned(), 1)]);
        let other = ProcessIdentity { start_time: identity.start_time + 1, ..identity };
        add_usage(&mut metrics, other);
        assert_eq!(metrics.len(), 1);
        add_usage(&mut metrics, identity);
        assert!(!metrics.contains_key("vcpu:0.run_ns"), "{metrics:?}");
    }

    #[test]
    fn reads_the_fields_of_the_manual() {
        let fields: Vec<_> = (4..=52).map(|number: u64| number.to_string()).collect();
        let text = format!("42 (a b) S {}", fields.join(" "));
        let read = of_process(&Stat::parse(&text).unwrap()).map(|(name, value)| (name, value.unwrap()));
        let expected = [
            ("cpu_ns", 29 * TICK_NANOSECONDS),
            ("resident_bytes", 24 * PAGE),
            ("threads", 20),
            ("minor_faults", 10),
            ("major_faults", 12),
        ];
        assert_eq!(read, expected);
        assert_eq!(times("5 7 9\n"), Some((5, 7)));
        assert_eq!([times(""), times("5"), times("x 1")], [None; 3]);
    }
}
