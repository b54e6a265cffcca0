// SPDX-License-Identifier: Apache-2.0
//! What a guest reads, leaf by leaf, and what holds for any host and any topology.

use proptest::prelude::*;

use super::*;

fn entry(function: u32, index: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> CpuidEntry {
    CpuidEntry { function, index, flags: 0, eax, ebx, ecx, edx }
}

fn amd() -> Cpuid {
    Cpuid {
        entries: vec![
            entry(0, 0, [0x10, 0, VENDOR_AMD, 0]),
            entry(1, 0, [0xa2_0f12, 0x0708_0805, 1 << 15, 1 << 28]),
            entry(7, 0, [1, 0, 1 << 5 | 1, 1 << 29 | 1]),
            entry(0xb, 0, [0, 0, 0, 0]),
            entry(0x4000_0000, 0, [0x4000_0001, 0x4b4d_564b, 0x564b_4d56, 0x4d]),
            entry(0x8000_0001, 0, [0, 0, 0, 0]),
            entry(0x8000_0007, 0, [0, 0, 0, 1 << 8]),
            entry(0x8000_0008, 0, [0x30_3034, 0, 0x7007, 0]),
            entry(0x8000_001d, 3, [0x1c163, 0, 0, 0]),
            entry(0x8000_001d, 1, [0x4122, 0, 0, 0]),
            entry(0x8000_001e, 0, [9, 0x109, 0x103, 0]),
        ],
    }
}

fn intel() -> Cpuid {
    Cpuid {
        entries: vec![
            entry(0, 0, [0x20, 0, 0x6c65_746e, 0]),
            entry(1, 0, [0x50657, 0, 1 << 26 | 1 << 28, 1 << 28]),
            entry(4, 0, [0x0400_4121, 0, 0, 0]),
            entry(4, 3, [0x0400_4163, 0, 0, 0]),
            entry(7, 0, [1, 1 << 16, 1 << 3, 0]),
            entry(0xb, 0, [0, 0, 0, 0]),
            entry(0xd, 0, [0x2e7, 0xa88, 0xa88, 0]),
            entry(0xd, 1, [0xf, 0, 0x1900, 0]),
            entry(0xd, 2, [0x100, 0x240, 0, 0]),
            entry(0xd, 5, [0x40, 0x440, 0, 0]),
            entry(0xd, 6, [0x200, 0x480, 0, 0]),
            entry(0xd, 7, [0x400, 0x680, 0, 0]),
            entry(0xd, 9, [8, 0xa80, 0, 0]),
            entry(0xd, 11, [0x10, 0, 1, 0]),
            entry(0x1f, 0, [0, 0, 0, 0]),
        ],
    }
}

fn fitted(table: Cpuid, apic_id: u32, topology: CpuTopology) -> Cpuid {
    let mut cpuid = table;
    cpuid.complete(true);
    cpuid.fit(apic_id, topology, Some(2_600_000));
    cpuid
}

const SOCKETS: CpuTopology = CpuTopology { sockets: 2, cores: 3, threads: 2 };

#[test]
fn numbers_the_vcpu_in_every_leaf() {
    let cpuid = fitted(amd(), 2, CpuTopology::flat(3));
    assert_eq!(cpuid.leaf(1, 0).unwrap().ebx, 0x0204_0805);
    assert_eq!(cpuid.leaf(0xb, 0).unwrap().edx, 2);
    assert_eq!(cpuid.leaf(0x8000_001e, 0).unwrap(), &entry(0x8000_001e, 0, [2, 2, 0, 0]));
}

#[test]
fn shows_one_thread_per_core_and_all_cores_in_one_socket() {
    let cpuid = fitted(amd(), 0, CpuTopology::flat(3));
    let threads = cpuid.leaf(0xb, 0).unwrap();
    assert_eq!((threads.eax, threads.ebx, threads.ecx), (0, 1, 0x100));
    let cores = cpuid.leaf(0xb, 1).unwrap();
    assert_eq!((cores.eax, cores.ebx, cores.ecx), (2, 3, 0x201));
    assert_eq!(cpuid.leaf(0x8000_0008, 0).unwrap().ecx, 0x2002);
}

#[test]
fn shows_sockets_cores_and_threads() {
    // The second thread of the third core of the second socket.
    let id = 1 << 3 | 2 << 1 | 1;
    let cpuid = fitted(amd(), id, SOCKETS);
    assert_eq!(cpuid.leaf(1, 0).unwrap().ebx, id << 24 | 8 << 16 | 0x805);
    let threads = cpuid.leaf(0xb, 0).unwrap();
    assert_eq!((threads.eax, threads.ebx, threads.ecx, threads.edx), (1, 2, 0x100, id));
    let cores = cpuid.leaf(0xb, 1).unwrap();
    assert_eq!((cores.eax, cores.ebx, cores.ecx, cores.edx), (3, 6, 0x201, id));
    assert_eq!(cpuid.leaf(0x8000_0008, 0).unwrap().ecx, 0x3005);
    assert_eq!(cpuid.leaf(0x8000_001e, 0).unwrap(), &entry(0x8000_001e, 0, [id, 0x102, 1, 0]));
    // L3 by all eight ids of a socket, L1 by the two of a core.
    assert_eq!(cpuid.leaf(0x8000_001d, 3).unwrap().eax, 7 << 14 | 0x163);
    assert_eq!(cpuid.leaf(0x8000_001d, 1).unwrap().eax, 1 << 14 | 0x122);
    let cpuid = fitted(intel(), id, SOCKETS);
    assert_eq!(cpuid.leaf(4, 3).unwrap().eax, 3 << 26 | 7 << 14 | 0x163);
    assert_eq!(cpuid.leaf(4, 0).unwrap().eax, 3 << 26 | 1 << 14 | 0x121);
    let successor = cpuid.leaf(0x1f, 1).unwrap();
    assert_eq!((successor.eax, successor.ebx, successor.ecx, successor.edx), (3, 6, 0x201, id));
}

#[test]
fn shares_only_the_last_level_cache_without_siblings() {
    let cpuid = fitted(amd(), 0, CpuTopology::flat(4));
    assert_eq!(cpuid.leaf(0x8000_001d, 3).unwrap().eax, 3 << 14 | 0x163);
    assert_eq!(cpuid.leaf(0x8000_001d, 1).unwrap().eax, 0x122);
}

#[test]
fn one_cpu_claims_no_siblings() {
    let cpuid = fitted(amd(), 0, CpuTopology::flat(1));
    assert_eq!(cpuid.leaf(1, 0).unwrap().edx >> 28 & 1, 0);
    assert_eq!(cpuid.leaf(0x8000_0001, 0).unwrap().ecx >> 1 & 1, 0);
    assert_eq!(cpuid.leaf(0xb, 1).unwrap().eax, 0);
}

#[test]
fn sets_what_a_guest_must_have_and_clears_what_it_must_not() {
    let cpuid = fitted(amd(), 0, CpuTopology::flat(2));
    let leaf = cpuid.leaf(1, 0).unwrap();
    assert_eq!(leaf.ecx, 1 << 31 | 1 << 24 | 1 << 21);
    assert_eq!(leaf.edx, 1 << 28 | 1 << 12);
    let leaf = cpuid.leaf(7, 0).unwrap();
    assert_eq!((leaf.ecx, leaf.edx), (1, 1));
    assert!(cpuid.has(0x8000_0001, 0, CpuidRegister::Ecx, 22));
}

#[test]
fn tells_the_frequency_of_an_invariant_tsc_only() {
    let cpuid = fitted(amd(), 0, CpuTopology::flat(1));
    assert_eq!(cpuid.leaf(0x4000_0000, 0).unwrap().eax, 0x4000_0010);
    let timing = cpuid.leaf(0x4000_0010, 0).unwrap();
    assert_eq!((timing.eax, timing.ebx), (2_600_000, 1_000_000));
    let mut cpuid = amd();
    cpuid.remove(&[0x8000_0007]);
    assert_eq!(fitted(cpuid, 0, CpuTopology::flat(1)).leaf(0x4000_0010, 0), None);
}

#[test]
fn promises_only_addresses_that_nested_paging_can_map() {
    assert_eq!(amd().physical_address_bits(), 48);
    assert_eq!(fitted(amd(), 0, CpuTopology::flat(1)).leaf(0x8000_0008, 0).unwrap().eax, 0x3030);
}

#[test]
fn the_largest_machine_fits_every_field() {
    let cpuid = fitted(amd(), 253, CpuTopology::flat(254));
    assert_eq!(cpuid.leaf(1, 0).unwrap().ebx >> 16, 0xfdff);
    assert_eq!(cpuid.leaf(0xb, 1).unwrap().eax, 8);
}

#[test]
fn the_extended_state_shrinks_with_the_features_that_use_it() {
    let mut cpuid = intel();
    cpuid.settle();
    assert_eq!(cpuid, intel(), "nothing was taken away");
    // Without AVX-512 and protection keys the AVX registers are the last part.
    cpuid.mask(7, 0, CpuidRegister::Ebx, !(1 << 16));
    cpuid.mask(7, 0, CpuidRegister::Ecx, 0);
    cpuid.mask(0xd, 1, CpuidRegister::Eax, 7);
    cpuid.settle();
    let whole = cpuid.leaf(0xd, 0).unwrap();
    assert_eq!((whole.eax, whole.ecx), (7, 0x340));
    assert_eq!(cpuid.leaf(0xd, 1).unwrap().ecx, 0, "without XSAVES there is no supervisor state");
    let left: Vec<u32> =
        cpuid.entries.iter().filter(|entry| entry.function == 0xd).map(|entry| entry.index).collect();
    assert_eq!(left, [0, 1, 2]);
    // Without XSAVE there is none.
    cpuid.mask(1, 0, CpuidRegister::Ecx, !(1 << 26));
    cpuid.settle();
    assert_eq!(cpuid.leaf(0xd, 0), None);
}

#[test]
fn virtualization_is_taken_with_all_that_describes_it() {
    let mut cpuid = amd();
    cpuid.entries.push(entry(0x8000_000a, 0, [1, 8, 0, 0xff]));
    cpuid.entries.iter_mut().find(|entry| entry.function == 0x8000_0001).unwrap().ecx = 1 << 2;
    assert!(cpuid.has_virtualization());
    cpuid.hide_virtualization();
    assert!(!cpuid.has_virtualization() && cpuid.leaf(0x8000_000a, 0).is_none());
}

prop_compose! {
    fn any_entry()(
        function in prop_oneof![
            0_u32..0x20, 0x4000_0000..0x4000_0011_u32, 0x8000_0000..0x8000_0027_u32, any::<u32>(),
        ],
        index in 0_u32..70,
        flags in 0_u32..8,
        values in any::<[u32; 4]>(),
    ) -> CpuidEntry {
        let mut entry = entry(function, index, values);
        entry.flags = flags;
        entry
    }
}

proptest! {
    /// Whatever a host reports, a vCPU finds its own number and its machine's in every leaf that tells of them.
    #[test]
    fn any_table_is_fitted_consistently(
        entries in proptest::collection::vec(any_entry(), 0..60),
        sockets in 1_u32..=8,
        cores in 1_u32..=32,
        threads in 1_u32..=4,
        place in any::<[u32; 3]>(),
    ) {
        let topology = CpuTopology { sockets, cores, threads };
        let (thread_bits, core_bits) = (width(threads), width(cores));
        let [socket, core, thread] = [place[0] % sockets, place[1] % cores, place[2] % threads];
        let id = (socket << core_bits | core) << thread_bits | thread;
        let mut cpuid = Cpuid { entries };
        cpuid.complete(true);
        cpuid.settle();
        let before = cpuid.clone();
        cpuid.settle();
        prop_assert_eq!(&before, &cpuid, "settling twice changes nothing more");
        cpuid.fit(id, topology, Some(1_000_000));
        for entry in &cpuid.entries {
            match (entry.function, entry.index) {
                (0x1, _) => {
                    prop_assert_eq!(entry.ebx >> 24, id & 0xff);
                    prop_assert_eq!(entry.edx >> 28 & 1 == 1, cores * threads > 1);
                }
                (0xb, level @ (0 | 1)) => {
                    prop_assert_eq!(entry.edx, id);
                    let shift = if level == 0 { thread_bits } else { thread_bits + core_bits };
                    prop_assert_eq!(entry.eax, shift);
                    prop_assert_eq!(entry.ebx, if level == 0 { threads } else { cores * threads });
                    prop_assert_eq!(id >> shift, if level == 0 { socket << core_bits | core } else { socket });
                }
                (0x8000_001e, _) => {
                    prop_assert_eq!((entry.eax, entry.ebx & 0xff, entry.ecx), (id, core & 0xff, socket));
                }
                (0x4 | 0x8000_001d, _) if entry.eax & 0x1f != 0 => {
                    let sharers = (entry.eax >> 14 & 0xfff) + 1;
                    prop_assert!(sharers.is_power_of_two() && sharers <= 1 << (thread_bits + core_bits));
                }
                _ => {}
            }
        }
        prop_assert_eq!(cpuid.entries.iter().filter(|entry| entry.function == 0xb).count(), 3);
    }

    /// Taking features away never gives the guest a bit that the host did not report.
    #[test]
    fn masks_only_take_away(
        entries in proptest::collection::vec(any_entry(), 0..40),
        kept in any::<[u32; 4]>(),
    ) {
        let table = Cpuid { entries };
        let mut less = table.clone();
        less.mask(0x1, 0, CpuidRegister::Ecx, kept[0]);
        less.mask(0x1, 0, CpuidRegister::Edx, kept[1]);
        less.mask(0x7, 0, CpuidRegister::Ebx, kept[2]);
        less.mask(0x7, 0, CpuidRegister::Ecx, kept[3]);
        less.hide_virtualization();
        less.settle();
        for (function, register) in [(1, CpuidRegister::Ecx), (1, CpuidRegister::Edx), (7, CpuidRegister::Ebx), (0xd, CpuidRegister::Eax)] {
            for bit in 0..32 {
                prop_assert!(!less.has(function, 0, register, bit) || table.has(function, 0, register, bit));
            }
        }
    }
}

fn width(count: u32) -> u32 {
    count.next_power_of_two().trailing_zeros()
}
