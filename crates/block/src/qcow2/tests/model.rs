// SPDX-License-Identifier: Apache-2.0
//! Random work against an array of bytes.

use std::path::{Path, PathBuf};

use flotilla_device_model::block::BlockBackend;
use proptest::prelude::*;

use super::bench::{Bench, create, open, writable};
use super::oracle::{self, Verdict};
use crate::{BackingFormat, EngineChoice, Qcow2Create};

const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, len: usize, value: u8 },
    Read { at: usize, len: usize },
    Zero { at: usize, len: usize, unmap: bool },
    Discard { at: usize, len: usize },
    Flush,
    Reopen,
    Grow { sectors: usize },
}

#[derive(Debug, Clone, Copy)]
enum Below {
    Nothing,
    Raw,
    Qcow2,
    /// Compressed, by the format of the second field.
    Packed(&'static str),
    /// Two files, the nearer one shorter than the disk.
    Two,
}

#[derive(Debug, Clone)]
struct Shape {
    cluster_bits: u32,
    refcount_bits: u32,
    version: u32,
    sectors: usize,
    below: Below,
    engine: EngineChoice,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let below = prop_oneof![
        Just(Below::Nothing),
        Just(Below::Raw),
        Just(Below::Qcow2),
        Just(Below::Packed("zlib")),
        Just(Below::Packed("zstd")),
        Just(Below::Two),
    ];
    let engine = prop_oneof![Just(EngineChoice::Direct), Just(EngineChoice::Automatic)];
    let bits = prop_oneof![3 => 9_u32..=12, 1 => Just(16_u32), 1 => Just(21_u32)];
    (bits, 0_u32..=6, 2_u32..=3, 200_usize..1500, below, engine).prop_map(
        |(cluster_bits, order, version, sectors, below, engine)| {
            let refcount_bits = if version == 2 { 16 } else { 1 << order };
            Shape { cluster_bits, refcount_bits, version, sectors, below, engine }
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = any::<usize>();
    let len = prop_oneof![4 => 1_usize..20, 1 => 1_usize..400];
    let step = prop_oneof![
        8 => (at, len.clone(), 1_u8..).prop_map(|(at, len, value)| Step::Write { at, len, value }),
        5 => (at, len.clone()).prop_map(|(at, len)| Step::Read { at, len }),
        2 => (at, len.clone(), any::<bool>()).prop_map(|(at, len, unmap)| Step::Zero { at, len, unmap }),
        2 => (at, len).prop_map(|(at, len)| Step::Discard { at, len }),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (1_usize..300).prop_map(|sectors| Step::Grow { sectors }),
    ];
    prop::collection::vec(step, 1..60)
}

/// Bytes that differ from sector to sector.
fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at / SECTOR * 7 + at % 3 + salt) % 251 + 1).unwrap()).collect()
}

struct World {
    folder: tempfile::TempDir,
    shape: Shape,
    chain: Vec<(PathBuf, BackingFormat)>,
    model: Vec<u8>,
    /// Discarded since it was written: undefined.
    wild: Vec<bool>,
    bench: Bench,
}

impl World {
    fn new(shape: Shape) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut model = vec![0; shape.sectors * SECTOR];
        let chain = make_below(folder.path(), shape.below, &mut model);
        let backing = chain.first().map(|(path, format)| {
            let format = if *format == BackingFormat::Raw { "raw" } else { "qcow2" };
            (path.to_str().unwrap().to_owned(), format.to_owned())
        });
        let options = Qcow2Create {
            size: model.len() as u64,
            cluster_size: 1 << shape.cluster_bits,
            refcount_bits: shape.refcount_bits,
            version: shape.version,
            lazy_refcounts: shape.version == 3 && shape.sectors.is_multiple_of(2),
            zstd: false,
            backing,
        };
        let path = folder.path().join("top.qcow2");
        create(&path, &options);
        let bench = Bench::new(open(&path, &chain, shape.engine).unwrap());
        Self { wild: vec![false; shape.sectors], folder, shape, chain, model, bench }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("top.qcow2")
    }

    /// A span inside the disk, in sectors.
    fn span(&self, at: usize, len: usize) -> (usize, usize) {
        let sectors = self.model.len() / SECTOR;
        let at = at % sectors;
        (at, len.min(sectors - at))
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { at, len, value } => {
                let (at, len) = self.span(at, len);
                let mut data = pattern(len * SECTOR, value.into());
                data[0] = value;
                self.bench.write((at * SECTOR) as u64, &data).unwrap();
                self.model[at * SECTOR..(at + len) * SECTOR].copy_from_slice(&data);
                self.wild[at..at + len].fill(false);
            }
            Step::Read { at, len } => {
                let (at, len) = self.span(at, len);
                let data = self.bench.read((at * SECTOR) as u64, len * SECTOR).unwrap();
                for sector in 0..len {
                    let range = |start: usize| start * SECTOR..(start + 1) * SECTOR;
                    if self.wild[at + sector] {
                        self.model[range(at + sector)].copy_from_slice(&data[range(sector)]);
                    }
                    assert!(data[range(sector)] == self.model[range(at + sector)], "sector {}", at + sector);
                }
            }
            Step::Zero { at, len, unmap } => {
                let (at, len) = self.span(at, len);
                let (offset, bytes) = ((at * SECTOR) as u64, (len * SECTOR) as u64);
                self.bench.disk().write_zeroes(offset, bytes, unmap).unwrap();
                self.model[at * SECTOR..(at + len) * SECTOR].fill(0);
                self.wild[at..at + len].fill(false);
            }
            Step::Discard { at, len } => {
                let (at, len) = self.span(at, len);
                self.bench.disk().discard((at * SECTOR) as u64, (len * SECTOR) as u64).unwrap();
                self.wild[at..at + len].fill(true);
            }
            Step::Flush => self.bench.flush(),
            Step::Reopen => self.reopen(),
            Step::Grow { sectors } => {
                self.model.resize(self.model.len() + sectors * SECTOR, 0);
                self.wild.resize(self.wild.len() + sectors, false);
                self.bench.disk().grow(self.model.len() as u64).unwrap();
            }
        }
    }

    fn reopen(&mut self) {
        self.bench.close();
        assert_eq!(oracle::check(&self.path()), Verdict::Clean);
        self.bench = Bench::new(open(&self.path(), &self.chain, self.shape.engine).unwrap());
    }

    fn finish(mut self) {
        let all = self.model.len() / SECTOR;
        for at in (0..all).step_by(400) {
            self.step(&Step::Read { at, len: 400 });
        }
        assert_eq!(self.bench.disk().size(), self.model.len() as u64);
        self.bench.close();
        assert_eq!(oracle::check(&self.path()), Verdict::Clean);
        oracle::compare(&self.path(), &self.model);
    }
}

/// Makes the files below the disk, nearest first, and fills the model with what shows through.
fn make_below(folder: &Path, below: Below, model: &mut [u8]) -> Vec<(PathBuf, BackingFormat)> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (raw, image, near) = (folder.join("base.raw"), folder.join("base.qcow2"), folder.join("near.qcow2"));
    if matches!(below, Below::Nothing) {
        return Vec::new();
    }
    // Longer than the disk can grow to be, and with a hole.
    let mut content = pattern(model.len() + 40 * SECTOR, 3);
    content[20 * SECTOR..60 * SECTOR].fill(0);
    std::fs::write(&raw, &content).unwrap();
    model.copy_from_slice(&content[..model.len()]);
    match below {
        Below::Nothing => Vec::new(),
        Below::Raw => vec![(raw, BackingFormat::Raw)],
        Below::Qcow2 => {
            oracle::qemu_img(&["convert", "-f", "raw", "-O", "qcow2", &text(&raw), &text(&image)]);
            vec![(image, BackingFormat::Qcow2)]
        }
        Below::Packed(kind) => {
            let option = format!("compression_type={kind}");
            let arguments = ["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", &option];
            oracle::qemu_img(&[&arguments[..], &[&text(&raw), &text(&image)]].concat());
            vec![(image, BackingFormat::Qcow2)]
        }
        Below::Two => {
            let size = 50 * SECTOR;
            let options = Qcow2Create {
                backing: Some((text(&raw), "raw".to_owned())),
                cluster_size: 1024,
                ..Qcow2Create::new(size as u64)
            };
            create(&near, &options);
            let chain = vec![(raw, BackingFormat::Raw)];
            let mut bench = Bench::new(open(&near, &chain, EngineChoice::Direct).unwrap());
            let data = pattern(9 * SECTOR, 99);
            bench.write(5 * SECTOR as u64, &data).unwrap();
            bench.close();
            model[5 * SECTOR..14 * SECTOR].copy_from_slice(&data);
            // Behind the end of the nearer file there is nothing.
            model[size..].fill(0);
            [vec![(near, BackingFormat::Qcow2)], chain].concat()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn behaves_as_an_array_of_bytes(shape in shapes(), steps in steps()) {
        if !oracle::is_there() {
            return Ok(());
        }
        let mut world = World::new(shape);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}

#[test]
fn images_of_every_shape_are_sound() {
    if !oracle::is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for cluster_bits in 9..=21 {
        for order in [0, 1, 2, 3, 4, 5, 6] {
            let path = folder.path().join(format!("{cluster_bits}-{order}.qcow2"));
            let options = Qcow2Create {
                cluster_size: 1 << cluster_bits,
                refcount_bits: 1 << order,
                ..Qcow2Create::new(5 << 20)
            };
            create(&path, &options);
            let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
            let (data, mut model) = (pattern(3 << 20, 5), vec![0; 5 << 20]);
            bench.write(1 << 20, &data).unwrap();
            model[1 << 20..4 << 20].copy_from_slice(&data);
            bench.close();
            assert_eq!(oracle::check(&path), Verdict::Clean);
            if order == 4 {
                oracle::compare(&path, &model);
            }
            std::fs::remove_file(path).unwrap();
        }
    }
    drop(writable(&folder.path().join("last")));
}
