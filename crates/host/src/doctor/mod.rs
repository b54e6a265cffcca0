// SPDX-License-Identifier: Apache-2.0
//! What this host can do, and how to mend what it cannot. Found out by trying, not by guessing from versions.

mod kvm;
mod network;
mod root;
mod system;
#[cfg(test)]
mod tests;
mod walls;

use std::path::PathBuf;

use serde::Serialize;

pub use kvm::KvmReport;
use root::Root;

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, with a loss that `meaning` names.
    Degraded,
    /// Absent: what `meaning` names does not work.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name.
    pub id: String,
    /// What was looked at, for a person.
    pub title: String,
    /// How good it is.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What it is good for, or what does not work without it.
    pub meaning: String,
    /// How to mend it; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostReport {
    /// Each check, in the order a person reads them.
    pub checks: Vec<Check>,
    /// The kind of KVM.
    pub kvm: KvmReport,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where data will be kept; the nearest directory that exists is looked at.
    pub data_directory: PathBuf,
    /// Bytes that should be free there.
    pub free_bytes: u64,
    /// Programs that are needed, searched in PATH and the system directories.
    pub programs: Vec<String>,
}

impl Default for Wanted {
    fn default() -> Self {
        let programs = ["ip", "nft", "dnsmasq"].map(str::to_owned).to_vec();
        Self { data_directory: PathBuf::from("/var/lib"), free_bytes: 5 << 30, programs }
    }
}

/// Looks at this host. Takes some milliseconds; changes nothing.
pub fn check(wanted: &Wanted) -> HostReport {
    let host = Root::default();
    let (mut checks, kvm) = kvm::check(&host);
    checks.push(system::kernel(&host));
    checks.extend(walls::checks(&host));
    checks.push(system::cgroups(&host));
    checks.push(network::tun(&host));
    checks.push(network::nf_tables(&host));
    checks.push(network::vhost(&host));
    checks.push(network::passt(system::find_program("passt")));
    checks.push(system::virtiofsd(flotilla_share::virtiofsd::program()));
    checks.push(system::mount_nfs(system::find_program("mount.nfs")));
    checks.push(system::lvm(system::find_program("lvm"), system::find_program("thin_check")));
    checks.push(system::hugepages(&host));
    checks.push(system::iommu(&host));
    checks.push(system::same_page_merging(&host));
    checks.push(system::disk_space(&wanted.data_directory, wanted.free_bytes));
    checks.extend(wanted.programs.iter().map(|name| system::program(name)));
    HostReport { checks, kvm }
}

/// Starts a check; one of the three endings below finishes it.
fn about(id: &str, title: &str, meaning: &str) -> Unfinished {
    Unfinished { id: id.to_owned(), title: title.to_owned(), meaning: meaning.to_owned() }
}

struct Unfinished {
    id: String,
    title: String,
    meaning: String,
}

impl Unfinished {
    fn ok(self, detail: impl Into<String>) -> Check {
        self.finish(Status::Ok, detail.into(), None)
    }

    fn degraded(self, detail: impl Into<String>, remedy: &str) -> Check {
        self.finish(Status::Degraded, detail.into(), Some(remedy.to_owned()))
    }

    fn missing(self, detail: impl Into<String>, remedy: &str) -> Check {
        self.finish(Status::Missing, detail.into(), Some(remedy.to_owned()))
    }

    fn finish(self, status: Status, detail: String, remedy: Option<String>) -> Check {
        let Self { id, title, meaning } = self;
        Check { id, title, status, detail, meaning, remedy }
    }
}
