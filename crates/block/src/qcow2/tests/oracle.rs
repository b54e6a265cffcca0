// SPDX-License-Identifier: Apache-2.0
//! qemu-img and qemu-io.

use std::path::Path;
use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Whether the oracle is installed (Debian: qemu-utils).
pub fn is_there() -> bool {
    let there = ["qemu-img", "qemu-io"].iter().all(|name| Command::new(name).arg("-V").output().is_ok());
    if !there {
        crate::tests::skip("qemu-img and qemu-io are missing");
    }
    there
}

/// Runs qemu-img, which must succeed.
pub fn qemu_img(arguments: &[&str]) -> String {
    let output = run("qemu-img", arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "qemu-img {arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs commands of qemu-io on an image.
pub fn qemu_io(path: &Path, commands: &[&str]) {
    let mut arguments = vec!["-f", "qcow2", path.to_str().unwrap()];
    for command in commands {
        arguments.extend(["-c", command]);
    }
    run("qemu-io", &arguments);
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Clean,
    Leaks,
}

/// Checks an image. Damage is a failure of the test.
pub fn check(path: &Path) -> Verdict {
    let output = run("qemu-img", &["check", "-f", "qcow2", path.to_str().unwrap()]);
    match output.status.code() {
        Some(0) => Verdict::Clean,
        Some(3) => Verdict::Leaks,
        _ => panic!(
            "image is damaged: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// Compares the content of an image, as QEMU reads it, with bytes.
pub fn compare(path: &Path, model: &[u8]) {
    let raw = path.with_extension("model");
    std::fs::write(&raw, model).unwrap();
    let arguments = ["compare", "-f", "qcow2", "-F", "raw"];
    qemu_img(&[&arguments[..], &[path.to_str().unwrap(), raw.to_str().unwrap()]].concat());
}
