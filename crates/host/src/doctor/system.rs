// SPDX-License-Identifier: Apache-2.0
//! Kernel, resource control, memory, disk space and programs.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::root::Root;
use super::{Check, about};

/// The oldest kernel that this is tried on.
const OLDEST: (u32, u32) = (5, 10);

pub fn kernel(host: &Root) -> Check {
    let meaning = "Workers are held by pidfd, and what else they use is in Linux 5.10 and newer";
    let check = about("kernel", "Linux kernel", meaning);
    let release = host.text("/proc/sys/kernel/osrelease");
    if let Err(error) = pidfd_open(getpid(), PidfdFlags::empty()) {
        return check
            .missing(format!("{release}, without pidfd: {error}"), "Upgrade the kernel of this host");
    }
    if version(&release) >= OLDEST {
        return check.ok(release);
    }
    check.degraded(format!("{release}, older than what is tried"), "Upgrade the kernel of this host")
}

/// `6.1.0-18-amd64` → 6 and 1.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

pub fn cgroups(host: &Root) -> Check {
    let meaning = "The CPU, memory and disk that a worker may use can be limited with cgroup v2, by whoever runs Flotilla";
    let check = about("cgroup", "cgroup v2", meaning);
    let controllers = host.text("/sys/fs/cgroup/cgroup.controllers");
    if controllers.is_empty() {
        let remedy = "Mount it (systemd does), or boot without systemd.unified_cgroup_hierarchy=0";
        return check.degraded("not mounted at /sys/fs/cgroup", remedy);
    }
    check.ok(controllers)
}

pub fn hugepages(host: &Root) -> Check {
    let meaning = "Guests with much memory run faster on huge pages";
    let check = about("hugepages", "Huge pages", meaning);
    let transparent = host.text("/sys/kernel/mm/transparent_hugepage/enabled");
    let reserved = host.text("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    let mode =
        transparent.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(mode, _)| mode);
    match mode {
        "always" | "madvise" => check.ok(format!(
            "transparent: {mode}; {} of 2 MiB reserved",
            if reserved.is_empty() { "0" } else { &reserved }
        )),
        _ => check.degraded(
            "transparent huge pages are off",
            "Switch them on: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
    }
}

pub fn iommu(host: &Root) -> Check {
    let meaning = "Devices of the host could be given to machines behind an IOMMU; Flotilla gives none, so it needs none";
    let check = about("iommu", "IOMMU", meaning);
    match fs::read_dir(host.path("/sys/kernel/iommu_groups")).map(Iterator::count).unwrap_or_default() {
        0 => check.ok("no groups, not needed"),
        groups => check.ok(format!("{groups} groups, not needed")),
    }
}

/// Machines of different owners can read each other's pages by timing when equal pages are merged.
pub fn same_page_merging(host: &Root) -> Check {
    let meaning = "Merging equal pages saves memory, but lets machines of different owners spy on each other";
    let check = about("ksm", "Kernel same-page merging", meaning);
    let saved = host.text("/sys/kernel/mm/ksm/pages_sharing").parse::<u64>().unwrap_or_default();
    match host.text("/sys/kernel/mm/ksm/run").as_str() {
        "" => check.ok("not built in"),
        "1" => check.degraded(
            format!("on; {saved} pages saved, {} MiB", saved / 256),
            "Where machines have different owners: echo 2 > /sys/kernel/mm/ksm/run",
        ),
        _ => check.ok("off"),
    }
}

pub fn disk_space(wanted: &Path, bytes: u64) -> Check {
    let meaning = "Images, disks and the database are kept there";
    let check = about("disk-space", "Disk space", meaning);
    let there = wanted.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let Ok(stat) = statvfs(there) else {
        return check
            .missing(format!("{} cannot be looked at", there.display()), "Choose another data directory");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let detail = format!("{:.1} GiB free below {}", gibibytes(free), there.display());
    if free >= bytes {
        return check.ok(detail);
    }
    check.missing(detail, "Free space, or choose another data directory")
}

pub fn program(name: &str) -> Check {
    let check = about(&format!("program-{name}"), &format!("Program {name}"), program_meaning(name));
    match find_program(name) {
        Some(path) => check.ok(path.display().to_string()),
        None => check.missing("not found in PATH", &format!("Install it: apt-get install {}", package(name))),
    }
}

fn program_meaning(name: &str) -> &'static str {
    match name {
        "ip" => "Bridges and addresses are made with it",
        "nft" => "The rules of networks are made with it",
        "dnsmasq" => "It gives machines their addresses and names",
        "mmdebstrap" => "It makes Debian disks",
        "qemu-img" => "It converts disks of other formats",
        name if name.starts_with("qemu-system") => "The lab runs in it",
        _ => "It was asked for",
    }
}

fn package(name: &str) -> &str {
    match name {
        "ip" => "iproute2",
        "nft" => "nftables",
        "dnsmasq" => "dnsmasq-base",
        "qemu-img" => "qemu-utils",
        "qemu-system-x86_64" => "qemu-system-x86",
        "virtiofsd" => "qemu-system-common",
        other => other,
    }
}

/// Only machines with shared folders need it.
pub fn virtiofsd(program: Option<PathBuf>) -> Check {
    let meaning = "It serves the folders of the host that machines share; others do without";
    let check = about("virtiofsd", "Program virtiofsd", meaning);
    match program {
        Some(path) => check.ok(path.display().to_string()),
        None => check.ok(
            "not there; only machines with shared folders need it (Debian 12: apt-get install qemu-system-common, later: virtiofsd)",
        ),
    }
}

/// Only storage pools of the kind `nfs` need it.
pub fn mount_nfs(program: Option<PathBuf>) -> Check {
    let meaning = "It mounts the exports that storage pools of the kind nfs are on; others do without";
    let check = about("mount-nfs", "Program mount.nfs", meaning);
    match program {
        Some(path) => check.ok(path.display().to_string()),
        None => {
            check.ok("not there; only storage pools of the kind nfs need it (apt-get install nfs-common)")
        }
    }
}

/// Only storage pools of the kinds `lvm` and `lvm-thin` need them, the second of both.
pub fn lvm(lvm: Option<PathBuf>, thin_check: Option<PathBuf>) -> Check {
    let meaning =
        "They make the logical volumes of storage pools of the kinds lvm and lvm-thin; others do without";
    let check = about("lvm", "Programs of LVM", meaning);
    match (lvm, thin_check) {
        (Some(lvm), Some(_)) => check.ok(lvm.display().to_string()),
        (Some(_), None) => check.degraded(
            "there is no thin_check, without which thin pools are not activated",
            "Install it: apt-get install thin-provisioning-tools",
        ),
        (None, _) => check.ok(
            "not there; only storage pools of the kinds lvm and lvm-thin need them (apt-get install lvm2 thin-provisioning-tools)",
        ),
    }
}

/// Like a shell, and in the system directories that the PATH of a plain user lacks.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/libexec"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(system).map(|folder| folder.join(name));
    found.into_iter().find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}

fn gibibytes(bytes: u64) -> f64 {
    // Tenths are exact enough for a person, and small enough for a float.
    f64::from(u32::try_from(bytes / (1 << 30) * 10 + bytes % (1 << 30) * 10 / (1 << 30)).unwrap_or(u32::MAX))
        / 10.0
}
