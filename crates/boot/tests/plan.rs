// SPDX-License-Identifier: Apache-2.0
//! What a guest finds in memory.

use std::sync::Arc;

use flotilla_boot::layout::{COMMAND_LINE, PVH_START_INFO, ZERO_PAGE};
use flotilla_boot::{BootPlan, BootProtocol, MachineKind, Piece, PlanOptions, Protocol, Sources, plan};
use flotilla_memory::{Backing, Bytes, GuestAddress, GuestMemory, allocate};
use vm_memory::GuestMemoryBackend;

#[allow(dead_code, reason = "shared with another test")]
mod support;
use support::{Bz, ELF_BYTES, Elf, bzimage, elf};

const RAM: u64 = 64 << 20;

fn memory() -> Arc<GuestMemory> {
    allocate(&[(GuestAddress(0), RAM)], Backing::Anonymous).unwrap()
}

const ONE_CPU: [flotilla_boot::acpi::Processor; 1] = [flotilla_boot::acpi::Processor { apic_id: 0, node: 0 }];

fn options(protocol: Protocol) -> PlanOptions<'static> {
    let kind = MachineKind::Standard { pci_window_64: None };
    PlanOptions { protocol, processors: &ONE_CPU, nodes: &[], kind, watchdog: false }
}

fn booted(kernel: &Vec<u8>, initrd: Option<&Vec<u8>>, protocol: Protocol) -> (BootPlan, Arc<GuestMemory>) {
    let memory = memory();
    let sources = Sources { kernel, initrd: initrd.map(|initrd| initrd as &dyn flotilla_boot::Image) };
    let plan = plan(&sources, "console=ttyS0", &memory, &options(protocol)).unwrap();
    plan.apply(&sources, &memory).unwrap();
    (plan, memory)
}

fn read<T: vm_memory::ByteValued>(memory: &GuestMemory, address: u64) -> T {
    memory.read_obj(GuestAddress(address)).unwrap()
}

#[test]
fn prefers_pvh_where_the_kernel_has_it() {
    let kernel = elf(&Elf { pvh: Some(0x100_0010), ..Elf::default() });
    let (plan, memory) = booted(&kernel, None, Protocol::Auto);
    assert_eq!((plan.protocol, plan.entry.rip), (BootProtocol::Pvh, 0x100_0010));
    assert_eq!((plan.entry.rbx, plan.entry.cr0, plan.entry.cr4), (PVH_START_INFO, 0x11, 0));
    assert_eq!(read::<u32>(&memory, PVH_START_INFO), 0x336e_c578);
    assert_eq!(read::<u64>(&memory, PVH_START_INFO + 24), COMMAND_LINE.start);
    assert_eq!(read::<u64>(&memory, PVH_START_INFO + 32), 0xe_0000);
}

#[test]
fn uses_the_linux_protocol_without_the_note_or_when_asked_to() {
    let without_note = elf(&Elf::default());
    assert_eq!(booted(&without_note, None, Protocol::Auto).0.protocol, BootProtocol::LinuxElf);
    let both = elf(&Elf { pvh: Some(0x100_0000), ..Elf::default() });
    let (plan, memory) = booted(&both, None, Protocol::Linux);
    assert_eq!((plan.protocol, plan.entry.rsi), (BootProtocol::LinuxElf, ZERO_PAGE));
    assert_eq!(read::<u32>(&memory, ZERO_PAGE + 0x202), 0x5372_6448);
    assert_eq!(read::<u64>(&memory, ZERO_PAGE + 0x70), 0xe_0000);
    assert_eq!(plan.entry.cr3, 0x9000);
    // The page that holds the kernel is mapped onto itself.
    assert_eq!(read::<u64>(&memory, 0xb000 + 8 * 8), 0x100_0083);
}

#[test]
fn refuses_pvh_where_the_kernel_lacks_it() {
    for kernel in [elf(&Elf::default()), bzimage(&Bz::default())] {
        let sources = Sources { kernel: &kernel, initrd: None };
        let error = plan(&sources, "", &memory(), &options(Protocol::Pvh)).unwrap_err();
        assert_eq!(error.code(), "boot.kernel_unsupported");
    }
}

#[test]
fn keeps_a_bzimages_own_header() {
    let (plan, memory) = booted(&bzimage(&Bz::default()), None, Protocol::Auto);
    assert_eq!((plan.protocol, plan.entry.rip), (BootProtocol::LinuxBzImage, 0x100_0200));
    assert_eq!(read::<u16>(&memory, ZERO_PAGE + 0x206), 0x020f);
    assert_eq!(read::<u8>(&memory, ZERO_PAGE + 0x210), 0xff);
    assert_eq!(read::<u32>(&memory, ZERO_PAGE + 0x228), 0x2_0000);
}

#[test]
fn loads_a_bzimage_low_when_there_is_no_room_where_it_would_like_to_be() {
    let (plan, _) = booted(&bzimage(&Bz { preferred: 1 << 30, ..Bz::default() }), None, Protocol::Auto);
    assert_eq!(plan.entry.rip, 0x10_0200);
}

#[test]
fn clears_what_a_previous_run_left_behind_the_kernels_bytes() {
    let kernel = elf(&Elf::default());
    let memory = memory();
    memory.write_slice(&vec![0xaa; 0x4000], GuestAddress(0x100_0000)).unwrap();
    let sources = Sources { kernel: &kernel, initrd: None };
    let plan = plan(&sources, "", &memory, &options(Protocol::Auto)).unwrap();
    for _ in 0..2 {
        plan.apply(&sources, &memory).unwrap();
        let mut loaded = vec![0; 0x3001];
        memory.read_slice(&mut loaded, GuestAddress(0x100_0000)).unwrap();
        assert!(loaded[..ELF_BYTES].iter().all(|&byte| byte == 0xcc));
        assert!(loaded[ELF_BYTES..0x3000].iter().all(|&byte| byte == 0));
        assert_eq!(loaded[0x3000], 0xaa, "wrote beyond the kernel");
        memory.write_slice(&vec![0xaa; 0x3000], GuestAddress(0x100_0000)).unwrap();
    }
}

/// A guest that resets itself without end must not cost its host the clearing of all its memory each time.
#[test]
fn a_load_commits_no_memory_that_it_only_clears() {
    let memory = allocate(&[(GuestAddress(0), 512 << 20)], Backing::Anonymous).unwrap();
    let kernel = elf(&Elf { memory_len: 480 << 20, ..Elf::default() });
    let sources = Sources { kernel: &kernel, initrd: None };
    let plan = plan(&sources, "", &memory, &options(Protocol::Auto)).unwrap();
    for _ in 0..2 {
        memory.write_slice(&vec![0xaa; 8 << 20], GuestAddress(64 << 20)).unwrap();
        plan.apply(&sources, &memory).unwrap();
        assert_eq!(read::<u64>(&memory, 64 << 20), 0);
        let start = format!("{:x}-", memory.iter().next().unwrap().as_ptr().addr());
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let rss = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        let kibibytes: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kibibytes < 16 << 10, "{kibibytes} KiB of 512 MiB are committed");
    }
}

#[test]
fn places_the_initrd_at_the_top_of_ram() {
    let initrd = vec![7; 5000];
    let (_, memory) = booted(&bzimage(&Bz::default()), Some(&initrd), Protocol::Auto);
    let (address, len) = (read::<u32>(&memory, ZERO_PAGE + 0x218), read::<u32>(&memory, ZERO_PAGE + 0x21c));
    assert_eq!((u64::from(address), len), (RAM - 8192, 5000));
    assert_eq!(read::<u8>(&memory, RAM - 8192 + 4999), 7);
}

#[test]
fn an_initrd_must_fit_and_hold_something() {
    let kernel = bzimage(&Bz::default());
    let code = |initrd: Vec<u8>| {
        let sources = Sources { kernel: &kernel, initrd: Some(&initrd) };
        plan(&sources, "", &memory(), &options(Protocol::Auto)).unwrap_err().code()
    };
    assert_eq!(code(vec![0; 60 << 20]), "boot.out_of_memory");
    assert_eq!(code(Vec::new()), "boot.initrd_unreadable");
}

#[test]
fn checks_the_command_line_against_the_kernels_limit() {
    let kernel = bzimage(&Bz::default());
    let sources = Sources { kernel: &kernel, initrd: None };
    let attempt = |line: &str| plan(&sources, line, &memory(), &options(Protocol::Auto));
    assert!(attempt(&"x".repeat(2047)).is_ok());
    assert_eq!(attempt(&"x".repeat(2048)).unwrap_err().code(), "boot.command_line");
    assert_eq!(attempt("quiet\0init=/bin/sh").unwrap_err().code(), "boot.command_line");
}

#[test]
fn tells_the_guest_which_memory_is_ram() {
    let (_, memory) = booted(&elf(&Elf::default()), None, Protocol::Linux);
    assert_eq!(read::<u8>(&memory, ZERO_PAGE + 0x1e8), 4);
    let entry = |index: u64| {
        let at = ZERO_PAGE + 0x2d0 + index * 20;
        (read::<u64>(&memory, at), read::<u64>(&memory, at + 8), read::<u32>(&memory, at + 16))
    };
    assert_eq!(entry(0), (0, 0x9_fc00, 1));
    assert_eq!(entry(1), (0x9_fc00, 0x6_0400, 2));
    assert_eq!(entry(2), (0x10_0000, RAM - 0x10_0000, 1));
    assert_eq!(entry(3), (0xb000_0000, 0x1000_0000, 2));
}

#[test]
fn no_two_pieces_overlap() {
    let kernel = elf(&Elf { pvh: Some(0x100_0000), ..Elf::default() });
    let initrd = vec![1; 100];
    for protocol in [Protocol::Pvh, Protocol::Linux] {
        let (plan, _) = booted(&kernel, Some(&initrd), protocol);
        let mut ranges: Vec<_> = plan.pieces.iter().map(Piece::range).filter(|range| range.len > 0).collect();
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.windows(2).all(|pair| pair[0].end() <= pair[1].start), "{ranges:#x?}");
    }
}

#[test]
fn a_machine_needs_the_first_mebibyte() {
    let memory = allocate(&[(GuestAddress(0), 0x8_0000)], Backing::Anonymous).unwrap();
    let kernel = elf(&Elf::default());
    let error = plan(&Sources { kernel: &kernel, initrd: None }, "", &memory, &options(Protocol::Auto));
    assert_eq!(error.unwrap_err().code(), "boot.out_of_memory");
}

/// First bytes of what each of Linux' compressions makes (`scripts/Makefile.lib`), and no compression at all.
const COMPRESSIONS: [(&str, &[u8]); 8] = [
    ("gzip", &[0x1f, 0x8b, 0x08]),
    ("bzip2", b"BZh91AY&SY"),
    ("lzma", &[0x5d, 0x00, 0x00, 0x80, 0x00]),
    ("xz", &[0xfd, b'7', b'z', b'X', b'Z', 0x00]),
    ("lzo", &[0x89, b'L', b'Z', b'O', 0x00, 0x0d, 0x0a, 0x1a, 0x0a]),
    ("lz4", &[0x02, 0x21, 0x4c, 0x18]),
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
    ("none", b"\x7fELF\x02\x01\x01"),
];

/// A kernel unpacks itself: to the loader its payload is bytes, which reach the guest as they are.
#[test]
fn boots_a_bzimage_the_same_whatever_compressed_it() {
    let (payload_at, compressed_at) = (1024, 0x280_u32);
    let mut plans = Vec::new();
    for (name, magic) in COMPRESSIONS {
        let mut kernel = bzimage(&Bz::default());
        kernel[0x248..0x24c].copy_from_slice(&compressed_at.to_le_bytes());
        kernel[0x24c..0x250].copy_from_slice(&0x100_u32.to_le_bytes());
        let start = payload_at + usize::try_from(compressed_at).unwrap();
        kernel[start..start + magic.len()].copy_from_slice(magic);
        let (plan, memory) = booted(&kernel, None, Protocol::Auto);
        let mut loaded = vec![0; kernel.len() - payload_at];
        memory.read_slice(&mut loaded, GuestAddress(0x100_0000)).unwrap();
        assert!(loaded == kernel[payload_at..], "{name}: the payload was changed");
        assert_eq!((plan.protocol, plan.entry.rip), (BootProtocol::LinuxBzImage, 0x100_0200), "{name}");
        // Where the kernel finds what is to be unpacked.
        assert_eq!(read::<u32>(&memory, ZERO_PAGE + 0x248), compressed_at, "{name}");
        plans.push((name, plan));
    }
    for (name, plan) in &plans {
        assert_eq!(plan, &plans[0].1, "{name}");
    }
}

fn micro(
    cpus: u32,
    acpi: bool,
    command_line: &str,
) -> Result<(BootPlan, Arc<GuestMemory>), flotilla_boot::BootError> {
    let memory = memory();
    let kernel = elf(&Elf { pvh: Some(0x100_0010), ..Elf::default() });
    let sources = Sources { kernel: &kernel, initrd: None };
    let kind = MachineKind::Micro { virtio_devices: 3, acpi };
    let options = PlanOptions {
        protocol: Protocol::Auto,
        processors: &flotilla_boot::acpi::Processor::row(cpus),
        nodes: &[],
        kind,
        watchdog: false,
    };
    let plan = plan(&sources, command_line, &memory, &options)?;
    plan.apply(&sources, &memory).unwrap();
    Ok((plan, memory))
}

#[test]
fn memory_that_nobody_has_written_to_is_not_cleared_and_ends_the_same() {
    let kernel = elf(&Elf { pvh: Some(0x100_0010), ..Elf::default() });
    let sources = Sources { kernel: &kernel, initrd: None };
    let kind = MachineKind::Micro { virtio_devices: 0, acpi: false };
    let protocol = Protocol::Auto;
    let options = PlanOptions { protocol, processors: &ONE_CPU, nodes: &[], kind, watchdog: false };
    let (new, used) = (memory(), memory());
    let plan = plan(&sources, "quiet", &new, &options).unwrap();
    let zeros = plan.pieces.iter().filter_map(|piece| match *piece {
        Piece::Zero { address, len } if len > 0 => Some((address, len)),
        _ => None,
    });
    let zeros: Vec<_> = zeros.collect();
    assert!(!zeros.is_empty());
    for &(address, _) in &zeros {
        used.write_slice(&[7], GuestAddress(address)).unwrap();
    }
    plan.apply_to_new(&sources, &new).unwrap();
    plan.apply(&sources, &used).unwrap();
    let all = |memory: &GuestMemory| {
        let mut bytes = vec![0; usize::try_from(RAM).unwrap()];
        memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
        bytes
    };
    assert!(all(&new) == all(&used));
    // It is for this that the two differ.
    plan.apply(&sources, &used).unwrap();
    used.write_slice(&[7], GuestAddress(zeros[0].0)).unwrap();
    plan.apply_to_new(&sources, &used).unwrap();
    assert_eq!(read::<u8>(&used, zeros[0].0), 7);
}

#[test]
fn only_acpi_tells_of_a_watchdog() {
    let memory = memory();
    let kernel = elf(&Elf { pvh: Some(0x100_0010), ..Elf::default() });
    let sources = Sources { kernel: &kernel, initrd: None };
    let with = |acpi| {
        let kind = MachineKind::Micro { virtio_devices: 1, acpi };
        let protocol = Protocol::Auto;
        let options = PlanOptions { protocol, processors: &ONE_CPU, nodes: &[], kind, watchdog: true };
        plan(&sources, "quiet", &memory, &options)
    };
    assert_eq!(with(false).unwrap_err().code(), "boot.tables");
    let told = with(true).unwrap().pieces;
    assert!(told.iter().any(|piece| matches!(piece, Piece::Bytes { what: "WDAT", .. })));
}

/// Nodes would be lost on a guest that no table tells of them.
#[test]
fn only_acpi_tells_of_nodes() {
    let memory = memory();
    let kernel = elf(&Elf { pvh: Some(0x100_0010), ..Elf::default() });
    let sources = Sources { kernel: &kernel, initrd: None };
    let ranges = vec![flotilla_boot::layout::Window { start: 0, len: RAM }];
    let nodes = [flotilla_boot::acpi::Node { ranges, distances: Vec::new() }];
    let with = |acpi| {
        let kind = MachineKind::Micro { virtio_devices: 1, acpi };
        let options = PlanOptions {
            protocol: Protocol::Auto,
            processors: &ONE_CPU,
            nodes: &nodes,
            kind,
            watchdog: false,
        };
        plan(&sources, "quiet", &memory, &options)
    };
    assert_eq!(with(false).unwrap_err().code(), "boot.tables");
    let told = with(true).unwrap().pieces;
    assert!(told.iter().any(|piece| matches!(piece, Piece::Bytes { what: "SRAT", .. })));
}

fn text(memory: &GuestMemory, address: u64, len: usize) -> String {
    let mut bytes = vec![0; len];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_machine_without_acpi_is_told_by_an_mp_table_and_the_command_line() {
    let (plan, memory) = micro(2, false, "quiet -- init").unwrap();
    assert_eq!(read::<u64>(&memory, PVH_START_INFO + 32), 0, "no ACPI root pointer");
    assert!(!plan.pieces.iter().any(|piece| matches!(piece, Piece::Bytes { what: "RSDP" | "DSDT", .. })));
    assert_eq!(text(&memory, 0xf_0000, 4), "_MP_");
    assert_eq!(text(&memory, 0xf_0010, 4), "PCMP");
    let line = "acpi=off pci=off i8042.nokbd i8042.noaux virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6 \
                virtio_mmio.device=4K@0xd0002000:7 quiet -- init\0";
    assert_eq!(text(&memory, COMMAND_LINE.start, line.len()), line);
}

#[test]
fn a_micro_machine_with_acpi_needs_neither() {
    let (plan, memory) = micro(2, true, "quiet").unwrap();
    assert_eq!(read::<u64>(&memory, PVH_START_INFO + 32), 0xe_0000);
    assert_eq!(text(&memory, COMMAND_LINE.start, 6), "quiet\0");
    assert!(
        !plan.pieces.iter().any(|piece| matches!(piece, Piece::Bytes { what: "MCFG", .. })),
        "there is no PCI"
    );
}

#[test]
fn what_announces_devices_counts_for_the_length_of_the_command_line() {
    let error = micro(1, false, &"x".repeat(2000)).unwrap_err();
    assert_eq!(error.code(), "boot.command_line");
    assert!(micro(1, true, &"x".repeat(2000)).is_ok());
}
