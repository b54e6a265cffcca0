// SPDX-License-Identifier: Apache-2.0
//! What a machine's memory is to be like.

use vm_memory::GuestAddress;

/// What stands behind guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backing {
    /// Private anonymous pages: the cheapest page faults.
    #[default]
    Anonymous,
    /// One memfd for all regions, mapped shared, so that another process can map the same memory.
    /// The regions lie in the file one after the other, in their order.
    Memfd,
    /// The same with pages of the host's pool of huge ones, reserved here and now.
    HugePages(HugePage),
}

/// Sizes of huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HugePage {
    /// 2 MiB.
    Size2M,
    /// 1 GiB.
    Size1G,
}

impl HugePage {
    /// Bytes of a page.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Size2M => 2 << 20,
            Self::Size1G => 1 << 30,
        }
    }
}

impl Backing {
    /// Bytes of a page: regions are made of whole ones.
    pub const fn page(self) -> u64 {
        match self {
            Self::Anonymous | Self::Memfd => 4096,
            Self::HugePages(size) => size.bytes(),
        }
    }
}

/// Whether the kernel shall make transparent huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransparentPages {
    /// Wherever they fit.
    #[default]
    Always,
    /// As the host does for any program.
    HostDefault,
    /// Nowhere.
    Never,
}

/// A part of guest memory that comes from certain NUMA nodes of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// First guest address.
    pub start: GuestAddress,
    /// Length in bytes, within one region.
    pub len: u64,
    /// Numbers of the nodes.
    pub nodes: Vec<u32>,
}

/// What a machine's memory is to be like.
///
/// ```
/// use flotilla_memory::{GuestAddress, Options, allocate_with};
/// let options = Options { prefault: true, ..Options::default() };
/// let memory = allocate_with(&[(GuestAddress(0), 4 << 20)], &options)?;
/// # Ok::<(), flotilla_memory::MemoryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// What stands behind it.
    pub backing: Backing,
    /// Transparent huge pages, for memory that is not of huge pages anyway.
    pub transparent: TransparentPages,
    /// Whether every page is committed at once.
    pub prefault: bool,
    /// Whether what is committed stays in memory.
    pub lock: bool,
    /// Whether the kernel may merge equal pages. Of anonymous memory only.
    pub mergeable: bool,
    /// Which parts come from which nodes.
    pub bindings: Vec<Binding>,
}
