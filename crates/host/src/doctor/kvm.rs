// SPDX-License-Identifier: Apache-2.0
//! CPU flags, /dev/kvm and what kind of KVM stands behind it.

use flotilla_hypervisor::Kvm;
use flotilla_hypervisor::probe::{KvmKind, kvm_kind};
use rustix::fs::{Access, access};
use serde::Serialize;

use super::root::Root;
use super::{Check, about};

const DEVICE: &str = "/dev/kvm";
const MEANING: &str = "Machines run on KVM";

/// The kind of KVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KvmReport {
    /// `hardware`, `software` or `none`.
    pub kind: &'static str,
    /// What was found, for a person.
    pub detail: String,
}

pub fn check(host: &Root) -> (Vec<Check>, KvmReport) {
    let kvm = Kvm::open();
    let kind = kvm.as_ref().map_or_else(|error| KvmKind::None(error.to_string()), kvm_kind);
    let checks = vec![cpu(host), device(host), kind_check(&kind), capabilities(kvm.as_ref().ok())];
    (checks, report(kind))
}

fn report(kind: KvmKind) -> KvmReport {
    match kind {
        KvmKind::Hardware => {
            KvmReport { kind: "hardware", detail: "Unmodified guests run at full speed".to_owned() }
        }
        KvmKind::Software(why) => KvmReport { kind: "software", detail: why },
        KvmKind::None(why) => KvmReport { kind: "none", detail: why },
    }
}

pub fn cpu(host: &Root) -> Check {
    let check = about("cpu", "CPU virtualization flags", "Hardware virtualization runs guests at full speed");
    let info = host.text("/proc/cpuinfo");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
    let has = |name| flags.split_ascii_whitespace().any(|flag| flag == name);
    match () {
        () if has("vmx") => check.ok("vmx (Intel VT-x)"),
        () if has("svm") => check.ok("svm (AMD-V)"),
        () => check.missing(
            "neither vmx nor svm",
            "Enable virtualization in the firmware, or nested virtualization for this machine where it is a virtual one; without either use the lab: npm run lab",
        ),
    }
}

pub fn device(host: &Root) -> Check {
    let check = about("kvm", "/dev/kvm", MEANING);
    let there = host.path(DEVICE);
    if !there.exists() {
        return check.missing(
            format!("{DEVICE} does not exist"),
            "Load the module: modprobe kvm_amd or modprobe kvm_intel",
        );
    }
    match access(there, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => check.ok("there, and this user may use it"),
        Err(_) => check.missing(
            "there, but this user may not use it",
            "Add the user to its group and log in again: usermod -aG kvm $USER",
        ),
    }
}

pub fn kind_check(kind: &KvmKind) -> Check {
    let meaning = "Stock operating systems need hardware KVM; software KVM runs only small test guests";
    let check = about("kvm-kind", "Kind of KVM, by running a few guest instructions", meaning);
    match kind {
        KvmKind::Hardware => check.ok("hardware"),
        KvmKind::Software(why) => check.degraded(
            format!("software: {why}"),
            "Use a host with hardware virtualization, or the lab: npm run lab",
        ),
        KvmKind::None(why) => {
            check.missing(format!("none: {why}"), "Mend the entries on the CPU and /dev/kvm first")
        }
    }
}

pub fn capabilities(kvm: Option<&Kvm>) -> Check {
    let check = about("kvm-capabilities", "KVM capabilities", "Every machine uses these");
    let Some(kvm) = kvm else {
        return check.missing(
            "KVM does not open, so it cannot be asked",
            "Mend the entries on the CPU and /dev/kvm first",
        );
    };
    let found = kvm.check();
    if found.missing.is_empty() {
        return check.ok(format!("all there; up to {} virtual CPUs in a machine", found.max_vcpus));
    }
    check.missing(format!("without {}", found.missing.join(", ")), "Use a newer kernel: Linux 5.10 or later")
}
