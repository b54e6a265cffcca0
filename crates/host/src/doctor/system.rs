// SPDX-License-Identifier: Apache-2.0
//! Kernel, resource control, memory, disk space and programs.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::{Check, about, text};

/// The oldest kernel that has everything used here.
const OLDEST: (u32, u32) = (5, 10);

pub fn kernel() -> Check {
    let meaning = "Workers use pidfd, KVM and io_uring of Linux 5.10 and newer";
    let check = about("kernel", "Linux kernel", meaning);
    let release = text("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version >= OLDEST {
        check.ok(release)
    } else {
        check.missing(release, "Upgrade the kernel of this host")
    }
}

pub fn cgroups() -> Check {
    let meaning = "The use of CPU, memory and disk of a machine is limited with cgroup v2";
    let check = about("cgroup", "cgroup v2", meaning);
    let controllers = text("/sys/fs/cgroup/cgroup.controllers");
    if controllers.is_empty() {
        let remedy = "Mount it (systemd does), or boot without systemd.unified_cgroup_hierarchy=0";
        return check.degraded("not mounted at /sys/fs/cgroup", remedy);
    }
    check.ok(controllers)
}

pub fn hugepages() -> Check {
    let meaning = "Guests with much memory run faster on huge pages";
    let check = about("hugepages", "Huge pages", meaning);
    let transparent = text("/sys/kernel/mm/transparent_hugepage/enabled");
    let reserved = text("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
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

pub fn iommu() -> Check {
    let check =
        about("iommu", "IOMMU", "PCI devices of the host can be given to machines only behind an IOMMU");
    let groups = fs::read_dir("/sys/kernel/iommu_groups").map(Iterator::count).unwrap_or_default();
    if groups > 0 {
        return check.ok(format!("{groups} groups"));
    }
    check.degraded("no groups", "Enable it in the firmware and boot with intel_iommu=on, or AMD's equivalent")
}

/// Machines of different owners can read each other's pages by timing when equal pages are merged.
pub fn same_page_merging() -> Check {
    let meaning = "Merging equal pages saves memory, but lets machines of different owners spy on each other";
    let check = about("ksm", "Kernel same-page merging", meaning);
    match text("/sys/kernel/mm/ksm/run").as_str() {
        "" => check.ok("not built in"),
        "1" => check.degraded("on", "Where machines have different owners: echo 2 > /sys/kernel/mm/ksm/run"),
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

/// Like a shell, and in the system directories that the PATH of a plain user lacks.
fn find_program(name: &str) -> Option<PathBuf> {
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
