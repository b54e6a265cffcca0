// SPDX-License-Identifier: Apache-2.0
//! What stands behind the memory, and NUMA nodes.

use super::Faults;
use super::cpu::LAST_HOST_NUMBER;
use super::resources::MIN_MEMORY;
use crate::code::ErrorCode;
use crate::{MachineSpec, MemoryBacking, NumaNodeSpec};

/// The most NUMA nodes of a guest.
pub const MAX_NUMA_NODES: usize = 16;
/// The distance of a node to itself (ACPI 6.5 §5.2.17).
const LOCAL: u8 = 10;
/// Says that a node cannot be reached.
const UNREACHABLE: u8 = 255;

pub(super) fn check_memory_options(faults: &mut Faults, spec: &MachineSpec) {
    let options = &spec.memory_options;
    let backing = options.backing;
    if backing.is_hugetlb() && options.transparent_hugepages.is_some() {
        let message = "Huge pages of the pool are huge already: they are never transparent ones";
        faults.add(ErrorCode::SpecMemoryConflict, "$.memoryOptions.transparentHugepages", message);
    }
    if options.mergeable && backing != MemoryBacking::Anonymous {
        let message =
            "The kernel merges private memory only: pages of a memory file or of the pool stay apart";
        faults.add(ErrorCode::SpecMemoryConflict, "$.memoryOptions.mergeable", message);
    }
    if options.mergeable && options.lock {
        let message = "Memory that is merged is not locked: what is written to it later needs new pages";
        faults.add(ErrorCode::SpecMemoryConflict, "$.memoryOptions.lock", message);
    }
    if options.overcommit && (backing.is_hugetlb() || options.prefault) {
        let message = "Memory beyond what the host has cannot be committed before it is used";
        faults.add(ErrorCode::SpecMemoryConflict, "$.memoryOptions.overcommit", message);
    }
    if backing.is_hugetlb() && !spec.memory.bytes().is_multiple_of(backing.page()) {
        let message =
            format!("{} bytes of memory are not whole pages of {}", spec.memory.bytes(), backing.page());
        faults.add(ErrorCode::SpecMemoryUnaligned, "$.memory", message);
    }
}

pub(super) fn check_numa(faults: &mut Faults, spec: &MachineSpec) {
    let nodes = &spec.numa;
    if nodes.is_empty() {
        return;
    }
    if nodes.len() > MAX_NUMA_NODES {
        let message = format!("{} nodes are more than {MAX_NUMA_NODES}", nodes.len());
        return faults.add(ErrorCode::SpecNumaInvalid, "$.numa", message);
    }
    for (index, node) in nodes.iter().enumerate() {
        check_node(faults, spec, index, node);
    }
    let sum = nodes.iter().try_fold(0_u64, |sum, node| sum.checked_add(node.memory.bytes()));
    if sum != Some(spec.memory.bytes()) {
        let message = "The memory of the nodes does not add up to that of the machine";
        faults.add(ErrorCode::SpecNumaInvalid, "$.numa", message);
    }
    for cpu in 0..spec.cpus.min(super::MAX_CPUS) {
        let holders = nodes.iter().flat_map(|node| &node.cpus).filter(|one| **one == cpu).count();
        if holders != 1 {
            let message = format!("CPU {cpu} is in {holders} places of the nodes instead of in one");
            faults.add(ErrorCode::SpecNumaInvalid, "$.numa", message);
        }
    }
}

fn check_node(faults: &mut Faults, spec: &MachineSpec, index: usize, node: &NumaNodeSpec) {
    let path = format!("$.numa[{index}]");
    let (memory, page) = (node.memory.bytes(), spec.memory_options.backing.page());
    if memory < MIN_MEMORY || !memory.is_multiple_of(page) {
        let message = format!("{memory} bytes are not at least {MIN_MEMORY}, in whole pages of {page}");
        faults.add(ErrorCode::SpecNumaInvalid, format!("{path}.memory"), message);
    }
    if let Some(cpu) = node.cpus.iter().find(|cpu| **cpu >= spec.cpus) {
        let message = format!("CPU {cpu} is not one of the machine's {}", spec.cpus);
        faults.add(ErrorCode::SpecNumaInvalid, format!("{path}.cpus"), message);
    }
    if let Some(host) = node.host_nodes.iter().find(|host| **host > LAST_HOST_NUMBER) {
        let message = format!("{host} cannot be a node of a host: they count from 0");
        faults.add(ErrorCode::SpecNumaInvalid, format!("{path}.hostNodes"), message);
    }
    let distances = &node.distances;
    let fits = |(to, distance): (usize, &u8)| {
        if to == index { *distance == LOCAL } else { (LOCAL + 1..UNREACHABLE).contains(distance) }
    };
    if !distances.is_empty()
        && (distances.len() != spec.numa.len() || !distances.iter().enumerate().all(fits))
    {
        let message = "Distances are one for each node: 10 to itself, 11 to 254 to the others";
        faults.add(ErrorCode::SpecNumaInvalid, format!("{path}.distances"), message);
    }
}
