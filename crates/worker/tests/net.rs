// SPDX-License-Identifier: Apache-2.0
//! The real worker, in its sandbox, with a network interface that its guest drives.

mod support;

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use flotilla_test_guests::net::{FRAME_LEN, MAC, exchange};
use support::{Running, has_kvm, lacks, run_command, text, wait_until};

const TAP: &str = "flo-net";
const MTU: u16 = 1400;
/// From TEST-NET-2 (RFC 5737), which no network has.
const HOST: &str = "198.51.100.1";
const GUEST: &str = "198.51.100.2";

/// A tap interface for several queues, up and with an address, that goes when the test does.
struct Tap;

impl Tap {
    fn create(mac: &str) -> Option<Self> {
        let made = ip(&format!("tuntap add dev {TAP} mode tap vnet_hdr multi_queue"));
        let tap = made.then_some(Self)?;
        let rest = [
            format!("address add {HOST}/24 dev {TAP}"),
            format!("link set dev {TAP} up"),
            format!("neighbour replace {GUEST} lladdr {mac} dev {TAP} nud permanent"),
        ];
        rest.iter().all(|words| ip(words)).then_some(tap)
    }

    fn received(counter: &str) -> u64 {
        let path = format!("/sys/class/net/{TAP}/statistics/{counter}");
        fs::read_to_string(path).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        ip(&format!("tuntap del dev {TAP} mode tap multi_queue"));
    }
}

fn ip(words: &str) -> bool {
    Command::new("ip").args(words.split(' ')).output().is_ok_and(|done| done.status.success())
}

#[test]
fn frames_pass_by_all_queues_and_none_from_another_address() {
    if !has_kvm() {
        return;
    }
    let mac = MAC.map(|byte| format!("{byte:02x}")).join(":");
    let Some(_tap) = Tap::create(&mac) else {
        lacks("tap interfaces need root and ip");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let kernel = directory.path().join("guest.elf");
    fs::write(&kernel, exchange(MTU).image()).unwrap();
    let flags = format!("tap={TAP},queues=2,mtu={MTU},spoof=off,mac={mac}");
    let arguments = ["--kernel", kernel.to_str().unwrap(), "--memory", "32M", "--no-rng", "--net", &flags];
    let mut worker = Running(run_command(&arguments).spawn().unwrap());
    let mut seen = worker.read_until(".");
    // The kernel drops what is sent before it has noticed the carrier.
    let socket = UdpSocket::bind((HOST, 0)).unwrap();
    let mut status = None;
    wait_until("the guest is done", || {
        let _ = socket.send_to(b"frame", (GUEST, 9));
        status = worker.0.try_wait().unwrap();
        status.is_some()
    });
    seen += &worker.read_until("done\n");
    assert_eq!((status.and_then(|status| status.code()), seen.as_str()), (Some(0), "....done\n"));
    let expected = 2 * u64::from(FRAME_LEN);
    assert_eq!((Tap::received("rx_packets"), Tap::received("rx_bytes")), (2, expected), "one by each pair");
    assert!(Tap::received("tx_packets") > 0);
    let mut said = Vec::new();
    std::io::Read::read_to_end(worker.0.stderr.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(text(&said), "");
}
