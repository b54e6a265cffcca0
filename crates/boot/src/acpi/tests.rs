// SPDX-License-Identifier: Apache-2.0
//! The tables as another program reads them.

use std::path::Path;
use std::process::Command;

use super::*;

fn options() -> AcpiOptions {
    AcpiOptions { cpus: 2, bus: AcpiBus::Pci { window_64: Some(Window { start: 256 << 30, len: 64 << 30 }) } }
}

fn micro() -> AcpiOptions {
    AcpiOptions { cpus: 2, bus: AcpiBus::VirtioMmio(crate::layout::mmio_slots(20).unwrap()) }
}

fn table(name: &str) -> Table {
    table_of(&options(), name)
}

fn table_of(options: &AcpiOptions, name: &str) -> Table {
    tables(options).unwrap().into_iter().find(|table| table.name == name).unwrap()
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn every_checksum_is_right() {
    for table in tables(&options()).unwrap() {
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
    let many = tables(&AcpiOptions { cpus: 300, bus: AcpiBus::Pci { window_64: None } }).unwrap();
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
    let error = tables(&AcpiOptions { cpus: 100_000, bus: AcpiBus::Pci { window_64: None } }).unwrap_err();
    assert_eq!(error.code(), "boot.tables");
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
    let standard = ["DSDT", "FADT", "MADT", "MCFG", "FACS", "XSDT"];
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
