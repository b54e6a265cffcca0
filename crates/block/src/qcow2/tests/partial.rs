// SPDX-License-Identifier: Apache-2.0
//! Clusters that are written in part, and when the rest of them is copied. The backing file, which nobody else may change,
//! is changed here: what a cluster holds tells when it was read.

use std::path::{Path, PathBuf};

use flotilla_device_model::block::BlockBackend;

use super::bench::{Bench, create, open};
use super::oracle::{self, Verdict};
use crate::{BackingFormat, EngineChoice, Qcow2Create};

const CLUSTER: u64 = 4096;
const SECTOR: usize = 512;

struct World {
    folder: tempfile::TempDir,
    size: u64,
    bench: Bench,
}

impl World {
    /// An empty image over a file of ones.
    fn new(clusters: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let size = clusters * CLUSTER;
        let base = folder.path().join("base.raw");
        std::fs::write(&base, vec![1; usize::try_from(size).unwrap()]).unwrap();
        let backing = Some((base.to_str().unwrap().to_owned(), "raw".to_owned()));
        let path = folder.path().join("top.qcow2");
        create(&path, &Qcow2Create { cluster_size: CLUSTER, backing, ..Qcow2Create::new(size) });
        let bench = Bench::new(open(&path, &chain(&path), EngineChoice::Direct).unwrap());
        Self { folder, size, bench }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("top.qcow2")
    }

    /// Changes what the backing file holds.
    fn base_becomes(&self, value: u8) {
        let content = vec![value; usize::try_from(self.size).unwrap()];
        std::fs::write(self.folder.path().join("base.raw"), content).unwrap();
    }

    /// The first byte of each sector of a cluster.
    fn sectors(&mut self, cluster: u64) -> Vec<u8> {
        let data = self.bench.read(cluster * CLUSTER, usize::try_from(CLUSTER).unwrap()).unwrap();
        data.iter().step_by(SECTOR).copied().collect()
    }

    fn write(&mut self, sector: u64, sectors: usize, value: u8) {
        self.bench.write(sector * 512, &vec![value; sectors * SECTOR]).unwrap();
    }

    fn waiting(&self) -> Vec<u64> {
        self.bench.disk().chain.top.partials.first(usize::MAX)
    }

    /// Closes the disk. Its image must be sound.
    fn close(&mut self) {
        self.bench.close();
        if oracle::is_there() {
            assert_eq!(oracle::check(&self.path()), Verdict::Clean);
        }
    }
}

fn chain(image: &Path) -> Vec<(PathBuf, BackingFormat)> {
    vec![(image.with_file_name("base.raw"), BackingFormat::Raw)]
}

#[test]
fn the_rest_is_copied_by_a_flush_and_not_before() {
    let mut world = World::new(4);
    world.write(10, 2, 9);
    assert_eq!(world.sectors(1), [1, 1, 9, 9, 1, 1, 1, 1]);
    world.base_becomes(2);
    assert_eq!(world.sectors(1), [2, 2, 9, 9, 2, 2, 2, 2]);
    world.bench.flush();
    world.base_becomes(3);
    assert_eq!(world.sectors(1), [2, 2, 9, 9, 2, 2, 2, 2]);
    assert_eq!(world.sectors(2), [3; 8]);
    // The file has it, for whoever opens it if this process ends now.
    let copy = world.folder.path().join("copy.qcow2");
    std::fs::copy(world.path(), &copy).unwrap();
    let mut other = Bench::new(open(&copy, &chain(&copy), EngineChoice::Direct).unwrap());
    assert!(other.read(5 * 1024, 1024).unwrap() == [9; 1024]);
    assert!(other.read(6 * 1024, 1024).unwrap() == [2; 1024]);
    world.close();
}

#[test]
fn a_second_flush_has_what_was_written_after_the_first() {
    let mut world = World::new(4);
    world.write(8, 1, 9);
    world.bench.flush();
    world.write(16, 1, 9);
    world.bench.flush();
    world.base_becomes(2);
    assert_eq!(world.sectors(1), [9, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(world.sectors(2), [9, 1, 1, 1, 1, 1, 1, 1]);
    assert!(world.bench.disk().chain.top.is_clean());
    world.close();
}

#[test]
fn what_came_while_a_flush_was_under_way_is_there_after_the_next() {
    let mut world = World::new(4);
    world.write(8, 1, 9);
    // A flush of another queue, which looked at what waits before that.
    world.bench.disk().chain.top.flush().unwrap();
    world.bench.flush();
    world.base_becomes(2);
    assert_eq!(world.sectors(1), [9, 1, 1, 1, 1, 1, 1, 1]);
    world.close();
}

#[test]
fn a_cluster_that_is_written_bit_by_bit_is_never_copied() {
    let mut world = World::new(4);
    for (count, sector) in [13, 8, 15, 9, 10, 14, 12, 11].into_iter().enumerate() {
        assert_eq!(world.waiting().len(), usize::from(count > 0), "{count}");
        world.write(sector, 1, 9);
    }
    assert!(world.waiting().is_empty());
    // One write for what is left of a cluster, over what was written before.
    world.write(18, 1, 8);
    world.write(16, 8, 7);
    assert!(world.waiting().is_empty());
    world.base_becomes(2);
    assert_eq!((world.sectors(1), world.sectors(2)), (vec![9; 8], vec![7; 8]));
    world.close();
}

#[test]
fn a_read_goes_over_several_of_them() {
    let mut world = World::new(8);
    for cluster in [1, 2, 4] {
        world.write(cluster * 8 + 7, 1, 9);
        world.write(cluster * 8, 1, 8);
    }
    let data = world.bench.read(0, 8 * usize::try_from(CLUSTER).unwrap()).unwrap();
    let found: Vec<u8> = data.iter().step_by(SECTOR).copied().collect();
    let partial = [8, 1, 1, 1, 1, 1, 1, 9];
    assert_eq!(found, [[1; 8], partial, partial, [1; 8], partial, [1; 8], [1; 8], [1; 8]].concat());
    world.close();
}

#[test]
fn one_that_is_discarded_or_cleared_gives_its_place_back() {
    let mut world = World::new(4);
    for cluster in 0..4 {
        world.write(cluster * 8 + 3, 1, 9);
    }
    let disk = world.bench.disk();
    disk.discard(0, CLUSTER).unwrap();
    disk.write_zeroes(CLUSTER, CLUSTER, true).unwrap();
    disk.write_zeroes(2 * CLUSTER, CLUSTER, false).unwrap();
    disk.write_zeroes(3 * CLUSTER + 512, 512, true).unwrap();
    assert_eq!(world.waiting(), [3]);
    for cluster in 0..3 {
        assert_eq!(world.sectors(cluster), [0; 8], "{cluster}");
    }
    assert_eq!(world.sectors(3), [1, 0, 1, 9, 1, 1, 1, 1]);
    world.write(17, 1, 7);
    assert_eq!(world.sectors(2), [0, 7, 0, 0, 0, 0, 0, 0]);
    world.close();
}

#[test]
fn only_so_many_wait_and_the_others_are_copied_at_once() {
    let mut world = World::new(1100);
    for cluster in 0..1100 {
        world.write(cluster * 8, 1, 9);
    }
    assert_eq!(world.waiting().len(), 1024);
    world.base_becomes(2);
    assert_eq!(world.sectors(1023), [9, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(world.sectors(1024), [9, 1, 1, 1, 1, 1, 1, 1]);
    world.close();
}

#[test]
fn a_rest_that_finds_no_space_waits_for_the_next_flush() {
    let mut world = World::new(4);
    world.write(8, 1, 9);
    world.bench.disk().refuse_growth(true);
    let error = world.bench.run(flotilla_device_model::block::Operation::Flush).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(world.waiting(), [1]);
    world.bench.disk().refuse_growth(false);
    world.bench.flush();
    world.base_becomes(2);
    assert_eq!(world.sectors(1), [9, 1, 1, 1, 1, 1, 1, 1]);
    world.close();
}

#[test]
fn a_disk_that_grows_shows_nothing_of_a_longer_file_below() {
    let mut world = World::new(4);
    // The disk ends within the last cluster.
    world.bench.close();
    let path = world.folder.path().join("short.qcow2");
    let backing = Some((world.folder.path().join("base.raw").to_str().unwrap().to_owned(), "raw".to_owned()));
    create(&path, &Qcow2Create { cluster_size: CLUSTER, backing, ..Qcow2Create::new(3 * CLUSTER + 1024) });
    world.bench = Bench::new(open(&path, &chain(&path), EngineChoice::Direct).unwrap());
    world.write(24, 1, 9);
    world.bench.disk().grow(4 * CLUSTER).unwrap();
    assert_eq!(world.sectors(3), [9, 1, 0, 0, 0, 0, 0, 0]);
    world.bench.flush();
    assert_eq!(world.sectors(3), [9, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(world.bench.disk().size(), 4 * CLUSTER);
    world.bench.close();
    if oracle::is_there() {
        assert_eq!(oracle::check(&path), Verdict::Clean);
    }
}
