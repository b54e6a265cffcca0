// SPDX-License-Identifier: Apache-2.0
//! The host as it is, and made-up ones that lack things.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use flotilla_hypervisor::probe::KvmKind;
use tempfile::TempDir;

use super::*;

/// A made-up root with these files.
fn host(files: &[(&str, &str)]) -> (TempDir, Root) {
    let folder = TempDir::new().unwrap();
    let root = Root::at(folder.path());
    for (path, content) in files {
        let path = root.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    (folder, root)
}

/// What a check finds on such a host.
fn found(files: &[(&str, &str)], check: fn(&Root) -> Check) -> (Status, String) {
    let (_folder, root) = host(files);
    let Check { status, detail, remedy, .. } = check(&root);
    assert_eq!(remedy.is_none(), status == Status::Ok);
    (status, detail)
}

fn refused(errno: rustix::io::Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

#[test]
fn every_check_has_a_name_a_meaning_and_a_remedy_when_it_is_not_well() {
    let report = check(&Wanted::default());
    let mut seen = HashSet::new();
    for check in &report.checks {
        assert!(seen.insert(check.id.clone()), "{} occurs twice", check.id);
        assert!(
            !check.detail.is_empty() && !check.meaning.is_empty() && !check.title.is_empty(),
            "{check:?}"
        );
        assert_eq!(check.remedy.is_none(), check.status == Status::Ok, "{check:?}");
    }
    let ids: Vec<&str> = report.checks.iter().map(|check| check.id.as_str()).collect();
    let always = "cpu kvm kvm-kind kvm-capabilities kernel seccomp landlock io-uring cgroup tun nf-tables vhost-net passt virtiofsd mount-nfs lvm \
                  hugepages iommu ksm disk-space program-ip program-nft program-dnsmasq";
    assert_eq!(ids, always.split_ascii_whitespace().collect::<Vec<_>>());
}

#[test]
fn says_what_is_missing() {
    let wanted = Wanted {
        data_directory: PathBuf::from("/nonexistent/a/b"),
        free_bytes: u64::MAX,
        programs: vec!["no-such-program".to_owned(), "sh".to_owned()],
    };
    let report = check(&wanted);
    let status = |id: &str| report.checks.iter().find(|check| check.id == id).map(|check| check.status);
    assert_eq!(status("disk-space"), Some(Status::Missing));
    assert_eq!(status("program-no-such-program"), Some(Status::Missing));
    assert_eq!(status("program-sh"), Some(Status::Ok));
}

#[test]
fn looks_for_space_where_the_data_will_be() {
    let folder = TempDir::new().unwrap();
    let check = system::disk_space(&folder.path().join("not/made/yet"), 0);
    assert_eq!(check.status, Status::Ok);
    assert!(check.detail.ends_with(&format!("below {}", folder.path().display())), "{}", check.detail);
}

#[test]
fn kvm_that_does_not_open_has_no_capabilities() {
    let check = kvm::capabilities(None);
    assert_eq!((check.id.as_str(), check.status), ("kvm-capabilities", Status::Missing));
    assert_eq!(kvm::kind_check(&KvmKind::None("x".to_owned())).status, Status::Missing);
    assert_eq!(kvm::kind_check(&KvmKind::Software("x".to_owned())).status, Status::Degraded);
    assert_eq!(found(&[], kvm::device).0, Status::Missing);
    assert_eq!(found(&[], kvm::cpu).0, Status::Missing);
    let flags =
        |list: &str| found(&[("/proc/cpuinfo", &format!("model : 1\nflags : fpu {list} sse"))], kvm::cpu);
    assert_eq!(flags("svm"), (Status::Ok, "svm (AMD-V)".to_owned()));
    assert_eq!(flags("vmx"), (Status::Ok, "vmx (Intel VT-x)".to_owned()));
    assert_eq!(flags("vmx-like").0, Status::Missing);
}

#[test]
fn an_old_kernel_is_used_with_a_warning() {
    let release = |text: &str| found(&[("/proc/sys/kernel/osrelease", text)], system::kernel).0;
    assert_eq!(release("5.9.16-amd64"), Status::Degraded);
    assert_eq!(release("5.10.0"), Status::Ok);
    assert_eq!(release("6.1.0-18-amd64"), Status::Ok);
}

#[test]
fn tells_the_ways_apart_in_which_landlock_is_absent() {
    use rustix::io::Errno;
    let ending = |answer| {
        let check = walls::landlock(answer);
        (check.status, check.remedy.unwrap_or_default())
    };
    assert_eq!(ending(Ok(6)).0, Status::Ok);
    assert_eq!(ending(Ok(2)), (Status::Degraded, "Linux 6.12 or newer has all of it".to_owned()));
    assert!(ending(Err(refused(Errno::OPNOTSUPP))).1.contains("lsm="));
    assert!(ending(Err(refused(Errno::NOSYS))).1.contains("CONFIG_SECURITY_LANDLOCK"));
}

#[test]
fn tells_a_sysctl_that_forbids_rings_from_a_filter() {
    let ending = |disabled| {
        let check = walls::io_uring(Err(refused(rustix::io::Errno::PERM)), disabled);
        (check.status, check.remedy.unwrap_or_default().contains("sysctl"))
    };
    assert_eq!(ending("2"), (Status::Degraded, true));
    assert_eq!(ending("0"), (Status::Degraded, false));
    assert_eq!(ending(""), (Status::Degraded, false));
    assert_eq!(walls::io_uring(Ok(()), "1").status, Status::Ok);
    assert_eq!(walls::seccomp(Err(refused(rustix::io::Errno::NOSYS))).status, Status::Missing);
}

#[test]
fn networks_miss_what_is_not_there() {
    assert_eq!(found(&[], network::tun).0, Status::Missing);
    let (status, detail) = found(&[], network::vhost);
    assert!(
        status == Status::Ok && detail.starts_with("not there; ") && detail.contains("modprobe vhost_net")
    );
    assert_eq!(found(&[("/dev/vhost-net", "")], network::vhost).1, "there");
    let absent = network::passt(None);
    assert!(absent.status == Status::Ok && absent.detail.contains("apt-get install passt"));
    assert_eq!(network::passt(Some("/usr/bin/passt".into())).detail, "/usr/bin/passt");
    let absent = system::virtiofsd(None);
    assert!(absent.status == Status::Ok && absent.detail.contains("apt-get install"));
    assert_eq!(system::virtiofsd(Some("/v".into())).detail, "/v");
    let absent = system::mount_nfs(None);
    assert!(absent.status == Status::Ok && absent.detail.contains("apt-get install nfs-common"));
    assert_eq!(system::mount_nfs(Some("/m".into())).detail, "/m");
    let absent = system::lvm(None, None);
    assert!(absent.status == Status::Ok && absent.detail.contains("apt-get install lvm2"));
    assert_eq!(system::lvm(Some("/l".into()), Some("/t".into())).detail, "/l");
    let lacking = system::lvm(Some("/l".into()), None);
    assert!(
        lacking.status == Status::Degraded && lacking.remedy.unwrap().contains("thin-provisioning-tools")
    );
}

#[test]
fn degrades_where_resources_or_secrets_are_at_stake() {
    assert_eq!(found(&[], system::cgroups).0, Status::Degraded);
    let controllers = [("/sys/fs/cgroup/cgroup.controllers", "cpu io memory\n")];
    assert_eq!(found(&controllers, system::cgroups), (Status::Ok, "cpu io memory".to_owned()));
    let pages = |mode| found(&[("/sys/kernel/mm/transparent_hugepage/enabled", mode)], system::hugepages).0;
    assert_eq!(pages("always [madvise] never"), Status::Ok);
    assert_eq!(pages("always madvise [never]"), Status::Degraded);
    assert_eq!(found(&[], system::iommu), (Status::Ok, "no groups, not needed".to_owned()));
    let group = [("/sys/kernel/iommu_groups/0/type", "DMA")];
    assert_eq!(found(&group, system::iommu), (Status::Ok, "1 groups, not needed".to_owned()));
    let merging = |run| found(&[("/sys/kernel/mm/ksm/run", run)], system::same_page_merging).0;
    assert_eq!(merging("1"), Status::Degraded);
    assert_eq!(merging("0"), Status::Ok);
}
