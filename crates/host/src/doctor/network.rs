// SPDX-License-Identifier: Apache-2.0
//! What networks of machines need.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};

use super::root::Root;
use super::{Check, about};

pub fn tun(host: &Root) -> Check {
    let check = about("tun", "/dev/net/tun", "Machines reach networks through tap interfaces");
    let device = "/dev/net/tun";
    let there = host.path(device);
    if !there.exists() {
        return check.missing(format!("{device} does not exist"), "Load the module: modprobe tun");
    }
    match access(there, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) if rustix::process::geteuid().is_root() => check.ok("there"),
        Ok(()) => check.degraded(
            "there, but only root makes interfaces",
            "Run the host agent as root, or with the capability CAP_NET_ADMIN",
        ),
        Err(_) => check.missing("there, but this user may not use it", "Run the host agent as root"),
    }
}

pub fn nf_tables(host: &Root) -> Check {
    let meaning = "The NAT network masquerades and filters with nf_tables";
    let check = about("nf-tables", "nf_tables", meaning);
    if rustix::process::geteuid().is_root() && lists_tables() {
        return check.ok("answers");
    }
    if host.path("/sys/module/nf_tables").exists() {
        return check.ok("loaded");
    }
    let modules = format!("/lib/modules/{}", host.text("/proc/sys/kernel/osrelease"));
    let offered = ["modules.dep", "modules.builtin"].map(|name| host.text(Path::new(&modules).join(name)));
    if offered.iter().any(|list| list.contains("/nf_tables.ko")) {
        return check.ok("loaded when it is used first");
    }
    check.missing("this kernel does not offer it", "Use a kernel with CONFIG_NF_TABLES, and install nftables")
}

pub fn vhost(host: &Root) -> Check {
    let meaning = "The kernel moves the packets of interfaces with the back-end vhost; others do without";
    let check = about("vhost-net", "/dev/vhost-net", meaning);
    let device = host.path("/dev/vhost-net");
    if !device.exists() {
        return check.ok("not there; only interfaces with the back-end vhost need it (modprobe vhost_net)");
    }
    match access(device, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => check.ok("there"),
        Err(_) => check.ok("there, but this user may not use it; only the back-end vhost needs it"),
    }
}

/// Only interfaces with user-mode networking need it, and hosts without root's networks have these alone.
pub fn passt(program: Option<PathBuf>) -> Check {
    let meaning = "It is the network of interfaces with user-mode networking; others do without";
    let check = about("passt", "Program passt", meaning);
    match program {
        Some(path) => check.ok(path.display().to_string()),
        None => {
            check.ok("not there; only interfaces with user-mode networking need it (apt-get install passt)")
        }
    }
}

/// Asking is the one sure way: kernels build it in, load it on demand or leave it out.
fn lists_tables() -> bool {
    let mut command = Command::new("nft");
    command.args(["list", "tables"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
