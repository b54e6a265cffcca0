// SPDX-License-Identifier: Apache-2.0
//! A process that is killed while it works on an image.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flotilla_device_model::block::BlockBackend;

use super::bench::{Bench, create, open};
use super::oracle;
use crate::{BackingFormat, EngineChoice, Qcow2Create};

const SECTORS: u64 = 8192;
const ROUNDS: u64 = 24;
const IMAGE: &str = "FLOTILLA_TEST_KILL_IMAGE";
const SEED: &str = "FLOTILLA_TEST_KILL_SEED";

#[derive(Debug, Clone, Copy)]
enum Step {
    Write { at: u64, len: u64 },
    Zero { at: u64, len: u64 },
    Flush,
}

/// The same steps for the same seed, without end.
fn steps(seed: u64) -> impl Iterator<Item = Step> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (kind, at, len) = (state >> 60, (state >> 40) % SECTORS, (state >> 30) % 1024);
        // Mostly small, now and then a row of clusters.
        let len = if len < 900 { len % 16 + 1 } else { len - 800 }.min(SECTORS - at);
        match kind {
            0 | 1 => Step::Flush,
            2 | 3 => Step::Zero { at, len },
            _ => Step::Write { at, len },
        }
    })
}

/// What step `index` of round `seed` leaves in a sector: a number that tells where it comes from.
fn tag(seed: u64, index: u64) -> u64 {
    seed << 32 | (index + 1)
}

fn chain(image: &Path) -> Vec<(PathBuf, BackingFormat)> {
    let base = image.with_file_name("base.raw");
    if base.exists() { vec![(base, BackingFormat::Raw)] } else { Vec::new() }
}

/// Not a test of its own: the process that is killed.
#[test]
fn works_until_it_is_killed() {
    let (Ok(image), Ok(seed)) = (std::env::var(IMAGE), std::env::var(SEED)) else { return };
    let (image, seed) = (PathBuf::from(image), seed.parse().unwrap());
    let mut acks = OpenOptions::new().append(true).create(true).open(image.with_extension("acks")).unwrap();
    let mut bench = Bench::new(open(&image, &chain(&image), EngineChoice::Automatic).unwrap());
    for (index, step) in steps(seed).enumerate() {
        match step {
            Step::Write { at, len } => {
                let sector = tag(seed, index as u64).to_le_bytes().repeat(64);
                bench.write(at * 512, &sector.repeat(usize::try_from(len).unwrap())).unwrap();
            }
            Step::Zero { at, len } => bench.disk().write_zeroes(at * 512, len * 512, true).unwrap(),
            Step::Flush => {
                bench.flush();
                acks.write_all(&(index as u64 + 1).to_le_bytes()).unwrap();
            }
        }
    }
}

fn acknowledged(image: &Path) -> u64 {
    let acks = std::fs::read(image.with_extension("acks")).unwrap_or_default();
    acks.as_chunks().0.last().map_or(0, |last| u64::from_le_bytes(*last))
}

/// Starts the process, lets it work for a while, and kills it.
fn kill_one(image: &Path, seed: u64, after: Duration) {
    let _ = std::fs::remove_file(image.with_extension("acks"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "qcow2::tests::kill::works_until_it_is_killed"])
        .env(IMAGE, image)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while acknowledged(image) == 0 && started.elapsed() < Duration::from_secs(30) {
        assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The tag of each sector.
fn read_all(image: &Path) -> Vec<u64> {
    let mut bench = Bench::new(open(image, &chain(image), EngineChoice::Direct).unwrap());
    assert_eq!(bench.disk().size(), SECTORS * 512);
    let data = bench.read(0, usize::try_from(SECTORS * 512).unwrap()).unwrap();
    let sectors = data.as_chunks::<512>().0.iter();
    sectors
        .map(|sector| {
            let words = sector.as_chunks().0;
            let first = u64::from_le_bytes(words[0]);
            assert!(words.iter().all(|word| u64::from_le_bytes(*word) == first), "a torn sector");
            first
        })
        .collect()
}

/// What was flushed is there, or something newer.
fn compare(before: &[u64], after: &[u64], seed: u64, acknowledged: u64) {
    let mut flushed = before.to_vec();
    let acknowledged = usize::try_from(acknowledged).unwrap();
    let fill = |tags: &mut [u64], at: u64, len: u64, value| {
        tags[usize::try_from(at).unwrap()..usize::try_from(at + len).unwrap()].fill(value);
    };
    for (index, step) in steps(seed).take(acknowledged).enumerate() {
        match step {
            Step::Write { at, len } => fill(&mut flushed, at, len, tag(seed, index as u64)),
            Step::Zero { at, len } => fill(&mut flushed, at, len, 0),
            Step::Flush => {}
        }
    }
    let newest = tag(seed, acknowledged as u64 + 100_000);
    for (sector, (flushed, found)) in flushed.iter().zip(after).enumerate() {
        let newer = *found == 0 || (tag(seed, acknowledged as u64)..newest).contains(found);
        assert!(found == flushed || newer, "sector {sector}: {found:#x} is older than {flushed:#x}");
    }
}

fn survives(with_base: bool, cluster_size: u64) {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.qcow2");
    let mut backing = None;
    if with_base {
        let base = folder.path().join("base.raw");
        std::fs::write(&base, vec![0x11; usize::try_from(SECTORS * 512).unwrap()]).unwrap();
        backing = Some((base.to_str().unwrap().to_owned(), "raw".to_owned()));
    }
    create(&image, &Qcow2Create { cluster_size, backing, ..Qcow2Create::new(SECTORS * 512) });
    let mut content = read_all(&image);
    for round in 1..=ROUNDS {
        let seed = round * 7919 + cluster_size + u64::from(with_base);
        kill_one(&image, seed, Duration::from_millis(seed % 97));
        // Clean, or it leaks; anything else fails here.
        oracle::check(&image);
        let now = read_all(&image);
        compare(&content, &now, seed, acknowledged(&image));
        content = now;
    }
}

#[test]
fn a_kill_at_any_point_loses_nothing_that_was_flushed() {
    survives(false, 4096);
}

#[test]
fn a_kill_at_any_point_loses_nothing_of_an_overlay() {
    survives(true, 512);
}

/// Clusters of many sectors, most of which are written in part between two flushes.
#[test]
fn a_kill_at_any_point_loses_nothing_of_clusters_that_were_written_in_part() {
    survives(true, 16 << 10);
}
