// SPDX-License-Identifier: Apache-2.0
//! Peers that mean ill. After each of them the worker answers an honest client.

mod support;

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use flotilla_control::{Client, ClientOptions, fuzz_frame};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::MachineEvent;
use proptest::prelude::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use support::{HELLO, LIMIT, Lab, framed, open_descriptors, read_frame, talk};

fn still_serves(lab: &Lab) {
    lab.client(None).boot().unwrap();
}

#[test]
fn garbage_gets_one_answer_and_is_closed() {
    let lab = Lab::new();
    let deep = format!("{}1", "[".repeat(100_000));
    let texts =
        ["nonsense", "[]", "{}", "\u{0}", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"boot\"}", &deep];
    for text in texts {
        let answer = talk(lab.raw(), &framed(text));
        assert!(String::from_utf8_lossy(&answer).contains("worker.protocol"), "{answer:?}");
    }
    let answer = talk(lab.raw(), &framed(&HELLO.replace("handshake", "boot")));
    assert!(String::from_utf8_lossy(&answer).contains("worker.protocol"));
    assert!(lab.worker.calls.lock().unwrap().is_empty());
    still_serves(&lab);
}

#[test]
fn garbage_after_the_handshake_is_closed_too() {
    let lab = Lab::new();
    let mut bytes = framed(HELLO);
    bytes.extend(framed("{\"jsonrpc\":\"2.0\",\"id\":-1,\"method\":\"boot\"}"));
    bytes.extend(framed("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"boot\"}"));
    talk(lab.raw(), &bytes);
    assert!(lab.worker.calls.lock().unwrap().is_empty());
    still_serves(&lab);
}

#[test]
fn huge_and_empty_lengths_are_refused_at_the_header() {
    let lab = Lab::new();
    for len in [0, (1 << 20) + 1, u32::MAX] {
        let answer = talk(lab.raw(), &u32::to_le_bytes(len));
        assert!(String::from_utf8_lossy(&answer).contains("Frame"), "{len}");
    }
    still_serves(&lab);
}

#[test]
fn half_frames_and_silent_peers_are_cut_off_in_time() {
    let lab = Lab::new();
    for bytes in [&b""[..], b"\x10", b"\x10\0\0\0", b"\x10\0\0\0{\"json"] {
        let start = Instant::now();
        talk(lab.raw(), bytes);
        assert!(start.elapsed() < LIMIT, "{bytes:?}");
    }
    still_serves(&lab);
}

#[test]
fn bytes_that_drip_in_do_not_extend_the_time() {
    let lab = Lab::new();
    let mut stream = lab.raw();
    let mut bytes = framed(HELLO).into_iter();
    let cut_off = bytes.any(|byte| {
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(&[byte]).is_err()
    });
    assert!(cut_off, "a frame may take 300 ms");
    still_serves(&lab);
}

#[test]
fn many_silent_peers_do_not_keep_others_out() {
    let lab = Lab::new();
    let silent: Vec<UnixStream> = (0..100).map(|_| lab.raw()).collect();
    std::thread::sleep(Duration::from_millis(500));
    still_serves(&lab);
    drop(silent);
}

fn send_with_descriptors(stream: &UnixStream, bytes: &[u8], count: usize) -> std::io::Result<usize> {
    let file = std::fs::File::open("/dev/null").unwrap();
    let descriptors = vec![file.as_fd(); count];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

#[test]
fn floods_of_descriptors_are_refused_and_closed() {
    let lab = Lab::new();
    std::thread::sleep(Duration::from_millis(100));
    let before = open_descriptors();
    for _ in 0..10 {
        let stream = lab.raw();
        send_with_descriptors(&stream, &framed(HELLO), 253).unwrap();
        talk(stream, b"");
        // 64 with each of many single bytes.
        let stream = lab.raw();
        for byte in framed(HELLO).chunks(1).take(8) {
            let _ = send_with_descriptors(&stream, byte, 64);
        }
        talk(stream, b"");
    }
    still_serves(&lab);
    std::thread::sleep(Duration::from_millis(200));
    assert!(open_descriptors() < before + 60, "{} from {before}", open_descriptors());
}

#[test]
fn descriptors_on_a_call_that_takes_none_are_closed() {
    let lab = Lab::new();
    let mut stream = lab.raw();
    stream.write_all(&framed(HELLO)).unwrap();
    read_frame(&mut stream);
    send_with_descriptors(&stream, &framed("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"boot\"}"), 3).unwrap();
    assert_eq!(read_frame(&mut stream)["error"]["data"]["code"], "worker.protocol");
    assert!(lab.worker.calls.lock().unwrap().is_empty() && lab.worker.held.lock().unwrap().is_empty());
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_stops_nobody() {
    let lab = Lab::new();
    let mut stream = lab.raw();
    stream.write_all(&framed(HELLO)).unwrap();
    read_frame(&mut stream);
    let start = Instant::now();
    for _ in 0..20_000 {
        lab.events.push(&MachineEvent::GuestReset);
    }
    assert!(start.elapsed() < LIMIT, "an event never waits for a reader");
    let metrics = framed("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"metrics\"}");
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    while start.elapsed() < LIMIT && stream.write_all(&metrics).is_ok() {}
    assert!(start.elapsed() < LIMIT, "the worker must have closed the connection");
    still_serves(&lab);
}

#[test]
fn a_worker_that_talks_nonsense_cannot_hurt_its_client() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let answers: [&[u8]; 4] = [b"\xff\xff\xff\xff", b"\x02\0\0\0{]", b"", b"\x04\0\0\0true"];
    let options = ClientOptions { timeout: Duration::from_secs(2), ..ClientOptions::default() };
    for answer in answers {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.write_all(answer);
                drop(stream);
            });
            let error = Client::connect(&path, &options).err().unwrap();
            assert!(matches!(error.code(), ErrorCode::WorkerGone | ErrorCode::WorkerProtocol), "{error}");
        });
    }
}

#[test]
fn a_worker_that_never_answers_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let options = ClientOptions { timeout: Duration::from_millis(200), ..ClientOptions::default() };
    assert_eq!(Client::connect(&path, &options).err().unwrap().code(), ErrorCode::WorkerGone);
}

proptest! {
    #[test]
    fn no_stream_makes_the_parser_panic(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz_frame(&data);
    }

    #[test]
    fn no_request_makes_the_parser_panic(
        method in prop_oneof![Just("configure".to_owned()), Just("handshake".to_owned()), "\\PC{0,9}"],
        params in prop_oneof![Just("{}".to_owned()), Just(r#"{"id":"a","spec":{"cpus":1}}"#.to_owned()), "\\PC{0,30}"],
    ) {
        let quoted = serde_json::Value::from(method);
        fuzz_frame(&framed(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":{quoted},"params":{params}}}"#)));
    }

    #[test]
    fn frames_come_back_as_they_went(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..100), 1..5), cut in 0usize..50) {
        use flotilla_control::frame::{encode, split};
        let whole: Vec<u8> = payloads.iter().flat_map(|payload| encode(payload).unwrap()).collect();
        let mut rest = whole.as_slice();
        for payload in &payloads {
            let (taken, after) = split(rest).unwrap().unwrap();
            prop_assert_eq!(taken, payload.as_slice());
            rest = after;
        }
        prop_assert!(rest.is_empty());
        let short = &whole[..cut.min(whole.len() - 1)];
        let mut rest = short;
        while let Some((_, after)) = split(rest).unwrap() {
            rest = after;
        }
        prop_assert!(rest.len() <= short.len());
    }
}
