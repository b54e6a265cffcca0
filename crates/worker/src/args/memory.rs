// SPDX-License-Identifier: Apache-2.0
//! What stands behind the memory, and to which nodes it belongs.

use clap::{Args, ValueEnum};
use flotilla_spec::{MemoryBacking, MemoryOptions, NumaNodeSpec, TransparentHugepages};

use super::cpu::numbers;
use super::memory_size;

/// What stands behind the memory.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person gives or leaves out")]
pub struct Memory {
    /// What stands behind the memory
    #[arg(id = "memory_backing", long = "memory-backing", value_enum, default_value_t = Backing::Anonymous)]
    pub backing: Backing,
    /// Whether the kernel makes transparent huge pages of it; always unless the pages are from the pool
    #[arg(long, value_enum)]
    pub thp: Option<Thp>,
    /// Commit all of it before the guest starts
    #[arg(long)]
    pub prefault: bool,
    /// Keep what is committed from being swapped
    #[arg(id = "lock_memory", long = "lock-memory")]
    pub lock: bool,
    /// Let the host merge equal pages of machines; they can then spy on each other
    #[arg(long)]
    pub mergeable: bool,
    /// Allow more memory than the host has
    #[arg(id = "memory_overcommit", long = "memory-overcommit")]
    pub overcommit: bool,
}

/// What stands behind the memory.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Backing {
    /// Private pages
    Anonymous,
    /// A memory file that other processes can map
    Memfd,
    /// Huge pages of 2 MiB from the host's pool
    #[value(name = "hugetlb-2M")]
    Hugetlb2M,
    /// Huge pages of 1 GiB from the host's pool
    #[value(name = "hugetlb-1G")]
    Hugetlb1G,
}

/// Whether the kernel makes transparent huge pages.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Thp {
    /// As the host does for any program
    Default,
    /// Wherever they fit
    Always,
    /// Nowhere
    Never,
}

impl Memory {
    /// As the specification says it.
    pub fn into_spec(self) -> MemoryOptions {
        MemoryOptions {
            backing: match self.backing {
                Backing::Anonymous => MemoryBacking::Anonymous,
                Backing::Memfd => MemoryBacking::Memfd,
                Backing::Hugetlb2M => MemoryBacking::Hugetlb2M,
                Backing::Hugetlb1G => MemoryBacking::Hugetlb1G,
            },
            transparent_hugepages: self.thp.map(|thp| match thp {
                Thp::Default => TransparentHugepages::Default,
                Thp::Always => TransparentHugepages::Always,
                Thp::Never => TransparentHugepages::Never,
            }),
            prefault: self.prefault,
            lock: self.lock,
            mergeable: self.mergeable,
            overcommit: self.overcommit,
        }
    }
}

/// `--numa`.
pub(super) fn numa(text: &str) -> Result<NumaNodeSpec, String> {
    let (mut cpus, mut memory, mut host_nodes, mut distances) = (Vec::new(), None, Vec::new(), Vec::new());
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("cpus", list)) => cpus = numbers(list, ':')?,
            Some(("memory", size)) => memory = Some(memory_size(size)?),
            Some(("host", list)) => host_nodes = numbers(list, ':')?,
            Some(("distances", list)) => {
                let each = list.split(':').map(str::parse);
                distances =
                    each.collect::<Result<_, _>>().map_err(|_| format!("{list:?} are no distances"))?;
            }
            _ => return Err(format!("{part:?} is no option of a node: cpus, memory, host, distances")),
        }
    }
    let memory = memory.ok_or("memory= is missing")?;
    Ok(NumaNodeSpec { cpus, memory, host_nodes, distances })
}

#[cfg(test)]
mod tests {
    use flotilla_spec::MemorySize;

    use super::*;

    #[test]
    fn a_node_has_cpus_and_memory() {
        let node = numa("cpus=0-1:4,memory=1G,host=1,distances=10:21").unwrap();
        assert_eq!((node.cpus, node.memory), (vec![0, 1, 4], MemorySize(1 << 30)));
        assert_eq!((node.host_nodes, node.distances), (vec![1], vec![10, 21]));
        for bad in
            ["cpus=0", "memory=much", "memory=1G,cpus=x", "memory=1G,distances=10:300", "memory=1G,die=1"]
        {
            assert!(numa(bad).is_err(), "{bad}");
        }
    }
}
