// SPDX-License-Identifier: Apache-2.0
//! The memory of a machine, and the nodes it belongs to.

use std::sync::Arc;

use flotilla_boot::acpi::Node;
use flotilla_boot::layout;
use flotilla_memory::{Backing, Binding, GuestAddress, GuestMemory, HugePage, Options, TransparentPages};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{MachineSpec, MemoryBacking, TransparentHugepages, Violation};

use crate::error::BuildError;

/// Allocates it. `physical_bits` is the width of the guest's addresses.
pub fn allocate(spec: &MachineSpec, physical_bits: u8) -> Result<Arc<GuestMemory>, BuildError> {
    let size = spec.memory.bytes();
    let limit = 1_u64.checked_shl(physical_bits.into()).unwrap_or(u64::MAX);
    if layout::ram_end(size) > limit {
        let message = format!(
            "{size} bytes of memory end beyond what this host's processors address: {physical_bits} bits"
        );
        let fault = Violation::new(ErrorCode::SpecMemoryTooLarge, "$.memory", message);
        return Err(BuildError::Resource(fault));
    }
    flotilla_memory::allocate_with(&layout::ram_regions(size), &options(spec)).map_err(BuildError::Memory)
}

/// The nodes as firmware tables tell of them.
pub fn nodes(spec: &MachineSpec) -> Vec<Node> {
    let nodes = spec.numa.iter().zip(shares(spec));
    nodes.map(|(node, ranges)| Node { ranges, distances: node.distances.clone() }).collect()
}

fn shares(spec: &MachineSpec) -> Vec<Vec<layout::Window>> {
    let sizes: Vec<u64> = spec.numa.iter().map(|node| node.memory.bytes()).collect();
    layout::share_ram(spec.memory.bytes(), &sizes)
}

fn options(spec: &MachineSpec) -> Options {
    let wanted = &spec.memory_options;
    Options {
        backing: match wanted.backing {
            // Whoever serves a shared folder maps the memory as well.
            MemoryBacking::Anonymous if !spec.shares.is_empty() => Backing::Memfd,
            MemoryBacking::Anonymous => Backing::Anonymous,
            MemoryBacking::Memfd => Backing::Memfd,
            MemoryBacking::Hugetlb2M => Backing::HugePages(HugePage::Size2M),
            MemoryBacking::Hugetlb1G => Backing::HugePages(HugePage::Size1G),
        },
        transparent: match wanted.transparent_hugepages.unwrap_or_default() {
            TransparentHugepages::Default => TransparentPages::HostDefault,
            TransparentHugepages::Always => TransparentPages::Always,
            TransparentHugepages::Never => TransparentPages::Never,
        },
        prefault: wanted.prefault,
        lock: wanted.lock,
        mergeable: wanted.mergeable,
        bindings: bindings(spec),
    }
}

fn bindings(spec: &MachineSpec) -> Vec<Binding> {
    let nodes = spec.numa.iter().zip(shares(spec)).filter(|(node, _)| !node.host_nodes.is_empty());
    nodes
        .flat_map(|(node, ranges)| {
            ranges.into_iter().map(|range| Binding {
                start: GuestAddress(range.start),
                len: range.len,
                nodes: node.host_nodes.clone(),
            })
        })
        .collect()
}
