// SPDX-License-Identifier: Apache-2.0
//! CPU and memory options of a jailed worker, as the host sees them.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use flotilla_control::{Client, ClientError, ClientOptions, Outlets};
use flotilla_spec::MachineSpec;
use flotilla_spec::code::ErrorCode;
use serde_json::{Value, json};
use support::{BINARY, Running, guest, has_kvm, skip, wait_until};

const MEMORY: u64 = 64 << 20;

struct Worker {
    _directory: tempfile::TempDir,
    process: Running,
    client: Client,
}

/// A worker that was asked for a machine with these fields, and what it answered.
fn configure(fields: &Value) -> (Worker, Result<(), ClientError>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = Command::new(BINARY);
    command.arg("serve").stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Running(command.spawn().unwrap());
    let client = Client::connect(&path, &ClientOptions::default()).unwrap();
    let mut spec = json!({ "cpus": 2, "memory": MEMORY, "boot": { "kernel": { "path": "k" } } });
    spec.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
    let spec = MachineSpec::from_value(&spec).unwrap();
    let kernel = guest(directory.path(), "counters");
    let kvm = File::options().read(true).write(true).open("/dev/kvm").unwrap();
    let descriptors = vec![kvm.into(), File::open(kernel).unwrap().into()];
    let outlets = Outlets { console: None, black_box: None };
    let answer = client.configure(&"m1".parse().unwrap(), &spec, &descriptors, outlets);
    (Worker { _directory: directory, process, client }, answer.map(drop))
}

impl Worker {
    /// The field of each thread's status, by the name of the thread.
    fn threads(&self, field: &str) -> BTreeMap<String, String> {
        let value = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.0.id())).unwrap();
        let read = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
        read.map(|text| (value(&text, "Name"), value(&text, field))).collect()
    }

    /// The largest `field` of a mapping as large as the guest's memory, in KiB.
    fn mapped(&self, field: &str) -> u64 {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", self.process.0.id())).unwrap();
        let (mut size, mut found) = (0, 0);
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse::<u64>)) else {
                continue;
            };
            match name {
                "Size:" => size = value,
                name if name == format!("{field}:") && size == MEMORY >> 10 => found = found.max(value),
                _ => {}
            }
        }
        found
    }
}

fn refused(fields: &Value) -> (ErrorCode, Option<String>) {
    match configure(fields).1 {
        Err(ClientError::Refused(failure)) => (failure.code, failure.path),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn a_jailed_worker_commits_memory_of_every_kind() {
    if !has_kvm() {
        return;
    }
    for options in [
        json!({ "backing": "anonymous", "prefault": true }),
        json!({ "backing": "memfd", "prefault": true, "transparentHugepages": "never" }),
    ] {
        let (worker, answer) = configure(&json!({ "memoryOptions": options }));
        answer.unwrap();
        assert_eq!(worker.mapped("Rss"), MEMORY >> 10, "{options}");
        worker.client.boot().unwrap();
        worker.client.stop().unwrap();
    }
    let (worker, answer) = configure(&json!({ "memoryOptions": { "transparentHugepages": "default" } }));
    answer.unwrap();
    assert!(worker.mapped("Rss") < MEMORY >> 12);
}

#[test]
fn a_jailed_worker_says_what_the_host_lacks_and_lives_on() {
    if !has_kvm() {
        return;
    }
    let pin = json!({ "cpu": { "pin": { "vcpus": [[0], [1023]] } } });
    assert_eq!(refused(&pin), (ErrorCode::HostCpuAbsent, Some("$.cpu.pin.vcpus[1]".to_owned())));
    let node = json!({ "numa": [{ "cpus": [0, 1], "memory": MEMORY, "hostNodes": [1023] }] });
    assert_eq!(refused(&node), (ErrorCode::HostNumaNode, Some("$.numa".to_owned())));
    let pool = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if pool.is_ok_and(|free| free.trim() != "0") {
        return skip("this host has huge pages in reserve");
    }
    let huge = json!({ "memoryOptions": { "backing": "hugetlb-2M" } });
    let place = Some("$.memoryOptions.backing".to_owned());
    assert_eq!(refused(&huge), (ErrorCode::HostNoHugepages, place));
}

#[test]
fn a_jailed_worker_locks_memory_up_to_its_limit() {
    if !has_kvm() {
        return;
    }
    let (worker, answer) = configure(&json!({ "memoryOptions": { "lock": true } }));
    match answer {
        Ok(()) => assert!(worker.threads("VmLck").values().any(|locked| locked.starts_with("65536"))),
        Err(ClientError::Refused(failure)) => {
            assert_eq!(failure.code, ErrorCode::HostMemoryLock);
            assert!(failure.message.contains("may lock"), "{}", failure.message);
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn threads_run_where_they_are_pinned_under_their_names() {
    if !has_kvm() {
        return;
    }
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    if own != "0-1" && !own.starts_with("0-") {
        return skip("this process may not run on the first two CPUs");
    }
    let pin = json!({ "vcpus": [[1], []], "io": [0] });
    let (worker, answer) = configure(&json!({ "cpu": { "pin": pin } }));
    answer.unwrap();
    worker.client.boot().unwrap();
    wait_until("the first vCPU is where it belongs", || {
        worker.threads("Cpus_allowed_list").get("vcpu0").map(String::as_str) == Some("1")
    });
    assert_eq!(worker.threads("Cpus_allowed_list")["vcpu1"], own);
}
