// SPDX-License-Identifier: Apache-2.0
//! The black box: what is written comes back, what was tampered with does not.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flotilla_control::BlackBox;
use flotilla_control::black_box::{BlackBoxError, GATHER, KEPT, LEN, read_console, read_exit};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{CpuReport, ExitReason, MachineExit};
use proptest::prelude::*;

struct Lab {
    directory: tempfile::TempDir,
    file: File,
}

fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let file = create(&directory.path().join("black.box"));
    file.set_len(LEN).unwrap();
    Lab { directory, file }
}

fn create(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap()
}

impl Lab {
    fn start(&self) -> BlackBox {
        BlackBox::start(self.file.try_clone().unwrap()).unwrap()
    }

    fn console(&self) -> (u64, Vec<u8>) {
        let record = read_console(&self.file).unwrap();
        (record.offset, record.bytes)
    }
}

fn exit() -> MachineExit {
    let registers = BTreeMap::from([("rip".to_owned(), "0xffffffff81000000".to_owned())]);
    MachineExit {
        reason: ExitReason::Error,
        code: Some(ErrorCode::CorePanic),
        message: Some("It broke".to_owned()),
        registers: Some(CpuReport { cpu: 1, after_reset: false, registers }),
    }
}

#[test]
fn output_is_in_the_file_once_its_line_ends() {
    let lab = lab();
    let writer = lab.start();
    for byte in b"hello\nlogin: " {
        writer.append(&[*byte]);
    }
    // As after `kill -9`: nothing of the writer is used any more.
    assert_eq!(lab.console(), (0, b"hello\n".to_vec()));
    writer.flush();
    assert_eq!(lab.console(), (0, b"hello\nlogin: ".to_vec()));
}

#[test]
fn a_line_without_an_end_loses_less_than_what_is_gathered() {
    let lab = lab();
    let writer = lab.start();
    for written in 1..1000 {
        writer.append(b"x");
        assert!(written - lab.console().1.len() < GATHER);
    }
}

#[test]
fn only_the_last_mebibyte_is_kept_with_its_offset() {
    let lab = lab();
    let writer = lab.start();
    let all: Vec<u8> = (0..3 * KEPT + 12_345).map(|index| u8::try_from(index % 251).unwrap()).collect();
    for part in all.chunks(70_001) {
        writer.append(part);
    }
    writer.flush();
    let (offset, bytes) = lab.console();
    assert_eq!(offset, (all.len() - KEPT) as u64);
    assert!(bytes == all[all.len() - KEPT..]);
}

#[test]
fn a_closed_one_keeps_what_it_has_and_holds_no_descriptor() {
    let lab = lab();
    let writer = lab.start();
    writer.append(b"last words");
    let open =
        || std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fd.unwrap().path().read_link().ok());
    let held = || open().filter(|path| path.starts_with(lab.directory.path())).count();
    assert_eq!(held(), 2);
    writer.close();
    assert_eq!(held(), 1);
    writer.append(b"too late\n");
    writer.record_exit(&exit());
    assert_eq!((lab.console().1, read_exit(&lab.file).unwrap()), (b"last words".to_vec(), None));
}

#[test]
fn a_write_that_was_cut_off_spoils_nothing_that_is_read() {
    let lab = lab();
    let writer = lab.start();
    let all = vec![b'a'; 2 * KEPT];
    writer.append(&all);
    let before = lab.console();
    // What follows is written as far as it goes, and the counter never is.
    let ring = LEN - (16 << 10);
    let at = all.len() as u64 % ring;
    for byte in 0..64 << 10 {
        lab.file.write_all_at(b"!", (16 << 10) + (at + byte) % ring).unwrap();
    }
    assert_eq!(lab.console(), before);
}

#[test]
fn the_first_exit_report_counts_and_brings_the_output_with_it() {
    let lab = lab();
    let writer = lab.start();
    assert_eq!(read_exit(&lab.file).unwrap(), None);
    writer.append(b"Power down");
    writer.record_exit(&exit());
    writer.record_exit(&MachineExit { reason: ExitReason::Killed, ..exit() });
    assert_eq!(read_exit(&lab.file).unwrap(), Some(exit()));
    assert_eq!(lab.console().1, b"Power down");
}

#[test]
fn a_report_too_large_keeps_its_reason_and_text_never_steers_a_terminal() {
    let lab = lab();
    let message = Some(format!("\u{1b}[2Jboom{}", "\n".repeat(10_000)));
    let registers = Some(CpuReport {
        cpu: 0,
        after_reset: false,
        registers: (0..1000).map(|name| (name.to_string(), "0".repeat(60))).collect(),
    });
    lab.start().record_exit(&MachineExit { message, registers, ..exit() });
    let read = read_exit(&lab.file).unwrap().unwrap();
    assert_eq!(
        (read.reason, read.code, read.registers),
        (ExitReason::Error, Some(ErrorCode::CorePanic), None)
    );
    let message = read.message.unwrap();
    assert!(message.starts_with(" [2Jboom ") && message.len() == 2000, "{message:?}");
}

/// Writes a report as a worker would that was taken over: with the right checksum.
fn forge(file: &File, report: &[u8]) {
    let sum = report
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    file.write_all_at(report, 64).unwrap();
    file.write_all_at(&(report.len() as u64).to_le_bytes(), 16).unwrap();
    file.write_all_at(&sum.to_le_bytes(), 24).unwrap();
}

#[test]
fn reports_that_no_worker_writes_are_refused() {
    let lab = lab();
    drop(lab.start());
    forge(&lab.file, br#"{"reason":"panic","future":1}"#);
    assert_eq!(read_exit(&lab.file).unwrap().unwrap().reason, ExitReason::Panic);
    let many: Vec<String> = (0..200).map(|name| format!(r#""r{name}":"0""#)).collect();
    let forged = [
        String::new() + "{",
        r#"{"reason":"won"}"#.to_owned(),
        format!(r#"{{"reason":"panic","registers":{{"cpu":0,"registers":{{{}}}}}}}"#, many.join(",")),
        r#"{"reason":"panic","registers":{"cpu":0,"registers":{"rip":"\u001b[2J"}}}"#.to_owned(),
        format!(
            r#"{{"reason":"panic","registers":{{"cpu":0,"registers":{{"rip":"{}"}}}}}}"#,
            "0".repeat(100)
        ),
    ];
    for report in forged {
        forge(&lab.file, report.as_bytes());
        let refused = read_exit(&lab.file).unwrap_err();
        assert!(matches!(refused, BlackBoxError::Exit(_)), "{report}: {refused}");
    }
    forge(&lab.file, br#"{"reason":"panic"}"#);
    lab.file.write_all_at(b"X", 70).unwrap();
    assert!(
        matches!(read_exit(&lab.file).unwrap_err(), BlackBoxError::Exit(_)),
        "a checksum that does not fit"
    );
    lab.file.write_all_at(&u64::MAX.to_le_bytes(), 16).unwrap();
    assert!(matches!(read_exit(&lab.file).unwrap_err(), BlackBoxError::Exit(_)), "a length out of bounds");
}

#[test]
fn files_that_are_no_black_box_are_refused() {
    let lab = lab();
    assert!(matches!(read_console(&lab.file), Err(BlackBoxError::Foreign)), "never started");
    let writer = lab.start();
    writer.append(b"x\n");
    lab.file.write_all_at(&u64::MAX.to_le_bytes(), 8).unwrap();
    assert!(matches!(read_console(&lab.file), Err(BlackBoxError::Counter(u64::MAX))));
    for len in [0, LEN - 1, LEN + 1, 1 << 40] {
        lab.file.set_len(len).unwrap();
        assert!(matches!(read_console(&lab.file), Err(BlackBoxError::Shape)), "{len}");
        assert!(matches!(BlackBox::start(lab.file.try_clone().unwrap()), Err(BlackBoxError::Shape)), "{len}");
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    assert!(matches!(read_exit(&null), Err(BlackBoxError::Shape)));
    assert!(matches!(BlackBox::start(null), Err(BlackBoxError::Shape)));
}

#[test]
fn a_file_that_cannot_be_written_costs_the_guest_nothing() {
    let lab = lab();
    let writer = lab.start();
    writer.append(b"first\n");
    let read_only = File::open(lab.directory.path().join("black.box")).unwrap();
    assert!(matches!(BlackBox::start(read_only), Err(BlackBoxError::File { .. })));
    assert_eq!(lab.console().1, b"first\n");
}

proptest! {
    #[test]
    fn nothing_in_the_head_makes_a_reader_fail_badly(head in prop::array::uniform32(any::<u8>()), started: bool) {
        let lab = lab();
        drop(lab.start());
        lab.file.write_all_at(if started { &head[8..] } else { &head }, if started { 8 } else { 0 }).unwrap();
        if let Ok(record) = read_console(&lab.file) {
            prop_assert!(record.bytes.len() <= KEPT);
        }
        let _ = read_exit(&lab.file);
    }
}
