// SPDX-License-Identifier: Apache-2.0
//! Every bad specification gives its code and the JSON path of what is wrong.

use std::path::Path;
use std::{env, fs};

use flotilla_spec::code::ErrorCode::{self, *};
use flotilla_spec::{HostLimits, MachineSpec, MemorySize, Violation};
use proptest::prelude::*;
use serde_json::{Value, json};

const HOST: HostLimits = HostLimits { memory: 1 << 30, cpus: 32 };

fn good() -> Value {
    json!({
        "cpus": 2, "memory": 256 << 20,
        "boot": { "kernel": { "path": "/k" }, "initrd": { "path": "/i" }, "commandLine": "console=ttyS0" },
        "disks": [
            { "id": "root", "source": { "path": "/d" }, "format": "raw", "serial": "root" },
            { "id": "data", "source": { "path": "/e" }, "format": "raw", "readOnly": true },
        ],
        "interfaces": [{ "id": "eth0", "tap": { "name": "tap0" }, "mac": "52:54:00:12:34:56" }],
        "serial": { "file": { "path": "/s" } },
    })
}

fn check(text: &str) -> Result<(), Vec<Violation>> {
    let spec = MachineSpec::from_json(text).map_err(|fault| vec![fault])?;
    spec.validate(&HOST).map(drop)
}

/// The good specification with the value at `pointer` replaced.
fn with(pointer: &str, value: Value) -> String {
    let mut spec = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        other => other[name] = value,
    }
    spec.to_string()
}

fn faults(text: &str) -> Vec<(ErrorCode, String)> {
    check(text).unwrap_err().into_iter().map(|fault| (fault.code, fault.path)).collect()
}

#[test]
fn a_good_specification_is_valid_and_survives_the_round_trip() {
    let spec = MachineSpec::from_json(good().to_string()).unwrap();
    let again = MachineSpec::from_json(serde_json::to_vec(&spec).unwrap()).unwrap();
    assert_eq!(spec, again);
    assert_eq!(spec.clone().validate(&HOST).unwrap().memory, MemorySize::from_mib(256));
    assert_eq!(spec, MachineSpec::from_value(&good()).unwrap());
}

#[test]
fn what_is_wrong_with_a_value_names_no_place_in_a_text() {
    let mut spec = good();
    spec["cpus"] = json!("two");
    let fault = MachineSpec::from_value(&spec).unwrap_err();
    assert_eq!((fault.code, fault.path.as_str()), (SpecInvalidType, "$.cpus"));
    assert_eq!(fault.message, "invalid type: string \"two\", expected u32");
}

#[test]
fn absent_fields_take_their_defaults() {
    let spec =
        MachineSpec::from_json(r#"{"cpus":1,"memory":16777216,"boot":{"kernel":{"path":"k"}}}"#).unwrap();
    assert!(spec.rng && spec.disks.is_empty() && spec.interfaces.is_empty());
    assert!(spec.validate(&HOST).is_ok());
}

/// Where the good specification is changed, to what, and what is found there.
type Case = (&'static str, Value, ErrorCode, &'static str);

fn cases() -> Vec<Case> {
    let all = [
        machine_cases(),
        pmem_cases(),
        throttle_cases(),
        user_network_cases(),
        share_cases(),
        console_cases(),
    ];
    all.concat()
}

fn throttle_cases() -> Vec<Case> {
    vec![
        (
            "/rngThrottle",
            json!({ "bytes": { "perSecond": 0 } }),
            SpecThrottleInvalid,
            "$.rngThrottle.bytes.perSecond",
        ),
        ("/rngThrottle", json!({ "bytes": {} }), SpecMissingField, "$.rngThrottle.bytes.perSecond"),
        ("/rngThrottle", json!({ "group": "none" }), SpecThrottleGroup, "$.rngThrottle.group"),
        (
            "/disks/1/throttle",
            json!({ "operations": { "perSecond": 1, "burst": 1_u64 << 53 } }),
            SpecThrottleInvalid,
            "$.disks[1].throttle.operations.burst",
        ),
        ("/disks/1/throttle", json!({ "iops": 3 }), SpecUnknownField, "$.disks[1].throttle.iops"),
        (
            "/throttleGroups",
            json!([{ "id": "g", "limits": {} }, { "id": "g", "limits": {} }]),
            SpecIdDuplicate,
            "$.throttleGroups[1].id",
        ),
        (
            "/interfaces/0",
            json!({ "id": "e", "tap": { "name": "t" }, "backend": "vhost", "transmitThrottle": {} }),
            SpecThrottleUnsupported,
            "$.interfaces[0].transmitThrottle",
        ),
        (
            "/rngThrottle",
            json!({ "group": "g", "bytes": { "perSecond": 1 } }),
            SpecThrottleGroup,
            "$.rngThrottle",
        ),
    ]
}

fn user_network_cases() -> Vec<Case> {
    let link = |with: Value| {
        let mut link = json!({ "id": "e", "user": {} });
        link.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        link
    };
    let port = |host: u16, guest: u16| json!({ "protocol": "tcp", "hostPort": host, "guestPort": guest });
    let forwards = |forwards: Value| link(json!({ "user": { "forwards": forwards } }));
    vec![
        ("/interfaces/0", json!({ "id": "e" }), SpecNetworkConflict, "$.interfaces[0]"),
        ("/interfaces/0/user", json!({}), SpecNetworkConflict, "$.interfaces[0].user"),
        (
            "/interfaces/0",
            link(json!({ "backend": "vhost" })),
            SpecNetworkConflict,
            "$.interfaces[0].backend",
        ),
        (
            "/interfaces/0",
            link(json!({ "queues": 2 })),
            SpecInterfaceQueuesOutOfRange,
            "$.interfaces[0].queues",
        ),
        (
            "/interfaces/0",
            forwards(json!([port(0, 80)])),
            SpecForwardInvalid,
            "$.interfaces[0].user.forwards[0].hostPort",
        ),
        (
            "/interfaces/0",
            forwards(json!([port(80, 0)])),
            SpecForwardInvalid,
            "$.interfaces[0].user.forwards[0].guestPort",
        ),
        (
            "/interfaces/0",
            forwards((1..=65).map(|host| port(host, 1)).collect()),
            SpecForwardInvalid,
            "$.interfaces[0].user.forwards",
        ),
        (
            "/interfaces/0",
            forwards(
                json!([{ "protocol": "tcp", "hostAddress": "localhost", "hostPort": 1, "guestPort": 1 }]),
            ),
            SpecInvalidValue,
            "$.interfaces[0].user.forwards[0].hostAddress",
        ),
        (
            "/interfaces/0",
            forwards(json!([{ "protocol": "sctp", "hostPort": 1, "guestPort": 1 }])),
            SpecInvalidValue,
            "$.interfaces[0].user.forwards[0].protocol",
        ),
    ]
}

fn share_cases() -> Vec<Case> {
    let share = |tag: &str, path: &str| json!({ "tag": tag, "source": { "path": path } });
    let five: Value = (0..5).map(|index| share(&format!("t{index}"), "/f")).collect();
    vec![
        ("/shares", five, SpecShareInvalid, "$.shares"),
        ("/shares", json!([share("", "/f")]), SpecShareInvalid, "$.shares[0].tag"),
        ("/shares", json!([share("a b", "/f")]), SpecShareInvalid, "$.shares[0].tag"),
        ("/shares", json!([share(&"x".repeat(37), "/f")]), SpecShareInvalid, "$.shares[0].tag"),
        ("/shares", json!([share("a", "")]), SpecPathInvalid, "$.shares[0].source.path"),
        ("/shares", json!([{ "tag": "a" }]), SpecMissingField, "$.shares[0].source"),
        (
            "/shares",
            json!([{ "tag": "a", "source": { "path": "/f" }, "cache": "none" }]),
            SpecUnknownField,
            "$.shares[0].cache",
        ),
    ]
}

fn pmem_cases() -> Vec<Case> {
    vec![
        ("/disks/1/attach", json!("nvdimm"), SpecInvalidValue, "$.disks[1].attach"),
        ("/disks/1", pmem("format", json!("qcow2")), SpecPmemConflict, "$.disks[1].format"),
        ("/disks/1", pmem("serial", json!("s")), SpecPmemConflict, "$.disks[1].serial"),
        ("/disks/1", pmem("queues", json!(1)), SpecPmemConflict, "$.disks[1].queues"),
        ("/disks/1", pmem("cache", json!("none")), SpecPmemConflict, "$.disks[1].cache"),
        ("/disks/1", pmem("engine", json!("direct")), SpecPmemConflict, "$.disks[1].engine"),
        ("/disks/1", pmem("blockSize", json!(512)), SpecPmemConflict, "$.disks[1].blockSize"),
        ("/disks/1", pmem("onNoSpace", json!("pause")), SpecPmemConflict, "$.disks[1].onNoSpace"),
        (
            "/disks/1",
            pmem("throttle", json!({ "bytes": { "perSecond": 1 } })),
            SpecPmemConflict,
            "$.disks[1].throttle",
        ),
    ]
}

fn console_cases() -> Vec<Case> {
    vec![
        ("/console", json!({ "terminal": true }), SpecUnknownField, "$.console.terminal"),
        ("/console", json!({ "ports": [{}] }), SpecMissingField, "$.console.ports[0].name"),
        ("/console", json!({ "ports": [{ "name": "" }] }), SpecConsoleInvalid, "$.console.ports[0].name"),
        ("/console", json!({ "ports": [{ "name": "a/b" }] }), SpecConsoleInvalid, "$.console.ports[0].name"),
        (
            "/console",
            json!({ "ports": [{ "name": "x".repeat(65) }] }),
            SpecConsoleInvalid,
            "$.console.ports[0].name",
        ),
        (
            "/console",
            json!({ "ports": (0..16).map(|n| json!({ "name": format!("p{n}") })).collect::<Vec<_>>() }),
            SpecConsoleInvalid,
            "$.console.ports",
        ),
    ]
}

fn machine_cases() -> Vec<Case> {
    let long = "x".repeat(4096);
    vec![
        ("/cpus", json!(0), SpecCpusOutOfRange, "$.cpus"),
        ("/cpus", json!(1000), SpecCpusOutOfRange, "$.cpus"),
        ("/cpus", json!(-1), SpecCpusOutOfRange, "$.cpus"),
        ("/cpus", json!("two"), SpecInvalidType, "$.cpus"),
        ("/cpus", json!(1.5), SpecInvalidType, "$.cpus"),
        ("/memory", json!(0), SpecMemoryTooSmall, "$.memory"),
        ("/memory", json!(2u64 << 30), SpecMemoryTooLarge, "$.memory"),
        ("/memory", json!((16 << 20) + 1), SpecMemoryUnaligned, "$.memory"),
        ("/memory", json!(null), SpecInvalidType, "$.memory"),
        ("/nonsense", json!(1), SpecUnknownField, "$.nonsense"),
        ("/boot/kernal", json!(1), SpecUnknownField, "$.boot.kernal"),
        ("/boot", json!({}), SpecMissingField, "$.boot.kernel"),
        ("/boot/kernel/path", json!(5), SpecInvalidType, "$.boot.kernel.path"),
        ("/boot/kernel/path", json!(""), SpecPathInvalid, "$.boot.kernel.path"),
        ("/boot/kernel/path", json!("a\u{0}b"), SpecPathInvalid, "$.boot.kernel.path"),
        ("/boot/kernel", json!({ "url": "x" }), SpecInvalidValue, "$.boot.kernel"),
        ("/boot/commandLine", json!(long), SpecCommandLineInvalid, "$.boot.commandLine"),
        ("/boot/commandLine", json!("a\u{0}"), SpecCommandLineInvalid, "$.boot.commandLine"),
        ("/boot/protocol", json!("efi"), SpecInvalidValue, "$.boot.protocol"),
        ("/disks/1/id", json!("root"), SpecIdDuplicate, "$.disks[1].id"),
        ("/disks/1/id", json!("../x"), SpecIdInvalid, "$.disks[1].id"),
        ("/disks/1/serial", json!("root"), SpecSerialDuplicate, "$.disks[1].serial"),
        ("/disks/1/queues", json!(0), SpecDiskQueuesInvalid, "$.disks[1].queues"),
        ("/disks/1/queues", json!(17), SpecDiskQueuesInvalid, "$.disks[1].queues"),
        ("/disks/1/queues", json!(65536), SpecInvalidValue, "$.disks[1].queues"),
        ("/disks/1/blockSize", json!(1024), SpecBlockSizeInvalid, "$.disks[1].blockSize"),
        ("/disks/1/cache", json!("unsafe"), SpecInvalidValue, "$.disks[1].cache"),
        ("/disks/1/engine", json!("aio"), SpecInvalidValue, "$.disks[1].engine"),
        ("/disks/1/serial", json!("é"), SpecSerialInvalid, "$.disks[1].serial"),
        ("/disks/1/serial", json!("123456789012345678901"), SpecSerialInvalid, "$.disks[1].serial"),
        ("/disks/1/format", json!("vmdk"), SpecInvalidValue, "$.disks[1].format"),
        (
            "/disks/1/backing",
            json!([{ "source": { "path": "/b" }, "format": "raw" }]),
            SpecBackingInvalid,
            "$.disks[1].backing[0]",
        ),
        ("/disks/1/size", json!(3), SpecUnknownField, "$.disks[1].size"),
        ("/disks/1", json!({ "id": "b", "format": "raw" }), SpecMissingField, "$.disks[1].source"),
        ("/disks", json!({}), SpecInvalidType, "$.disks"),
        ("/interfaces/0/mac", json!("52:54"), SpecMacInvalid, "$.interfaces[0].mac"),
        ("/interfaces/0/mac", json!("01:54:00:12:34:56"), SpecMacInvalid, "$.interfaces[0].mac"),
        ("/interfaces/0/mac", json!("00:00:00:00:00:00"), SpecMacInvalid, "$.interfaces[0].mac"),
        ("/interfaces/0/backend", json!("macvtap"), SpecInvalidValue, "$.interfaces[0].backend"),
        ("/interfaces/0/queues", json!(0), SpecInterfaceQueuesOutOfRange, "$.interfaces[0].queues"),
        ("/interfaces/0/queues", json!(17), SpecInterfaceQueuesOutOfRange, "$.interfaces[0].queues"),
        ("/interfaces/0/mtu", json!(67), SpecMtuOutOfRange, "$.interfaces[0].mtu"),
        ("/interfaces/0/mtu", json!(65_536), SpecInvalidValue, "$.interfaces[0].mtu"),
        ("/interfaces/0/link", json!("sideways"), SpecInvalidValue, "$.interfaces[0].link"),
        (
            "/interfaces/0",
            json!({ "id": "e", "tap": { "name": "t" }, "backend": "vhost", "allowSpoofedMac": false }),
            SpecSpoofGuardUnsupported,
            "$.interfaces[0].allowSpoofedMac",
        ),
        ("/interfaces/0/tap/name", json!("a/b"), SpecTapInvalid, "$.interfaces[0].tap.name"),
        ("/interfaces/0/tap/name", json!("sixteen-letters!"), SpecTapInvalid, "$.interfaces[0].tap.name"),
        ("/vsock", json!({}), SpecMissingField, "$.vsock.socket"),
        ("/vsock", json!({ "socket": { "path": "" } }), SpecPathInvalid, "$.vsock.socket.path"),
        ("/vsock", json!({ "socket": { "path": "x".repeat(108) } }), SpecPathInvalid, "$.vsock.socket.path"),
        ("/vsock", json!({ "socket": { "path": "/v" }, "cid": 2 }), SpecVsockInvalid, "$.vsock.cid"),
        ("/vsock", json!({ "socket": { "path": "/v" }, "cid": u32::MAX }), SpecVsockInvalid, "$.vsock.cid"),
        (
            "/vsock",
            json!({ "socket": { "path": "/v" }, "maxConnections": 3001 }),
            SpecVsockInvalid,
            "$.vsock.maxConnections",
        ),
        ("/balloon", json!({ "target": 4095 }), SpecBalloonInvalid, "$.balloon.target"),
        ("/balloon", json!({ "target": -1 }), SpecInvalidValue, "$.balloon.target"),
        (
            "/balloon",
            json!({ "statisticsInterval": 86_401 }),
            SpecBalloonInvalid,
            "$.balloon.statisticsInterval",
        ),
        ("/balloon", json!({ "size": 0 }), SpecUnknownField, "$.balloon.size"),
        ("/watchdog", json!({ "action": "bark" }), SpecInvalidValue, "$.watchdog.action"),
        ("/watchdog", json!({ "timeout": 30 }), SpecUnknownField, "$.watchdog.timeout"),
        ("/cpu", json!({ "model": "x86-64-v9" }), SpecInvalidValue, "$.cpu.model"),
        ("/memoryOptions", json!({ "backing": "file" }), SpecInvalidValue, "$.memoryOptions.backing"),
        ("/numa", json!([{ "cpus": [0, 1] }]), SpecMissingField, "$.numa[0].memory"),
        ("/serial", json!("pipe"), SpecInvalidValue, "$.serial"),
        ("/onReboot", json!("pause"), SpecInvalidValue, "$.onReboot"),
    ]
}

#[test]
fn each_fault_has_its_code_and_path() {
    for (pointer, value, code, path) in cases() {
        let text = with(pointer, value.clone());
        assert_eq!(faults(&text), [(code, path.to_owned())], "{pointer} = {value}");
    }
}

/// What only the host knows, or what a schema cannot compare.
fn is_beyond_a_schema(code: ErrorCode) -> bool {
    matches!(
        code,
        SpecMemoryTooLarge
            | SpecIdDuplicate
            | SpecSerialDuplicate
            | SpecSpoofGuardUnsupported
            | SpecThrottleUnsupported
            | SpecThrottleGroup
    )
}

/// For the test that tries the published schema on them (tests/style/machine-schema.spec.mjs): a line of JSON for each
/// specification, and whether the schema must accept it.
#[test]
fn the_cases_for_the_schema_are_those_of_this_file() {
    let edges = [
        ("/cpus", json!(64)),
        ("/cpu", json!({ "topology": { "sockets": 64 }, "enable": vec!["aes"; 256] })),
        ("/cpu", json!({ "pin": { "vcpus": vec![[1023]; 64], "io": [1023] } })),
        ("/numa", nodes(16, &json!({ "cpus": [63], "hostNodes": [1023], "distances": [10, 254] }))),
        ("/memory", json!(16 << 20)),
        ("/disks", disks(16)),
        ("/disks/1", pmem("readOnly", json!(true))),
        ("/interfaces", interfaces(8)),
    ];
    let more = [
        ("/cpus", json!(65)),
        ("/cpu", json!({ "topology": { "sockets": 65 } })),
        ("/cpu", json!({ "topology": { "threads": 0 } })),
        ("/cpu", json!({ "enable": vec!["aes"; 257] })),
        ("/cpu", json!({ "pin": { "vcpus": vec![[1]; 65] } })),
        ("/cpu", json!({ "pin": { "vcpus": [[1], [1024]] } })),
        ("/cpu", json!({ "pin": { "io": [1024] } })),
        ("/numa", nodes(17, &json!({ "cpus": [0] }))),
        ("/numa", nodes(1, &json!({ "cpus": [64] }))),
        ("/numa", nodes(1, &json!({ "cpus": [0, 1], "hostNodes": [1024] }))),
        ("/numa", nodes(1, &json!({ "cpus": [0, 1], "distances": [9] }))),
        ("/numa", nodes(1, &json!({ "cpus": [0, 1], "distances": vec![10; 17] }))),
        ("/numa", nodes(1, &json!({ "cpus": [0, 1], "memory": 4095 }))),
        ("/memory", json!(4096)),
        ("/disks", disks(17)),
        ("/interfaces", interfaces(9)),
    ];
    let good = edges.into_iter().map(|(pointer, value)| (true, with(pointer, value)));
    let bad = more.into_iter().map(|(pointer, value)| (false, with(pointer, value)));
    let cases =
        cases().into_iter().map(|(pointer, value, code, _)| (is_beyond_a_schema(code), with(pointer, value)));
    let mut lines = String::new();
    for (accepted, text) in good.chain(bad).chain(cases) {
        assert!(accepted || check(&text).is_err(), "{text}");
        let spec: Value = serde_json::from_str(&text).unwrap();
        lines.push_str(&json!({ "accepted": accepted, "spec": spec }).to_string());
        lines.push('\n');
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/machine-spec.cases.jsonl");
    if env::var("FLOTILLA_GENERATE").is_ok_and(|value| value == "1") {
        fs::write(&path, &lines).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == lines, "{} is out of date: run `npm run gen`", path.display());
}

#[test]
fn text_that_is_not_json_is_malformed() {
    for text in ["", "{", "[1,]", "{\"cpus\":1", "nonsense", "{}{}", "\u{feff}{}"] {
        let (code, path) = faults(text).remove(0);
        assert!(code == SpecMalformed || code == SpecMissingField, "{text}: {code}");
        assert!(path.starts_with('$'));
    }
    assert_eq!(faults(&(good().to_string() + "x"))[0].0, SpecMalformed);
}

#[test]
fn a_field_given_twice_is_refused() {
    let text = r#"{"cpus":1,"cpus":1,"memory":16777216,"boot":{"kernel":{"path":"k"}}}"#;
    assert_eq!(faults(text), [(SpecDuplicateField, "$.cpus".to_owned())]);
}

#[test]
fn every_fault_is_reported_at_once() {
    let mut spec = good();
    spec["cpus"] = json!(0);
    spec["memory"] = json!(1);
    spec["disks"][0]["id"] = json!("");
    let codes: Vec<_> = faults(&spec.to_string()).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [SpecCpusOutOfRange, SpecMemoryTooSmall, SpecMemoryUnaligned, SpecIdInvalid]);
}

/// So many nodes alike, of 16 MiB where they do not say.
fn nodes(count: usize, node: &Value) -> Value {
    let mut whole = json!({ "memory": 16 << 20 });
    whole.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
    json!(vec![whole; count])
}

fn disks(count: usize) -> Value {
    let disk = |n: usize| json!({ "id": format!("d{n}"), "source": { "path": "/d" }, "format": "raw" });
    (0..count).map(disk).collect()
}

/// A disk that is mapped as memory, with an option.
fn pmem(option: &str, value: Value) -> Value {
    let mut disk = json!({ "id": "b", "source": { "path": "/d" }, "format": "raw", "attach": "pmem" });
    disk[option] = value;
    disk
}

fn interfaces(count: usize) -> Value {
    let link = |n: usize| json!({ "id": format!("e{n}"), "tap": { "name": format!("t{n}") } });
    (0..count).map(link).collect()
}

#[test]
fn too_many_parts_are_refused() {
    assert_eq!(faults(&with("/disks", disks(17))), [(SpecTooManyDisks, "$.disks".to_owned())]);
    let text = with("/interfaces", interfaces(9));
    assert_eq!(faults(&text), [(SpecTooManyInterfaces, "$.interfaces".to_owned())]);
}

#[test]
fn deep_nesting_and_long_names_are_refused_in_bounded_text() {
    let deep = "[".repeat(100_000);
    assert_eq!(faults(&deep)[0].0, SpecInvalidType);
    let name = "n".repeat(1 << 20);
    let fault = MachineSpec::from_json(format!("{{\"{name}\":1}}")).unwrap_err();
    assert!(fault.path.len() < 1000 && fault.message.len() < 1000);
}

#[test]
fn descriptors_have_one_order() {
    let spec = MachineSpec::from_json(good().to_string()).unwrap();
    let (passed, count) = spec.to_descriptors();
    assert_eq!(count, 7);
    assert_eq!(serde_json::to_value(&passed).unwrap()["disks"][1]["source"], json!({ "descriptor": 4 }));
    assert!(passed.check_descriptors(count).is_ok());
    assert!(passed.check_descriptors(count + 1).is_err());
    let faults = spec.check_descriptors(count).unwrap_err();
    assert_eq!(faults.len(), 6);
    assert_eq!(faults[0].path, "$.boot.kernel");
}

#[test]
fn a_machine_forwards_a_port_of_the_host_once() {
    let forward = |protocol: &str| json!({ "protocol": protocol, "hostPort": 80, "guestPort": 80 });
    let link = |id: &str, protocol| json!({ "id": id, "user": { "forwards": [forward(protocol)] } });
    assert_eq!(check(&with("/interfaces", json!([link("a", "tcp"), link("b", "udp")]))), Ok(()));
    let twice = with("/interfaces", json!([link("a", "tcp"), link("b", "tcp")]));
    assert_eq!(
        faults(&twice),
        [(SpecForwardInvalid, "$.interfaces[1].user.forwards[0].hostPort".to_owned())]
    );
}

#[test]
fn shared_folders_have_tags_of_their_own_absolute_paths_and_one_descriptor_each() {
    let share = |tag: &str, path: &str| json!({ "tag": tag, "source": { "path": path } });
    let twice = with("/shares", json!([share("a", "/f"), share("a", "/f")]));
    assert_eq!(faults(&twice), [(SpecIdDuplicate, "$.shares[1].tag".to_owned())]);
    let relative = with("/shares", json!([share("a", "f")]));
    assert_eq!(faults(&relative), [(SpecPathInvalid, "$.shares[0].source.path".to_owned())]);
    let text = with("/shares", json!([share("a", "/f"), share(&"x".repeat(36), "/g")]));
    let spec = MachineSpec::from_json(&text).unwrap();
    let mut merged = spec.clone();
    merged.memory_options.mergeable = true;
    let found = merged.validate(&HOST).unwrap_err();
    assert_eq!((found.len(), found[0].path.as_str()), (1, "$.memoryOptions.mergeable"));
    let mut full = spec.clone();
    full.disks = serde_json::from_value(disks(16)).unwrap();
    full.interfaces = serde_json::from_value(interfaces(8)).unwrap();
    full.shares.extend(["b", "c"].map(|tag| serde_json::from_value(share(tag, "/f")).unwrap()));
    full.vsock = Some(serde_json::from_value(json!({ "socket": { "path": "/v" } })).unwrap());
    assert!(full.clone().validate(&HOST).is_ok(), "30 devices");
    let crowd = |add: fn(&mut MachineSpec)| {
        let mut crowded = full.clone();
        add(&mut crowded);
        let found = crowded.validate(&HOST).unwrap_err();
        assert_eq!((found[0].code, found[0].path.as_str()), (SpecShareInvalid, "$.shares"));
    };
    crowd(|spec| spec.balloon = Some(serde_json::from_value(json!({})).unwrap()));
    crowd(|spec| spec.console = Some(serde_json::from_value(json!({})).unwrap()));
    full.balloon = Some(serde_json::from_value(json!({})).unwrap());
    full.profile = flotilla_spec::Profile::Micro;
    assert!(full.validate(&HOST).is_ok());
    let before = MachineSpec::from_json(with("/rng", json!(true))).unwrap().to_descriptors().1;
    assert!(spec.clone().validate(&HOST).is_ok());
    let (passed, count) = spec.to_descriptors();
    assert_eq!(count, before + 2);
    assert!(passed.check_descriptors(count).is_ok());
    let faults = spec.check_descriptors(count).unwrap_err();
    assert!(faults.iter().any(|fault| fault.path == "$.shares[1].source"));
}

#[test]
fn user_mode_networking_takes_one_descriptor() {
    let user = json!([
        { "id": "a", "user": { "forwards": [{ "protocol": "udp", "hostAddress": "::1", "hostPort": 53, "guestPort": 53 }] } },
        { "id": "b", "tap": { "name": "t" } },
    ]);
    let spec = MachineSpec::from_json(with("/interfaces", user)).unwrap();
    assert!(spec.clone().validate(&HOST).is_ok());
    let (passed, count) = spec.to_descriptors();
    let links = serde_json::to_value(&passed.interfaces).unwrap();
    assert_eq!((&links[0]["user"]["descriptor"], &links[1]["tap"]["descriptor"]), (&json!(5), &json!(6)));
    assert!(passed.check_descriptors(count).is_ok());
    let faults = spec.check_descriptors(count).unwrap_err();
    assert!(faults.iter().any(|fault| fault.path == "$.interfaces[0].user.descriptor"));
}

#[test]
fn codes_are_closed_and_distinct() {
    let texts: std::collections::HashSet<_> = ErrorCode::ALL.iter().map(|code| code.text()).collect();
    assert_eq!(texts.len(), ErrorCode::ALL.len());
    for code in ErrorCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), json!(code.text()));
        assert!(code.remedy().len() > 10 && code.meaning().len() > 10, "{code}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let names = prop_oneof![
            Just("path".to_owned()),
            Just("id".to_owned()),
            Just("descriptor".to_owned()),
            "\\PC{0,5}".prop_map(String::from),
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((names, inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_never_panic_and_name_a_path(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let fault = MachineSpec::from_json(&bytes).unwrap_err();
        prop_assert!(fault.path.starts_with('$'));
    }

    #[test]
    fn any_value_at_any_place_is_taken_or_refused_by_path(
        value in any_json(),
        pointer in prop_oneof![
            Just("/cpus"), Just("/memory"), Just("/boot"), Just("/boot/kernel"), Just("/boot/kernel/path"),
            Just("/boot/commandLine"), Just("/disks"), Just("/disks/0"), Just("/disks/1/id"), Just("/disks/1/serial"),
            Just("/interfaces/0"), Just("/interfaces/0/mac"), Just("/interfaces/0/tap"), Just("/interfaces/0/user"), Just("/serial"), Just("/rng"),
            Just("/vsock"), Just("/cpu"), Just("/memoryOptions"), Just("/numa"), Just("/balloon"), Just("/watchdog"), Just("/shares"), Just("/console"),
        ],
    ) {
        if let Err(faults) = check(&with(pointer, value)) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                let top = format!("$.{}", pointer.split('/').nth(1).unwrap());
                prop_assert!(fault.path.starts_with(&top), "{} at {}", fault.path, pointer);
                prop_assert!(!fault.remedy.is_empty());
            }
        }
    }
}
