// SPDX-License-Identifier: Apache-2.0
//! SRAT and SLIT: which node processors and memory belong to, and how far nodes are from each other. Numbers of structures and
//! flags: ACPI 6.5 §5.2.16 and §5.2.17.

use acpi_tables::sdt::Sdt;

use super::{Node, OEM_ID, OEM_REVISION, OEM_TABLE_ID, Processor};
use crate::layout::Window;

/// After the header four bytes that are one, and eight reserved ones.
const SRAT_HEADER_LEN: u32 = 48;
const SRAT_REVISION: u8 = 3;
const SLIT_HEADER_LEN: u32 = 36;
const SLIT_REVISION: u8 = 1;

const PROCESSOR: u8 = 0;
const PROCESSOR_LEN: u8 = 16;
const MEMORY: u8 = 1;
const MEMORY_LEN: u8 = 40;
const X2_PROCESSOR: u8 = 2;
const X2_PROCESSOR_LEN: u8 = 24;
const ENABLED: u32 = 1;

const LOCAL: u8 = 10;
const REMOTE: u8 = 20;

/// Which node each processor and each range of memory belongs to.
pub(super) fn srat(processors: &[Processor], nodes: &[Node]) -> Sdt {
    let mut table = Sdt::new(*b"SRAT", SRAT_HEADER_LEN, SRAT_REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.write_u32(36, 1);
    let mut body = Vec::new();
    for processor in processors {
        add_processor(&mut body, *processor);
    }
    for (domain, node) in (0_u32..).zip(nodes) {
        for range in &node.ranges {
            add_memory(&mut body, domain, *range);
        }
    }
    table.append_slice(&body);
    table
}

fn add_processor(body: &mut Vec<u8>, processor: Processor) {
    let [low, rest @ ..] = processor.node.to_le_bytes();
    match u8::try_from(processor.apic_id) {
        Ok(id) if id != u8::MAX => {
            body.extend([PROCESSOR, PROCESSOR_LEN, low, id]);
            body.extend(ENABLED.to_le_bytes());
            body.push(0); // local SAPIC, of another architecture
            body.extend(rest);
            body.extend(0_u32.to_le_bytes()); // clock domain
        }
        _ => {
            body.extend([X2_PROCESSOR, X2_PROCESSOR_LEN, 0, 0]);
            for word in [processor.node, processor.apic_id, ENABLED, 0, 0] {
                body.extend(word.to_le_bytes());
            }
        }
    }
}

fn add_memory(body: &mut Vec<u8>, domain: u32, range: Window) {
    body.extend([MEMORY, MEMORY_LEN]);
    body.extend(domain.to_le_bytes());
    body.extend([0; 2]);
    body.extend(range.start.to_le_bytes());
    body.extend(range.len.to_le_bytes());
    body.extend([0; 4]);
    body.extend(ENABLED.to_le_bytes());
    body.extend([0; 8]);
}

/// How far each node is from each other one.
pub(super) fn slit(nodes: &[Node]) -> Sdt {
    let mut table = Sdt::new(*b"SLIT", SLIT_HEADER_LEN, SLIT_REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let mut body = (nodes.len() as u64).to_le_bytes().to_vec();
    for (from, node) in nodes.iter().enumerate() {
        for to in 0..nodes.len() {
            let usual = if from == to { LOCAL } else { REMOTE };
            body.push(node.distances.get(to).copied().unwrap_or(usual));
        }
    }
    table.append_slice(&body);
    table
}
