// SPDX-License-Identifier: Apache-2.0
//! From a bare initramfs to the host's root file system under a throw-away overlay.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{chdir, chroot, sethostname};

use crate::config::Config;
use crate::{Doing, Failure};

/// Where the new root is put together.
const ROOT: &str = "/root";

/// `/proc`, `/sys` and `/dev` of the initramfs; they move into the new root later.
pub fn mount_kernel_file_systems() -> Result<(), Failure> {
    mount_at("proc", "proc", "/proc", "")?;
    mount_at("sysfs", "sysfs", "/sys", "")?;
    mount_at("devtmpfs", "devtmpfs", "/dev", "")
}

/// Loads the modules that the initramfs lists for this stage, in the order in which they depend on each other.
pub fn load_modules(stage: &str) -> Result<(), Failure> {
    let list = fs::read_to_string(format!("/modules/{stage}")).doing("The initramfs has no module list")?;
    let processor = fs::read_to_string("/proc/cpuinfo").doing("/proc/cpuinfo")?;
    for name in list.lines().filter(|name| fits(name, &processor)) {
        let path = format!("/modules/{name}");
        let file = File::open(&path).doing(&path)?;
        match finit_module(&file, c"", ModuleInitFlags::empty()) {
            Ok(()) | Err(nix::Error::EEXIST) => {}
            Err(error) => return Err(format!("Cannot load the kernel module {name}: {error}")),
        }
    }
    Ok(())
}

/// The two KVM modules are for one maker's processors each; every other module fits all.
fn fits(module: &str, processor: &str) -> bool {
    let has = |flag| processor.split_whitespace().any(|word| word == flag);
    match module {
        "kvm-amd.ko" => has("svm"),
        "kvm-intel.ko" => has("vmx"),
        _ => true,
    }
}

/// Puts the host's root under an overlay and makes it our root.
pub fn enter_host_root(config: &Config) -> Result<(), Failure> {
    for directory in ["/host", "/upper", ROOT] {
        fs::create_dir_all(directory).doing(directory)?;
    }
    mount_at("host", "virtiofs", "/host", "")?;
    mount_at("upper", "tmpfs", "/upper", "size=60%,mode=755")?;
    for directory in ["/upper/data", "/upper/work"] {
        fs::create_dir(directory).doing(directory)?;
    }
    mount_at("lab", "overlay", ROOT, "lowerdir=/host,upperdir=/upper/data,workdir=/upper/work")?;
    for directory in ["/proc", "/sys", "/dev"] {
        let target = format!("{ROOT}{directory}");
        mount(Some(directory), target.as_str(), None::<&str>, MsFlags::MS_MOVE, None::<&str>)
            .doing(&target)?;
    }
    chdir(ROOT).doing(ROOT)?;
    mount(Some(ROOT), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).doing("Cannot move the new root")?;
    chroot(".").doing("chroot")?;
    chdir("/").doing("chdir")?;
    furnish(config)
}

/// What programs expect beside the files: temporary directories, terminals, control groups, modules, a loopback link.
fn furnish(config: &Config) -> Result<(), Failure> {
    mount_at("tmpfs", "tmpfs", "/tmp", "mode=1777")?;
    mount_at("tmpfs", "tmpfs", "/run", "mode=755")?;
    for directory in ["/dev/pts", "/dev/shm", "/dev/hugepages", "/run/lock"] {
        fs::create_dir_all(directory).doing(directory)?;
    }
    mount_at("devpts", "devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666")?;
    mount_at("tmpfs", "tmpfs", "/dev/shm", "mode=1777")?;
    mount_at("hugetlbfs", "hugetlbfs", "/dev/hugepages", "")?;
    mount_at("cgroup2", "cgroup2", "/sys/fs/cgroup", "")?;
    // Best effort: a controller that this kernel lacks must not cost the whole lab.
    for controller in ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"] {
        let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", format!("+{controller}"));
    }
    for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        let _ = symlink(target, Path::new("/dev").join(link));
    }
    share_modules(&config.modules)?;
    for (tag, directory) in &config.writable {
        fs::create_dir_all(directory).doing(directory)?;
        mount_at(tag, "virtiofs", directory, "")?;
    }
    sethostname("lab").doing("sethostname")?;
    let _ = Command::new("/usr/sbin/ip").args(["link", "set", "lo", "up"]).status();
    Ok(())
}

/// Binds the kernel's modules to where modprobe looks, so that the kernel loads what a program needs when it needs it,
/// and makes the device nodes whose opening loads a module (tun, vhost-net, loop-control, ...).
fn share_modules(directory: &str) -> Result<(), Failure> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").doing("osrelease")?;
    let target = format!("/lib/modules/{}", release.trim());
    fs::create_dir_all(&target).doing(&target)?;
    mount(Some(directory), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .doing(format_args!("Cannot bind {directory} to {target}"))?;
    let nodes = fs::read_to_string(format!("{target}/modules.devname")).doing("modules.devname")?;
    for line in nodes.lines().filter(|line| !line.starts_with('#')) {
        make_node(line);
    }
    Ok(())
}

/// One line of modules.devname: `tun net/tun c10:200`. Lines that do not look so are skipped, existing nodes kept.
fn make_node(line: &str) {
    let mut words = line.split_whitespace().skip(1);
    let (Some(path), Some(device)) = (words.next(), words.next()) else { return };
    let kind = if device.starts_with('b') { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    let Some((major, minor)) = device.get(1..).and_then(|numbers| numbers.split_once(':')) else { return };
    let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { return };
    let path = Path::new("/dev").join(path);
    if let Some(parent) = path.parent() {
        let _ = fs::create_dir_all(parent);
    }
    let _ = mknod(&path, kind, Mode::from_bits_truncate(0o600), makedev(major, minor));
}

fn mount_at(source: &str, kind: &str, target: &str, options: &str) -> Result<(), Failure> {
    mount(Some(source), target, Some(kind), MsFlags::empty(), Some(options))
        .doing(format_args!("Cannot mount {kind} at {target}"))
}
