// SPDX-License-Identifier: Apache-2.0
//! The tables as another program reads them.

use std::path::Path;
use std::process::Command;

use super::*;

const TWO_CPUS: [Processor; 2] = [Processor { apic_id: 0, node: 0 }, Processor { apic_id: 1, node: 0 }];

fn options() -> AcpiOptions<'static> {
    let bus = AcpiBus::Pci { window_64: Some(Window { start: 256 << 30, len: 64 << 30 }) };
    AcpiOptions { processors: &TWO_CPUS, nodes: &[], bus, watchdog: false }
}

fn micro() -> AcpiOptions<'static> {
    let bus = AcpiBus::VirtioMmio(crate::layout::mmio_slots(20).unwrap());
    AcpiOptions { processors: &TWO_CPUS, nodes: &[], bus, watchdog: false }
}

/// Two sockets of three cores, each a node, whose memory the hole below 4 GiB divides.
fn with_nodes(bus: AcpiBus) -> Vec<Table> {
    let ids = [0, 1, 2, 4, 5, 6];
    let processors: Vec<Processor> =
        ids.iter().map(|&apic_id| Processor { apic_id, node: apic_id >> 2 }).collect();
    let shares = crate::layout::share_ram(6 << 30, &[3 << 30, 3 << 30]);
    let distances = [vec![10, 17], Vec::new()];
    let nodes: Vec<Node> =
        shares.into_iter().zip(distances).map(|(ranges, distances)| Node { ranges, distances }).collect();
    tables(&AcpiOptions { processors: &processors, nodes: &nodes, bus, watchdog: false }).unwrap()
}

fn table(name: &str) -> Table {
    if name == "WDAT" {
        return table_of(&AcpiOptions { watchdog: true, ..options() }, name);
    }
    if name == "SRAT" || name == "SLIT" {
        return with_nodes(NO_WINDOW).into_iter().find(|table| table.name == name).unwrap();
    }
    table_of(&options(), name)
}

const NO_WINDOW: AcpiBus = AcpiBus::Pci { window_64: None };

fn table_of(options: &AcpiOptions<'_>, name: &str) -> Table {
    tables(options).unwrap().into_iter().find(|table| table.name == name).unwrap()
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn every_checksum_is_right() {
    let guarded = tables(&AcpiOptions { watchdog: true, ..micro() }).unwrap();
    for table in [tables(&options()).unwrap(), with_nodes(NO_WINDOW), guarded].concat() {
        match table.name {
            "FACS" => {}
            "RSDP" => assert_eq!((sum(&table.data[..20]), sum(&table.data)), (0, 0)),
            name => assert_eq!(sum(&table.data), 0, "{name}"),
        }
    }
}

#[test]
fn every_length_is_right_and_no_table_overlaps_another() {
    let tables = tables(&options()).unwrap();
    let mut end = ACPI.start;
    for table in &tables {
        assert!(table.address >= end, "{} overlaps", table.name);
        end = table.address + table.data.len() as u64;
        if table.name != "RSDP" {
            assert_eq!(
                table.data[4..8],
                u32::try_from(table.data.len()).unwrap().to_le_bytes(),
                "{}",
                table.name
            );
        }
    }
    assert!(end <= ACPI.end());
}

#[test]
fn the_root_pointer_comes_first_and_leads_to_every_table() {
    let tables = tables(&options()).unwrap();
    assert_eq!((tables[0].name, tables[0].address), ("RSDP", 0xe_0000));
    let address = |name: &str| tables.iter().find(|table| table.name == name).unwrap().address;
    assert_eq!(tables[0].data[24..32], address("XSDT").to_le_bytes());
    let xsdt = table("XSDT").data;
    for (index, name) in ["FADT", "MADT", "MCFG"].into_iter().enumerate() {
        assert_eq!(xsdt[36 + 8 * index..44 + 8 * index], address(name).to_le_bytes(), "{name}");
    }
    let fadt = table("FADT").data;
    assert_eq!(fadt[140..148], address("DSDT").to_le_bytes());
    assert_eq!(fadt[36..40], u32::try_from(address("FACS")).unwrap().to_le_bytes());
}

#[test]
fn a_machine_with_many_processors_uses_x2apic_ids() {
    let processors = &Processor::row(300);
    let many = tables(&AcpiOptions { processors, nodes: &[], bus: NO_WINDOW, watchdog: false }).unwrap();
    let madt = &many.iter().find(|table| table.name == "MADT").unwrap().data;
    let mut rest = &madt[44..];
    let mut counts = [0; 16];
    while let [kind, len, ..] = *rest {
        counts[usize::from(kind)] += 1;
        rest = &rest[usize::from(len)..];
    }
    assert_eq!((counts[0], counts[9], counts[10]), (255, 45, 1));
}

#[test]
fn more_processors_than_the_area_holds_are_an_error() {
    let processors = &Processor::row(100_000);
    let error = tables(&AcpiOptions { processors, nodes: &[], bus: NO_WINDOW, watchdog: false }).unwrap_err();
    assert_eq!(error.code(), "boot.tables");
}

#[test]
fn processors_keep_their_ids_and_are_numbered_in_order() {
    let madt = with_nodes(NO_WINDOW).into_iter().find(|table| table.name == "MADT").unwrap().data;
    let found: Vec<[u8; 2]> = madt[44..].chunks(8).take(6).map(|one| [one[2], one[3]]).collect();
    assert_eq!(found, [[0, 0], [1, 1], [2, 2], [3, 4], [4, 5], [5, 6]]);
}

#[test]
fn nodes_and_a_watchdog_are_listed_at_the_root_and_only_where_there_are_some() {
    let entries = |tables: &[Table]| {
        let root = &tables.iter().find(|table| table.name == "XSDT").unwrap().data;
        (root.len() - 36) / 8
    };
    let guarded = AcpiOptions { watchdog: true, ..options() };
    let found =
        [tables(&options()), Ok(with_nodes(NO_WINDOW)), tables(&guarded)].map(|all| entries(&all.unwrap()));
    assert_eq!(found, [3, 5, 4]);
}

/// Compares the tables, as `iasl -d` decodes them, with the files in `tests/acpi`. After a wanted change run with
/// `UPDATE_GOLDEN=1` and read the difference.
#[test]
fn decoded_tables_are_the_golden_ones() {
    if Command::new("iasl").arg("-v").output().is_err() {
        assert!(std::env::var_os("REQUIRE_IASL").is_none(), "iasl is not installed (package acpica-tools)");
        skipped("iasl is not installed (package acpica-tools)");
        return;
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acpi");
    let standard = ["DSDT", "FADT", "MADT", "MCFG", "FACS", "XSDT", "SRAT", "SLIT", "WDAT"];
    let standard = standard.map(|name| (name.to_owned(), table(name)));
    let micro = ["DSDT", "XSDT"].map(|name| (format!("{name}-micro"), table_of(&micro(), name)));
    for (name, table) in standard.into_iter().chain(micro) {
        let decoded = decode(&name, &table);
        let file = golden.join(format!("{name}.dsl"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&golden).unwrap();
            std::fs::write(&file, &decoded).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap();
        assert!(decoded == expected, "{name} differs from {}:\n{decoded}", file.display());
    }
}

/// The compiler of the reference implementation finds nothing to warn of, also without a window above 4 GiB.
#[test]
fn the_dsdt_compiles_without_a_warning() {
    if Command::new("iasl").arg("-v").output().is_err() {
        assert!(std::env::var_os("REQUIRE_IASL").is_none(), "iasl is not installed (package acpica-tools)");
        skipped("iasl is not installed (package acpica-tools)");
        return;
    }
    let low = AcpiOptions { bus: AcpiBus::Pci { window_64: None }, ..options() };
    for options in [options(), low, micro()] {
        compile_again(&table_of(&options, "DSDT"));
    }
}

fn compile_again(dsdt: &Table) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dsdt.aml"), &dsdt.data).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("iasl").args(arguments).current_dir(folder.path()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    run(&["-d", "dsdt.aml"]);
    let report = run(&["-p", "again", "dsdt.dsl"]);
    assert!(report.contains("0 Errors, 0 Warnings"), "{report}");
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

/// What `iasl -d` makes of a table, without the lines that name the tool, the time and the folder.
fn decode(name: &str, table: &Table) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.aml"), &table.data).unwrap();
    let output = Command::new("iasl").args(["-d", "table.aml"]).current_dir(folder.path()).output().unwrap();
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{report}");
    let text = std::fs::read_to_string(folder.path().join("table.dsl")).unwrap();
    let (_, body) = text.split_once("*/").unwrap();
    format!("// {name}, decoded by iasl\n{}\n", body.trim())
}
