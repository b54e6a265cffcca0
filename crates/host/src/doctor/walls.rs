// SPDX-License-Identifier: Apache-2.0
//! What stands between a guest that took over its worker and the host, and the fast way to disks. Kernels, boot
//! parameters, sysctls and the filters of containers each take these away: only trying tells.

use std::io;

use flotilla_sandbox::probe;
use rustix::io::Errno;

use super::root::Root;
use super::{Check, about};

pub fn checks(host: &Root) -> Vec<Check> {
    vec![
        seccomp(probe::seccomp()),
        landlock(probe::landlock_version()),
        io_uring(flotilla_block::try_ring(), &host.text("/proc/sys/kernel/io_uring_disabled")),
    ]
}

pub fn seccomp(answer: io::Result<()>) -> Check {
    let meaning = "Each thread of a worker has a list of system calls; any other ends the worker. Workers do not start without";
    let check = about("seccomp", "System call filters (seccomp)", meaning);
    match answer {
        Ok(()) => check.ok("the kernel filters"),
        Err(error) => check
            .missing(format!("refused: {error}"), "Use a kernel with CONFIG_SECCOMP_FILTER, 4.14 or newer"),
    }
}

pub fn landlock(answer: io::Result<u32>) -> Check {
    let meaning = "A worker can open no path and no TCP port, even out of its empty root. Without, the namespaces and the other user of workers stand alone";
    let check = about("landlock", "Landlock", meaning);
    let wanted = probe::LANDLOCK_WANTED;
    match answer {
        Ok(version) if version >= wanted => check.ok(format!("version {version}")),
        Ok(version) => check.degraded(
            format!("version {version} of {wanted}: it guards paths, but not all of TCP, devices and signals"),
            "Linux 6.12 or newer has all of it",
        ),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::OPNOTSUPP) => {
            check.degraded("off since the boot", "Boot with landlock in the list of the parameter lsm=")
        }
        Err(error) => check.degraded(
            format!("not there: {error}"),
            "Use a kernel with CONFIG_SECURITY_LANDLOCK, 5.13 or newer; in a container, allow landlock_create_ruleset",
        ),
    }
}

/// `disabled` is the sysctl: 0 for everybody, 1 for a group, 2 for nobody; empty on kernels older than 6.6.
pub fn io_uring(answer: io::Result<()>, disabled: &str) -> Check {
    let meaning = "Disks of machines get faster with io_uring; without it each request is a system call that is waited for";
    let check = about("io-uring", "io_uring", meaning);
    match (answer, disabled) {
        (Ok(()), _) => check.ok("a ring like those of disks was made"),
        (Err(error), "1" | "2") => check.degraded(
            format!("refused: {error}; kernel.io_uring_disabled is {disabled}"),
            "Allow it: sysctl -w kernel.io_uring_disabled=0",
        ),
        (Err(error), _) => check.degraded(
            format!("refused: {error}"),
            "Use Linux 5.10 or newer; in a container, allow io_uring_setup, io_uring_enter and io_uring_register",
        ),
    }
}
