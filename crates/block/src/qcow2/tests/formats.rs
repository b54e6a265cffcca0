// SPDX-License-Identifier: Apache-2.0
//! Images that QEMU made, and what is refused.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flotilla_device_model::block::BlockBackend;

use super::bench::{Bench, backing, create, open, writable};
use super::oracle::{self, Verdict, qemu_img, qemu_io};
use crate::{
    BackingFile, BackingFormat, EngineChoice, Qcow2, Qcow2Create, Qcow2Error, Qcow2Options, RecordedName,
};

const SIZE: usize = 4 << 20;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn bytes(salt: u8) -> Vec<u8> {
    (0..SIZE).map(|at| u8::try_from(at / 3 % 250).unwrap().wrapping_add(salt)).collect()
}

/// A QEMU image with this content.
fn convert(folder: &Path, name: &str, options: &[&str], content: &[u8]) -> PathBuf {
    let (raw, path) = (folder.join("content.raw"), folder.join(name));
    std::fs::write(&raw, content).unwrap();
    qemu_img(&[&["convert", "-f", "raw", "-O", "qcow2"], options, &[text(&raw), text(&path)]].concat());
    path
}

fn put(path: &Path, at: u64, value: &[u8]) {
    writable(path).write_all_at(value, at).unwrap();
}

fn error(result: Result<Qcow2, Qcow2Error>) -> Qcow2Error {
    result.err().expect("must be refused")
}

#[test]
fn reads_and_overwrites_compressed_clusters() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in [
        &["-c"][..],
        &["-c", "-o", "compression_type=zstd"],
        &["-c", "-o", "cluster_size=512"],
        &["-c", "-o", "compression_type=zstd,cluster_size=2M"],
        &["-c", "-o", "compat=0.10"],
    ] {
        let mut model = bytes(0);
        let path = convert(folder.path(), "packed.qcow2", options, &model);
        let mut bench = Bench::new(open(&path, &[], EngineChoice::Automatic).unwrap());
        assert!(bench.read(0, SIZE).unwrap() == model, "{options:?}");
        let data = vec![0xaa; 100_352];
        bench.write(70_144, &data).unwrap();
        model[70_144..70_144 + data.len()].copy_from_slice(&data);
        bench.disk().discard(2 << 20, 1 << 20).unwrap();
        model[2 << 20..3 << 20].copy_from_slice(&bench.read(2 << 20, 1 << 20).unwrap());
        bench.close();
        assert_eq!(oracle::check(&path), Verdict::Clean, "{options:?}");
        oracle::compare(&path, &model);
    }
}

#[test]
fn keeps_internal_snapshots_as_they_are() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in [&["-o", "cluster_size=4k"][..], &["-o", "compat=0.10"], &["-c", "-o", "cluster_size=1k"]]
    {
        let old = bytes(0);
        let path = convert(folder.path(), "snapshots.qcow2", options, &old);
        qemu_img(&["snapshot", "-c", "before", text(&path)]);
        let mut model = old.clone();
        let mut bench = Bench::new(open(&path, &[], EngineChoice::Automatic).unwrap());
        for at in (0..SIZE).step_by(300_544) {
            let at = at / 512 * 512;
            bench.write(at as u64, &[0x5a; 1536]).unwrap();
            model[at..at + 1536].fill(0x5a);
        }
        bench.disk().write_zeroes(1 << 20, 1 << 20, true).unwrap();
        model[1 << 20..2 << 20].fill(0);
        bench.disk().discard(3 << 20, 512 << 10).unwrap();
        model[3 << 20..(3 << 20) + (512 << 10)].copy_from_slice(&bench.read(3 << 20, 512 << 10).unwrap());
        bench.close();
        assert_eq!(oracle::check(&path), Verdict::Clean);
        oracle::compare(&path, &model);
        qemu_img(&["snapshot", "-a", "before", text(&path)]);
        oracle::compare(&path, &old);
        qemu_img(&["snapshot", "-d", "before", text(&path)]);
        assert_eq!(oracle::check(&path), Verdict::Clean);
    }
}

#[test]
fn counts_references_anew_after_a_crash_with_lazy_refcounts() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for bits in ["16", "1", "64"] {
        let options = format!("lazy_refcounts=on,cluster_size=4k,refcount_bits={bits}");
        let path = convert(folder.path(), "lazy.qcow2", &["-o", &options], &vec![0; SIZE]);
        if bits != "1" {
            qemu_img(&["snapshot", "-c", "before", text(&path)]);
        }
        qemu_io(&path, &["write -P 7 64k 900k", "flush", "abort"]);
        let incompatible = |path: &Path| {
            let mut field = [0; 8];
            File::open(path).unwrap().read_exact_at(&mut field, 72).unwrap();
            u64::from_be_bytes(field)
        };
        assert_eq!(incompatible(&path), 1, "the image must be dirty for this test");
        let mut model = vec![0; SIZE];
        model[64 << 10..964 << 10].fill(7);
        // Reading needs no counts and changes nothing.
        let options = Qcow2Options { read_only: true, ..Qcow2Options::default() };
        drop(Qcow2::open(File::open(&path).unwrap(), &[], options).unwrap());
        assert_eq!(incompatible(&path), 1);
        let mut bench = Bench::new(open(&path, &[], EngineChoice::Automatic).unwrap());
        assert_eq!(incompatible(&path), 0);
        bench.write(2 << 20, &vec![8; 1 << 16]).unwrap();
        model[2 << 20..(2 << 20) + (1 << 16)].fill(8);
        bench.close();
        assert_eq!(oracle::check(&path), Verdict::Clean, "{bits}");
        oracle::compare(&path, &model);
    }
}

#[test]
fn clears_what_it_does_not_know_when_it_writes() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = convert(folder.path(), "bitmap.qcow2", &[], &bytes(0));
    qemu_img(&["bitmap", "--add", text(&path), "changes"]);
    let autoclear = || {
        let mut field = [0; 8];
        File::open(&path).unwrap().read_exact_at(&mut field, 88).unwrap();
        u64::from_be_bytes(field)
    };
    assert_eq!(autoclear(), 1);
    let read_only = Qcow2Options { read_only: true, ..Qcow2Options::default() };
    drop(Qcow2::open(writable(&path), &[], read_only).unwrap());
    assert_eq!(autoclear(), 1);
    let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
    assert_eq!(autoclear(), 0);
    bench.write(0, &[1; 512]).unwrap();
    bench.close();
    oracle::check(&path);
}

#[test]
fn refuses_what_it_cannot_do_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.qcow2");
    let cases: [(u64, &[u8], &str); 16] = [
        (0, b"QFI\xfa", "no qcow2 image"),
        (4, &4_u32.to_be_bytes(), "version 4"),
        (20, &8_u32.to_be_bytes(), "clusters of 2^8"),
        (20, &22_u32.to_be_bytes(), "clusters of 2^22"),
        (24, &0_u64.to_be_bytes(), "disk of 0 bytes"),
        (32, &2_u32.to_be_bytes(), "encryption"),
        (36, &0_u32.to_be_bytes(), "L1 table is too short"),
        (40, &0_u64.to_be_bytes(), "L1 table at 0x0"),
        (40, &65_536_u64.to_be_bytes(), "overlap"),
        (48, &(1_u64 << 40).to_be_bytes(), "no place for it"),
        (48, &1_u64.to_be_bytes(), "no place for it"),
        (72, &2_u64.to_be_bytes(), "marked as corrupt"),
        (72, &4_u64.to_be_bytes(), "external data file"),
        (72, &16_u64.to_be_bytes(), "extended L2"),
        (72, &(1_u64 << 40).to_be_bytes(), "unknown incompatible features"),
        (96, &7_u32.to_be_bytes(), "refcount order 7"),
    ];
    for (at, value, words) in cases {
        create(&path, &Qcow2Create::new(1 << 30));
        put(&path, at, value);
        let error = error(open(&path, &[], EngineChoice::Direct));
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    create(&path, &Qcow2Create::new(1 << 30));
    put(&path, 72, &2_u64.to_be_bytes());
    let read_only = Qcow2Options { read_only: true, ..Qcow2Options::default() };
    assert!(Qcow2::open(writable(&path), &[], read_only).is_ok(), "a corrupt image may be read");
}

#[test]
fn opens_the_chain_it_is_given_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (base, near, top) = (file("base.raw"), file("near.qcow2"), file("top.qcow2"));
    std::fs::write(&base, vec![1; 1 << 20]).unwrap();
    let over = |name: &str, format: &str| Qcow2Create {
        backing: Some((name.to_owned(), format.to_owned())),
        ..Qcow2Create::new(1 << 20)
    };
    create(&near, &over("base.raw", "raw"));
    create(&top, &over(text(&near), "qcow2"));
    let raw = |path: &Path| backing(path, BackingFormat::Raw);
    let qcow2 = |path: &Path| backing(path, BackingFormat::Qcow2);
    let open = |files: Vec<BackingFile>| Qcow2::open(writable(&top), &files, Qcow2Options::default());
    assert!(open(vec![qcow2(&near), raw(&base)]).is_ok());
    let refused = [
        (vec![], "was not given"),
        (vec![qcow2(&near)], "was not given"),
        (vec![qcow2(&base), raw(&near)], "no qcow2 image"),
        (vec![raw(&near)], "and not raw"),
        (vec![qcow2(&near), raw(&near)], "base.raw"),
        (vec![qcow2(&near), raw(&base), raw(&base)], "has no backing file"),
    ];
    for (files, words) in refused {
        let error = error(open(files));
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    // Another name only if the caller says so.
    let moved = file("moved.raw");
    std::fs::rename(&base, &moved).unwrap();
    assert_eq!(error(open(vec![qcow2(&near), raw(&moved)])).code(), "disk.backing");
    let mut overridden = raw(&moved);
    overridden.recorded = RecordedName::Any;
    let mut bench = Bench::new(open(vec![qcow2(&near), overridden]).unwrap());
    assert_eq!(bench.read(512, 512).unwrap(), [1; 512]);
    bench.close();
    // A chain that bites its tail.
    let loops = file("loop.qcow2");
    create(&loops, &over("loop.qcow2", "qcow2"));
    let again = Qcow2::open(writable(&loops), &[qcow2(&loops)], Qcow2Options::default());
    assert!(error(again).to_string().contains("was not given"));
    let twice = vec![qcow2(&loops), qcow2(&loops)];
    let again = Qcow2::open(writable(&loops), &twice, Qcow2Options::default());
    assert!(error(again).to_string().contains("was not given"));
    create(&top, &over("near.qcow2", "qcow2"));
    create(&near, &over("top.qcow2", "qcow2"));
    create(&loops, &Qcow2Create::new(1 << 20));
    let mut end = qcow2(&loops);
    end.recorded = RecordedName::Any;
    let mut first = qcow2(&near);
    first.recorded = RecordedName::Any;
    let mut second = qcow2(&near);
    second.recorded = RecordedName::Any;
    let error = error(Qcow2::open(writable(&top), &[first, second, end], Qcow2Options::default()));
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn keeps_the_lock_as_long_as_it_is_open_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.qcow2");
    create(&path, &Qcow2Create::new(1 << 20));
    let file = writable(&path);
    crate::lock(&file, crate::LockKind::Exclusive).unwrap();
    let disk = Qcow2::open(file, &[], Qcow2Options::default()).unwrap();
    let queue = disk.open_queue(4).unwrap();
    assert!(crate::lock::try_lock(&writable(&path), crate::LockKind::Exclusive).is_err());
    drop(disk);
    assert!(crate::lock::try_lock(&writable(&path), crate::LockKind::Exclusive).is_err());
    drop(queue);
    assert!(crate::lock::try_lock(&writable(&path), crate::LockKind::Exclusive).is_ok());
}

#[test]
fn a_full_file_system_is_an_error_and_leaves_a_sound_image() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.qcow2");
    create(&path, &Qcow2Create::new(64 << 20));
    let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
    bench.write(0, &[1; 4096]).unwrap();
    bench.flush();
    bench.disk().refuse_growth(true);
    let error = bench.write(32 << 20, &vec![2; 2 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    bench.disk().refuse_growth(false);
    bench.write(32 << 20, &[3; 4096]).unwrap();
    let mut model = vec![0; 64 << 20];
    model[..4096].fill(1);
    let tail = bench.read(32 << 20, 2 << 20).unwrap();
    assert_eq!(tail[..4096], [3; 4096]);
    model[32 << 20..34 << 20].copy_from_slice(&tail);
    bench.close();
    assert_eq!(oracle::check(&path), Verdict::Clean);
    oracle::compare(&path, &model);
}
