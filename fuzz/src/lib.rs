// SPDX-License-Identifier: Apache-2.0
//! What several fuzz targets share.

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

use flotilla_boot::acpi::Processor;
use flotilla_boot::{MachineKind, PlanOptions, Protocol, Sources, plan};
use flotilla_memory::{Backing, GuestAddress, GuestMemory, allocate};

/// Bytes of guest memory.
const RAM: u64 = 32 << 20;

thread_local! {
    /// One memory for all runs: allocating it anew would take most of the time.
    static MEMORY: OnceCell<Arc<GuestMemory>> = const { OnceCell::new() };
}

/// Runs `work` with 32 MiB of guest memory that holds whatever earlier runs left there.
pub fn with_memory(work: impl FnOnce(&Arc<GuestMemory>)) {
    MEMORY.with(|memory| {
        work(memory.get_or_init(|| {
            allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous).expect("32 MiB of memory")
        }));
    });
}

/// Whether all inputs are to be accepted: those that a fuzzer begins with (seeds.mjs) would else be of no use, and nobody would see it.
pub fn expects_valid() -> bool {
    static EXPECTS: OnceLock<bool> = OnceLock::new();
    *EXPECTS.get_or_init(|| std::env::var_os("FLOTILLA_FUZZ_VALID").is_some())
}

/// Plans the boot of `kernel` by each protocol and carries out what could be planned.
pub fn boot(kernel: &Vec<u8>) {
    with_memory(|memory| {
        for protocol in [Protocol::Auto, Protocol::Linux] {
            let options = PlanOptions {
                protocol,
                processors: &Processor::row(1),
                nodes: &[],
                kind: MachineKind::Micro { virtio_devices: 2, acpi: false },
                watchdog: false,
            };
            let sources = Sources { kernel, initrd: None };
            let plan = plan(&sources, "console=ttyS0", memory, &options);
            assert!(plan.is_ok() || !expects_valid(), "refused: {:?}", plan.err());
            if let Ok(plan) = plan {
                let work: u64 = plan.pieces.iter().map(|piece| piece.range().len).sum();
                assert!(work <= RAM, "a load writes {work} bytes into {RAM} bytes of memory");
                plan.apply(&sources, memory).expect("a plan can be carried out");
            }
        }
    });
}
