// SPDX-License-Identifier: Apache-2.0
//! What CPUs and memory are like: faults that only several fields together have.

use flotilla_spec::code::ErrorCode::{self, *};
use flotilla_spec::{HostLimits, MachineSpec};
use serde_json::{Value, json};

const HOST: HostLimits = HostLimits { memory: 4 << 30, cpus: 64 };
const GIB: u64 = 1 << 30;

fn check(fields: &Value) -> Vec<(ErrorCode, String)> {
    let mut spec = json!({ "cpus": 4, "memory": GIB, "boot": { "kernel": { "path": "/k" } } });
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let checked = MachineSpec::from_value(&spec).unwrap().validate(&HOST).map(drop);
    checked.err().unwrap_or_default().into_iter().map(|fault| (fault.code, fault.path)).collect()
}

fn node(cpus: &[u32], memory: u64) -> Value {
    json!({ "cpus": cpus, "memory": memory })
}

#[test]
fn options_that_go_together_are_valid() {
    for fields in [
        json!({ "cpu": { "topology": { "sockets": 2, "threads": 2 }, "pin": { "vcpus": [[0], [], [1, 2], []] } } }),
        json!({ "cpu": { "model": "x86-64-v2", "enable": ["aes", "svm"], "disable": ["sse4_2"], "nested": true } }),
        json!({ "memoryOptions": { "backing": "memfd", "prefault": true, "lock": true } }),
        json!({ "memoryOptions": { "backing": "hugetlb-1G" } }),
        json!({ "console": {} }),
        json!({ "console": { "ports": [{ "name": "org.qemu.guest_agent.0" }, { "name": "b" }] }, "profile": "micro" }),
        json!({ "balloon": {} }),
        json!({ "watchdog": {} }),
        json!({ "watchdog": { "action": "report" }, "profile": "micro", "acpi": true }),
        json!({ "balloon": { "target": GIB - (16 << 20), "freePageReporting": true } }),
        json!({ "balloon": {}, "memoryOptions": { "backing": "memfd", "prefault": true } }),
        json!({ "memoryOptions": { "mergeable": true, "transparentHugepages": "never" } }),
        json!({ "numa": [node(&[0, 3], GIB / 4), node(&[1, 2], 3 * GIB / 4)] }),
        json!({ "numa": [node(&[], GIB / 4), node(&[0, 1, 2, 3], 3 * GIB / 4)], "profile": "micro", "acpi": true }),
        json!({ "cpus": 64, "memory": 1_u64 << 40, "memoryOptions": { "overcommit": true } }),
    ] {
        assert_eq!(check(&fields), [], "{fields}");
    }
}

#[test]
fn each_contradiction_has_its_code_and_path() {
    let distances = |node: Value, list: &[u8]| {
        let mut node = node;
        node["distances"] = json!(list);
        node
    };
    let (one, other) = (node(&[0, 1], GIB / 2), node(&[2, 3], GIB / 2));
    for (fields, code, path) in [
        (json!({ "cpu": { "topology": { "cores": 3 } } }), SpecCpuTopology, "$.cpu.topology"),
        (json!({ "cpu": { "topology": { "sockets": 0, "cores": 4 } } }), SpecCpuTopology, "$.cpu.topology"),
        (
            json!({ "cpu": { "topology": { "sockets": 65536, "cores": 65536 } } }),
            SpecCpuTopology,
            "$.cpu.topology",
        ),
        (json!({ "cpu": { "enable": ["aes", "mmu"] } }), SpecCpuFeature, "$.cpu.enable[1]"),
        (json!({ "cpu": { "enable": ["aes"], "disable": ["aes"] } }), SpecCpuFeature, "$.cpu.enable[0]"),
        (json!({ "cpu": { "enable": ["vmx"] } }), SpecCpuFeature, "$.cpu.enable[0]"),
        (json!({ "cpu": { "disable": vec!["aes"; 257] } }), SpecCpuFeature, "$.cpu.disable"),
        (json!({ "cpu": { "pin": { "vcpus": [[0], [1]] } } }), SpecPinInvalid, "$.cpu.pin.vcpus"),
        (
            json!({ "cpu": { "pin": { "vcpus": [[0], [1], [], [2, 1024]] } } }),
            SpecPinInvalid,
            "$.cpu.pin.vcpus[3][1]",
        ),
        (json!({ "cpu": { "pin": { "io": [1024] } } }), SpecPinInvalid, "$.cpu.pin.io[0]"),
        (
            json!({ "memoryOptions": { "backing": "hugetlb-2M", "transparentHugepages": "always" } }),
            SpecMemoryConflict,
            "$.memoryOptions.transparentHugepages",
        ),
        (
            json!({ "memoryOptions": { "backing": "memfd", "mergeable": true } }),
            SpecMemoryConflict,
            "$.memoryOptions.mergeable",
        ),
        (
            json!({ "memoryOptions": { "lock": true, "mergeable": true } }),
            SpecMemoryConflict,
            "$.memoryOptions.lock",
        ),
        (
            json!({ "memoryOptions": { "overcommit": true, "prefault": true } }),
            SpecMemoryConflict,
            "$.memoryOptions.overcommit",
        ),
        (
            json!({ "memory": GIB + (1 << 20), "memoryOptions": { "backing": "hugetlb-2M" } }),
            SpecMemoryUnaligned,
            "$.memory",
        ),
        (json!({ "balloon": { "target": GIB - (16 << 20) + 4096 } }), SpecBalloonInvalid, "$.balloon.target"),
        (json!({ "balloon": { "target": u64::MAX - 4095 } }), SpecBalloonInvalid, "$.balloon.target"),
        (json!({ "balloon": {}, "memoryOptions": { "lock": true } }), SpecMemoryConflict, "$.balloon"),
        (
            json!({ "balloon": {}, "memoryOptions": { "backing": "hugetlb-2M" } }),
            SpecMemoryConflict,
            "$.balloon",
        ),
        (
            json!({ "balloon": { "freePageReporting": true }, "memoryOptions": { "prefault": true } }),
            SpecMemoryConflict,
            "$.balloon.freePageReporting",
        ),
        (json!({ "memory": 5 * GIB }), SpecMemoryTooLarge, "$.memory"),
        (json!({ "numa": [one, node(&[2, 3], 8 << 20)] }), SpecNumaInvalid, "$.numa[1].memory"),
        (json!({ "numa": [one] }), SpecNumaInvalid, "$.numa"),
        (json!({ "numa": [one, node(&[2, 3], GIB)] }), SpecNumaInvalid, "$.numa"),
        (json!({ "numa": [one, node(&[1, 2, 3], GIB / 2)] }), SpecNumaInvalid, "$.numa"),
        (json!({ "numa": [one, node(&[2, 3, 4], GIB / 2)] }), SpecNumaInvalid, "$.numa[1].cpus"),
        (
            json!({ "numa": [one, distances(other.clone(), &[20, 20])] }),
            SpecNumaInvalid,
            "$.numa[1].distances",
        ),
        (json!({ "numa": [one, distances(other.clone(), &[20])] }), SpecNumaInvalid, "$.numa[1].distances"),
        (json!({ "numa": [one, other], "profile": "micro" }), SpecProfileConflict, "$.numa"),
        (
            json!({ "console": { "ports": [{ "name": "hvc0" }] } }),
            SpecConsoleInvalid,
            "$.console.ports[0].name",
        ),
        (
            json!({ "console": { "ports": [{ "name": "a" }, { "name": "b" }, { "name": "a" }] } }),
            SpecConsoleInvalid,
            "$.console.ports[2].name",
        ),
        (json!({ "watchdog": {}, "profile": "micro" }), SpecProfileConflict, "$.watchdog"),
    ] {
        let found = check(&fields);
        assert!(found.contains(&(code, path.to_owned())), "{fields}: {found:?}");
    }
}
