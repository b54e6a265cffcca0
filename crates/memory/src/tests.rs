// SPDX-License-Identifier: Apache-2.0
//! Every option is seen in `/proc/self/smaps`, where the kernel tells what a mapping is like.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt;

use vm_memory::GuestMemoryBackend;

use super::*;

const MIB: u64 = 1 << 20;

/// The value of a line of smaps on the mapping that the first region lies in. The kernel may have joined it with others of
/// the same kind, so this is no place to learn how much of it there is.
fn smaps(memory: &GuestMemory, name: &str) -> String {
    let start = memory.iter().next().unwrap().as_ptr().addr();
    let holds = |line: &str| {
        let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let number = |text| usize::from_str_radix(text, 16).ok();
        range.is_some_and(|(from, to)| number(from) <= Some(start) && number(to) > Some(start))
    };
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let line = text.lines().skip_while(|line| !holds(line)).find(|line| line.starts_with(name));
    line.unwrap_or_default().split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// How many KiB of the first region are committed (bit 63 of an entry: Documentation/admin-guide/mm/pagemap.rst).
fn committed(memory: &GuestMemory) -> usize {
    const PAGE: usize = 4096;
    let region = memory.iter().next().unwrap();
    let mut entries = vec![0; region.size() / PAGE * 8];
    let first = region.as_ptr().addr() / PAGE * 8;
    fs::File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut entries, first as u64).unwrap();
    entries.chunks(8).filter(|entry| entry[7] & 0x80 != 0).count() * (PAGE >> 10)
}

fn kib(memory: &GuestMemory, name: &str) -> u64 {
    smaps(memory, name).split_whitespace().next().unwrap_or("0").parse().unwrap()
}

fn has_flag(memory: &GuestMemory, flag: &str) -> bool {
    smaps(memory, "VmFlags").split_whitespace().any(|one| one == flag)
}

fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

fn with(options: &Options) -> Result<std::sync::Arc<GuestMemory>, MemoryError> {
    allocate_with(&[(GuestAddress(0), 12 * MIB), (GuestAddress(1 << 32), 2 * MIB)], options)
}

#[test]
fn nothing_is_committed_unless_it_is_asked_for() {
    for backing in [Backing::Anonymous, Backing::Memfd] {
        let lazy = with(&Options { backing, ..Options::default() }).unwrap();
        assert_eq!(committed(&lazy), 0, "{backing:?}");
        let eager = with(&Options { backing, prefault: true, ..Options::default() }).unwrap();
        assert_eq!(committed(&eager), 12 << 10, "{backing:?}");
    }
}

#[test]
fn many_threads_commit_every_piece() {
    let options = Options { prefault: true, transparent: TransparentPages::Never, ..Options::default() };
    let memory = allocate_with(&[(GuestAddress(0), 193 * MIB)], &options).unwrap();
    assert_eq!(committed(&memory), 193 << 10);
}

#[test]
fn what_was_given_back_is_committed_again() {
    let options = Options { prefault: true, transparent: TransparentPages::Never, ..Options::default() };
    let memory = with(&options).unwrap();
    clear(&memory, GuestAddress(100), 5 * MIB).unwrap();
    assert!(committed(&memory) < 8 << 10);
    populate(&memory, GuestAddress(100), 5 * MIB);
    assert_eq!(committed(&memory), 12 << 10);
}

#[test]
fn transparent_huge_pages_are_as_they_are_asked_for() {
    for (transparent, wanted) in [
        (TransparentPages::Always, (true, false)),
        (TransparentPages::HostDefault, (false, false)),
        (TransparentPages::Never, (false, true)),
    ] {
        let memory = with(&Options { transparent, ..Options::default() }).unwrap();
        if fs::metadata("/sys/kernel/mm/transparent_hugepage").is_err() {
            return skipped("the kernel has no transparent huge pages");
        }
        assert_eq!((has_flag(&memory, "hg"), has_flag(&memory, "nh")), wanted, "{transparent:?}");
        assert!(memory.iter().all(|region| region.as_ptr().addr().is_multiple_of(REGION_ALIGNMENT)));
    }
}

#[test]
fn locked_memory_is_locked_or_the_limit_is_named() {
    for prefault in [false, true] {
        match with(&Options { lock: true, prefault, ..Options::default() }) {
            Ok(memory) => {
                assert!(has_flag(&memory, "lo"));
                assert_eq!(committed(&memory), if prefault { 12 << 10 } else { 0 });
            }
            Err(error) => {
                assert_eq!(error.code(), "memory.lock");
                assert!(error.to_string().contains("may lock"), "{error}");
            }
        }
    }
}

#[test]
fn mergeable_memory_is_marked_or_refused() {
    let memory = with(&Options { mergeable: true, ..Options::default() });
    match memory {
        Ok(memory) => assert!(has_flag(&memory, "mg")),
        Err(error) => {
            assert_eq!(error.code(), "memory.mergeable");
            skipped("the kernel merges no pages");
        }
    }
}

/// A pool that is too small is an error here. If it were not, the write would end this test by SIGBUS.
#[test]
fn huge_pages_are_reserved_at_once_or_refused() {
    for (page, size) in [(HugePage::Size2M, "2048kB"), (HugePage::Size1G, "1048576kB")] {
        let path = format!("/sys/kernel/mm/hugepages/hugepages-{size}/free_hugepages");
        let free = fs::read_to_string(path).map_or(0, |text| text.trim().parse::<u64>().unwrap());
        let options = Options { backing: Backing::HugePages(page), ..Options::default() };
        let error = allocate_with(&[(GuestAddress(0), (free + 1) * page.bytes())], &options).unwrap_err();
        assert_eq!(error.code(), "memory.huge_pages");
        let mut text = String::new();
        write!(text, "{error}").unwrap();
        assert!(text.contains(&format!("{} KiB", page.bytes() >> 10)), "{text}");
        if free == 0 {
            skipped("the host has no huge pages in reserve");
            continue;
        }
        let memory = allocate_with(&[(GuestAddress(0), page.bytes())], &options).unwrap();
        memory.write_slice(&[7; 64], GuestAddress(page.bytes() - 64)).unwrap();
        assert_eq!(kib(&memory, "KernelPageSize"), page.bytes() >> 10);
        // A page that was reserved stays the machine's own.
        clear(&memory, GuestAddress(0), page.bytes()).unwrap();
        assert_eq!(memory.read_obj::<u8>(GuestAddress(page.bytes() - 1)).unwrap(), 0);
        assert!(kib(&memory, "Shared_Hugetlb") + kib(&memory, "Private_Hugetlb") > 0);
    }
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let binding = |nodes| Binding { start: GuestAddress(0), len: 2 * MIB, nodes };
    let bound = |nodes| with(&Options { bindings: vec![binding(nodes)], ..Options::default() });
    for nodes in [vec![1023], vec![4096]] {
        let error = bound(nodes).unwrap_err();
        assert_eq!(error.code(), "memory.node");
    }
    if fs::metadata("/sys/devices/system/node/node0").is_err() {
        return skipped("the kernel has no NUMA nodes");
    }
    bound(vec![0]).unwrap();
}
