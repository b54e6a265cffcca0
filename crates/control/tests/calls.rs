// SPDX-License-Identifier: Apache-2.0
//! A client and a worker that mean well.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use flotilla_control::{Client, ClientError, ClientOptions, Outlets};
use flotilla_spec::MachineSpec;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{MachineEvent, MachineState};
use serde_json::{Value, json};
use support::{HELLO, Lab, framed, read_frame};

const SOON: Duration = Duration::from_mins(1);
const RUNNING: MachineEvent = MachineEvent::State { state: MachineState::Running };

#[test]
fn calls_are_answered_and_errors_keep_code_path_and_remedy() {
    let lab = Lab::new();
    let client = lab.client(None);
    assert_eq!(client.welcome().machine.as_ref().unwrap().as_str(), "m1");
    client.boot().unwrap();
    assert_eq!(client.metrics().unwrap()["exits"], 7);
    assert_eq!(client.refresh_disk("root").unwrap(), 4096);
    assert_eq!(client.grow_disk("root", 8192).unwrap(), 8192);
    client.set_balloon(4096).unwrap();
    assert_eq!(client.set_balloon(1).unwrap_err().code(), ErrorCode::SpecBalloonInvalid);
    let balloon = client.balloon().unwrap();
    assert_eq!((balloon.target, balloon.statistics.unwrap().free_memory), (4096, Some(2)));
    client.announce("eth0").unwrap();
    assert_eq!(client.announce("eth1").unwrap_err().code(), ErrorCode::InterfaceNoAnnouncement);
    let reclaimed = client.reclaim_memory().unwrap();
    assert_eq!((reclaimed.released, reclaimed.complete), (8192, true));
    let ClientError::Refused(failure) = client.resume().unwrap_err() else { panic!("not refused") };
    assert_eq!((failure.code, failure.path.as_deref()), (ErrorCode::MachineState, Some("$.state")));
    assert_eq!(failure.remedy, ErrorCode::MachineState.remedy());
}

#[test]
fn a_bad_specification_names_its_path() {
    let lab = Lab::new();
    let client = lab.client(None);
    let spec = json!({ "cpus": "two", "memory": 16 << 20, "boot": { "kernel": { "descriptor": 1 } } });
    let error = client.call("configure", json!({ "id": "m1", "spec": spec }), &[]).unwrap_err();
    let ClientError::Refused(failure) = error else { panic!("not refused") };
    assert_eq!((failure.code, failure.path.as_deref()), (ErrorCode::SpecInvalidType, Some("$.cpus")));
}

#[test]
fn unknown_methods_fields_and_parameters_are_errors_and_the_connection_goes_on() {
    let lab = Lab::new();
    let client = lab.client(None);
    let bad = [
        ("fly", Value::Null),
        ("boot", json!({ "fast": true })),
        ("boot", json!([1])),
        ("configure", json!({ "x": 1 })),
        ("setBalloon", Value::Null),
        ("setBalloon", json!({ "target": -1 })),
        ("balloon", json!({ "ask": true })),
        ("reclaimMemory", json!({ "bytes": 1 })),
        ("announce", Value::Null),
        ("announce", json!({ "interface": "eth0", "times": 5 })),
        ("refreshDisk", Value::Null),
        ("refreshDisk", json!({ "disk": 1 })),
        ("refreshDisk", json!({ "disk": "d", "size": 1 })),
        ("growDisk", json!({ "disk": "d" })),
        ("growDisk", json!({ "disk": "d", "size": -1 })),
        ("setThrottle", json!({ "target": { "kind": "disk" }, "limits": {} })),
        ("setThrottle", json!({ "target": { "kind": "rng" }, "limits": { "bytes": 1 } })),
    ];
    for (method, params) in bad {
        let error = client.call(method, params, &[]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::WorkerProtocol, "{method}: {error}");
    }
    client.boot().unwrap();
}

#[test]
fn descriptors_arrive_in_order_and_open() {
    let lab = Lab::new();
    let client = lab.client(None);
    let files: Vec<OwnedFd> = (0..3)
        .map(|number| {
            let mut file = File::create_new(lab.directory.path().join(format!("{number}"))).unwrap();
            write!(file, "content {number}").unwrap();
            File::open(lab.directory.path().join(format!("{number}"))).unwrap().into()
        })
        .collect();
    let spec =
        MachineSpec::from_json(r#"{"cpus":1,"memory":16777216,"boot":{"kernel":{"path":"/k"}}}"#).unwrap();
    client.configure(&"m1".parse().unwrap(), &spec, &files, Outlets::default()).unwrap();
    let held = std::mem::take(&mut *lab.worker.held.lock().unwrap());
    let texts = held.into_iter().map(|file| {
        let mut text = String::new();
        File::from(file).read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["content 0", "content 1", "content 2"]);
}

#[test]
fn a_second_client_is_told_that_the_worker_is_busy_until_the_first_goes() {
    let lab = Lab::new();
    let first = lab.client(None);
    let second = Client::connect(&lab.path(), &ClientOptions::default());
    assert_eq!(second.err().unwrap().code(), ErrorCode::WorkerBusy);
    first.boot().unwrap();
    drop(first);
    lab.client(None).boot().unwrap();
    assert_eq!(*lab.worker.calls.lock().unwrap(), ["Boot", "Boot"]);
}

#[test]
fn a_client_that_comes_back_gets_the_events_it_missed() {
    let lab = Lab::new();
    lab.events.push(&RUNNING);
    let client = lab.client(Some(0));
    let event = client.next_event(SOON).unwrap().unwrap();
    assert_eq!((event.seq, event.known()), (1, Some(RUNNING)));
    drop(client);
    lab.events.push(&MachineEvent::GuestReset);
    let client = lab.client(Some(1));
    assert_eq!(client.next_event(SOON).unwrap().unwrap().kind(), "guest-reset");
    lab.events.push(&RUNNING);
    assert_eq!(client.next_event(SOON).unwrap().unwrap().seq, 3);
    assert!(client.next_event(Duration::from_millis(50)).unwrap().is_none());
}

/// A worker of a later release, which tells what this build does not know.
#[test]
fn what_a_newer_worker_tells_is_passed_over_and_the_next_known_event_arrives() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let worker = std::thread::spawn(move || {
        let asked = read_frame(&mut theirs);
        let welcome = json!({ "protocol": 1, "build": "9.0.0", "lastEvent": 0, "colour": "green" });
        let event = |seq: u64, kind: &str| {
            let params = json!({ "seq": seq, "kind": kind, "depth": [1, { "x": null }] });
            json!({ "jsonrpc": "2.0", "method": "event", "params": params })
        };
        let told = [
            json!({ "jsonrpc": "2.0", "id": asked["id"], "result": welcome }),
            json!({ "jsonrpc": "2.0", "method": "weather", "params": [1, 2] }),
            event(1, "dreams"),
            json!({ "jsonrpc": "2.0", "method": "event", "params": "no event at all" }),
            event(2, "guest-reset"),
        ];
        for message in told {
            theirs.write_all(&framed(&message.to_string())).unwrap();
        }
        // Answered still, behind all that.
        let asked = read_frame(&mut theirs);
        let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": null });
        theirs.write_all(&framed(&answer.to_string())).unwrap();
    });
    let client = Client::from_stream(ours, &ClientOptions::default()).unwrap();
    let first = client.next_event(SOON).unwrap().unwrap();
    assert_eq!((first.seq, first.kind(), first.known()), (1, "dreams", None));
    let second = client.next_event(SOON).unwrap().unwrap();
    assert_eq!((second.seq, second.known()), (2, Some(MachineEvent::GuestReset)));
    client.boot().unwrap();
    worker.join().unwrap();
}

#[test]
fn only_the_last_256_events_are_kept_and_the_loss_is_told() {
    let lab = Lab::new();
    for _ in 0..300 {
        lab.events.push(&RUNNING);
    }
    let client = lab.client(Some(10));
    let lost = client.next_event(SOON).unwrap().unwrap();
    assert_eq!((lost.kind(), lost.seq, lost.body["count"].as_u64()), ("lost", 44, Some(34)));
    for seq in 45..=300 {
        assert_eq!(client.next_event(SOON).unwrap().unwrap().seq, seq);
    }
}

#[test]
fn a_client_from_another_worker_s_time_does_not_wait_for_the_future() {
    let lab = Lab::new();
    let client = lab.client(Some(5000));
    lab.events.push(&RUNNING);
    assert_eq!(client.next_event(SOON).unwrap().unwrap().seq, 1);
}

#[test]
fn versions_are_agreed_or_refused() {
    let lab = Lab::new();
    for (range, good) in
        [("1,\"max\":9", true), ("2,\"max\":9", false), ("0,\"max\":0", false), ("9,\"max\":1", false)]
    {
        let mut stream = lab.raw();
        let hello = HELLO.replace("1,\"max\":1", range);
        for _ in 0..100 {
            stream.write_all(&framed(&hello)).unwrap();
            let answer = read_frame(&mut stream);
            if answer["error"]["data"]["code"] == "worker.busy" {
                std::thread::sleep(Duration::from_millis(20));
                stream = lab.raw();
                continue;
            }
            assert_eq!(answer["result"]["protocol"] == 1, good, "{range}: {answer}");
            if !good {
                assert_eq!(answer["error"]["data"]["code"], "worker.protocol");
            }
            break;
        }
    }
}

#[test]
fn a_worker_that_goes_ends_every_wait() {
    let mut lab = Lab::new();
    let client = lab.client(None);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.next_event(Duration::from_mins(1)));
        std::thread::sleep(Duration::from_millis(50));
        drop(lab.server.take());
        assert!(matches!(waiting.join().unwrap(), Err(ClientError::Gone)));
    });
    assert_eq!(client.boot().unwrap_err().code(), ErrorCode::WorkerGone);
}

#[test]
fn a_hundred_clients_in_turn_leave_no_descriptor() {
    let lab = Lab::new();
    drop(lab.client(None));
    std::thread::sleep(Duration::from_millis(100));
    let before = support::open_descriptors();
    for _ in 0..100 {
        lab.client(None).boot().unwrap();
    }
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        support::open_descriptors() <= before + 20,
        "tests of this file share the process: a small margin"
    );
}

#[test]
fn a_server_that_finishes_answers_what_was_sent_and_refuses_what_comes() {
    for _ in 0..50 {
        let lab = Lab::new();
        let client = lab.client(Some(0));
        lab.events.push(&RUNNING);
        let server = lab.server.as_ref().unwrap();
        std::thread::scope(|scope| {
            let calls = scope.spawn(|| {
                let mut answered = 0;
                loop {
                    match client.boot() {
                        Ok(()) => answered += 1,
                        Err(error) => return (answered, error),
                    }
                }
            });
            server.await_delivery(1, SOON, false);
            server.finish(SOON);
            let (answered, error) = calls.join().unwrap();
            // Each call that the worker carried out was answered: none ended in between.
            assert_eq!(lab.worker.calls.lock().unwrap().len(), answered);
            assert!(
                matches!(&error, ClientError::Send { .. } | ClientError::Gone),
                "a call after the end fails when it is sent: {error:?}"
            );
            assert_eq!(error.code(), ErrorCode::WorkerGone);
        });
        assert_eq!(client.next_event(SOON).unwrap().unwrap().seq, 1);
        assert!(matches!(client.next_event(SOON), Err(ClientError::Gone)));
    }
}

#[test]
fn a_server_waits_for_its_client_to_have_the_last_event_and_not_for_one_that_is_gone() {
    let lab = Lab::new();
    let server = lab.server.as_ref().unwrap();
    let start = std::time::Instant::now();
    server.await_delivery(1, SOON, false);
    assert!(start.elapsed() < SOON, "nobody is there");
    server.await_delivery(1, Duration::from_millis(100), true);
    assert!(start.elapsed() >= Duration::from_millis(100), "somebody may come");
    let client = lab.client(Some(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            lab.events.push(&RUNNING);
        });
        server.await_delivery(1, SOON, false);
        assert_eq!(lab.events.last(), 1, "it did not go on before the event");
    });
    drop(client);
    server.finish(SOON);
    let late = Client::connect(&lab.path(), &ClientOptions::default());
    assert_eq!(late.err().unwrap().code(), ErrorCode::WorkerGone);
    assert!(start.elapsed() < SOON);
}
