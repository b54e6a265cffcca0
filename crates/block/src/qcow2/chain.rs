// SPDX-License-Identifier: Apache-2.0
//! An image and the files it is based on, nearest first.
//!
//! The files are those that the caller opened; the names in the images are only compared. An image that names a backing
//! file is not opened without one, nor one that names none with one.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use super::bytes::index;
use super::cache::Memo;
use super::error::Qcow2Error;
use super::image::{Extent, Image, Place};
use super::storage::Storage;
use crate::BlockError;

/// The most backing files of a disk.
pub const MAX_BACKING: usize = 16;
/// The most bytes of L1 tables in a chain: a hostile image has one of 32 MiB.
const MAX_L1_ENTRIES: usize = 8 << 20;

/// How the content of a backing file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackingFormat {
    /// Byte for byte.
    Raw,
    /// qcow2.
    Qcow2,
}

impl BackingFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// What an image may record about its backing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedName {
    /// This name, or the end of it as a relative path.
    Is(String),
    /// Any name: the caller knows better.
    Any,
}

/// A backing file, opened and locked by the caller.
#[derive(Debug)]
pub struct BackingFile {
    /// The open file.
    pub file: OwnedFd,
    /// How its content is stored.
    pub format: BackingFormat,
    /// What the image above may record.
    pub recorded: RecordedName,
}

/// A file of the chain.
pub(super) enum Layer {
    Qcow2(Box<Image>),
    Raw { storage: Storage, size: u64 },
}

impl Layer {
    pub(super) fn storage(&self) -> &Storage {
        match self {
            Self::Qcow2(image) => &image.storage,
            Self::Raw { storage, .. } => storage,
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Qcow2(image) => image.size(),
            Self::Raw { size, .. } => *size,
        }
    }

    fn map(&self, memo: &mut Memo, offset: u64, max: u64) -> io::Result<Extent> {
        match self {
            Self::Qcow2(image) => image.map(memo, offset, max),
            Self::Raw { size, .. } => {
                let place = Place::Data { at: offset, in_place: false };
                Ok(Extent { place, len: max.min(size - offset) })
            }
        }
    }
}

/// What a queue remembers of each layer.
pub(super) type Memos = Vec<Memo>;

/// A piece of the disk in one place of one layer. It is never a hole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) layer: usize,
    pub(super) extent: Extent,
}

/// An image and the files it is based on.
pub(super) struct Chain {
    pub(super) top: Image,
    pub(super) below: Vec<Layer>,
}

impl Chain {
    pub(super) fn open(top: OwnedFd, backing: &[BackingFile], read_only: bool) -> Result<Self, Qcow2Error> {
        if backing.len() > MAX_BACKING {
            return Err(Qcow2Error::backing(format!("more than {MAX_BACKING} backing files")));
        }
        // Everything is checked before the first image is written to.
        let mut below: Vec<Layer> = Vec::new();
        for file in backing {
            let copy = file.file.try_clone().map_err(Qcow2Error::host("open"))?;
            below.push(match file.format {
                BackingFormat::Qcow2 => Layer::Qcow2(Box::new(Image::open(copy, true)?)),
                BackingFormat::Raw => {
                    let storage = Storage::new(copy, true)?;
                    let size = storage.len();
                    Layer::Raw { storage, size }
                }
            });
        }
        let looked = Image::open(top.try_clone().map_err(Qcow2Error::host("open"))?, true)?;
        let mut above = Some(&looked);
        for (layer, file) in below.iter().zip(backing) {
            check_link(above, Some(file))?;
            above = match layer {
                Layer::Qcow2(image) => Some(image),
                Layer::Raw { .. } => None,
            };
        }
        check_link(above, None)?;
        check_bounds(&looked, &below)?;
        if read_only {
            return Ok(Self { top: looked, below });
        }
        // `looked` would give the lock back when dropped.
        looked.storage.disk().keep_lock();
        drop(looked);
        Ok(Self { top: Image::open(top, false)?, below })
    }

    pub(super) fn memos(&self) -> Memos {
        (0..=self.below.len()).map(|_| Memo::default()).collect()
    }

    pub(super) fn storage(&self, layer: usize) -> &Storage {
        layer.checked_sub(1).and_then(|at| self.below.get(at)).map_or(&self.top.storage, Layer::storage)
    }

    /// Whether all its files lie in the host's memory.
    pub(super) fn on_memory(&self) -> bool {
        (0..=self.below.len()).all(|layer| self.storage(layer).on_memory())
    }

    /// Where the bytes from `offset` on lie, as far as they lie in one place, at most `max`.
    pub(super) fn resolve(&self, memos: &mut Memos, offset: u64, max: u64) -> io::Result<Piece> {
        let mut memo = memos.iter_mut();
        let mut len = max;
        let mut fallback = Memo::default();
        let extent = self.top.map(memo.next().unwrap_or(&mut fallback), offset, len)?;
        if extent.place != Place::Hole {
            return Ok(Piece { layer: 0, extent });
        }
        len = extent.len;
        for (at, layer) in self.below.iter().enumerate() {
            if offset >= layer.size() {
                break;
            }
            len = len.min(layer.size() - offset);
            let extent = layer.map(memo.next().unwrap_or(&mut fallback), offset, len)?;
            if extent.place != Place::Hole {
                return Ok(Piece { layer: at + 1, extent });
            }
            len = extent.len;
        }
        Ok(Piece { layer: 0, extent: Extent { place: Place::Zero, len } })
    }

    /// Fills a buffer with the content of the disk from `offset` on. Returns whether all of it is known to be zero. What
    /// lies past the end of the disk is zero.
    pub(super) fn read(&self, memos: &mut Memos, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        let (mut at, mut rest, mut zero) = (offset, buffer, true);
        while !rest.is_empty() {
            let left = self.top.size().saturating_sub(at);
            if left == 0 {
                rest.fill(0);
                return Ok(zero);
            }
            let piece = self.resolve(memos, at, left.min(rest.len() as u64))?;
            let (now, later) = rest.split_at_mut(index(piece.extent.len).min(rest.len()));
            zero &= piece.extent.place == Place::Zero;
            self.read_piece(piece, at, now)?;
            at += now.len() as u64;
            rest = later;
        }
        Ok(zero)
    }

    /// Reads a piece that lies at `offset` of the disk.
    pub(super) fn read_piece(&self, piece: Piece, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match piece.extent.place {
            Place::Hole | Place::Zero => buffer.fill(0),
            Place::Data { at, .. } => self.storage(piece.layer).read(buffer, at)?,
            Place::Compressed { at, len } => {
                let image = self.image(piece.layer);
                let content = image.decompress(at, len)?;
                let within = index(image.geometry.within(offset));
                let content = content.get(within..).and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
        }
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(super) fn flush(&self) -> io::Result<()> {
        let completed = self.complete_some(usize::MAX);
        // What one cluster lacks keeps no other from the file.
        self.top.flush()?;
        completed
    }

    /// Completes what was written in part up to now, at most so many clusters.
    pub(super) fn complete_some(&self, clusters: usize) -> io::Result<()> {
        let (mut memos, mut copy) = (self.memos(), Vec::new());
        let mut result = Ok(());
        for cluster in self.top.partials.first(clusters) {
            let _guard = self.top.ranges.lock(cluster..cluster + 1);
            result = result.and(self.complete(&mut memos, cluster, &mut copy));
        }
        result
    }

    /// Copies what was not written of a cluster, whose range is locked, and lets the tables know of it. `copy`: room for it.
    pub(super) fn complete(&self, memos: &mut Memos, cluster: u64, copy: &mut Vec<u8>) -> io::Result<()> {
        let top = &self.top;
        let Some(partial) = top.partials.get(cluster) else { return Ok(()) };
        for gap in partial.gaps(top.geometry.cluster_size()) {
            copy.resize(index(gap.end - gap.start), 0);
            let zero = self.read(memos, top.geometry.start_of(cluster) + gap.start, copy)?;
            if !(zero && partial.fresh) {
                top.storage.write(copy, partial.at + gap.start)?;
            }
        }
        top.link_partial(cluster, partial.at)
    }

    fn image(&self, layer: usize) -> &Image {
        match layer.checked_sub(1).and_then(|at| self.below.get(at)) {
            Some(Layer::Qcow2(image)) => image,
            Some(Layer::Raw { .. }) | None => &self.top,
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if self.top.metadata.is_none() {
            return;
        }
        let completed = self.complete_some(usize::MAX);
        if let Err(error) = self.top.close().and(completed) {
            tracing::error!(%error, "tables of a disk image could not be written: its last writes are lost");
        }
    }
}

/// Compares what an image records with the file it is given. `above` is `None` for a raw file, which has no backing file.
fn check_link(above: Option<&Image>, file: Option<&BackingFile>) -> Result<(), Qcow2Error> {
    let recorded = above.and_then(|image| image.backing_name.as_deref());
    let (name, file) = match (recorded, file) {
        (None, None) => return Ok(()),
        (Some(name), None) => {
            return Err(Qcow2Error::backing(format!(
                "image names the backing file {:?}, which was not given: name it among the backing files",
                String::from_utf8_lossy(name)
            )));
        }
        (None, Some(_)) => {
            let what = "image has no backing file, but one was given: take it away";
            return Err(Qcow2Error::backing(what));
        }
        (Some(name), Some(file)) => (name, file),
    };
    let RecordedName::Is(expected) = &file.recorded else { return Ok(()) };
    if !is_name_of(name, expected) {
        return Err(Qcow2Error::backing(format!(
            "image names {:?} and not {expected:?}: give that file, or say which name is recorded",
            String::from_utf8_lossy(name)
        )));
    }
    let format = above.and_then(|image| image.backing_format.as_deref());
    match format {
        Some(format) if format != file.format.name().as_bytes() => Err(Qcow2Error::backing(format!(
            "image says that its backing file is {:?} and not {}: give that format",
            String::from_utf8_lossy(format),
            file.format.name()
        ))),
        _ => Ok(()),
    }
}

/// Whether an image that records `name` may mean the file `expected`. A relative name is relative to the folder of the
/// image, which is not known here: the end of the path must be the same.
fn is_name_of(name: &[u8], expected: &str) -> bool {
    if name == expected.as_bytes() {
        return true;
    }
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    plain && !name.is_empty() && Path::new(expected).ends_with(name)
}

fn check_bounds(top: &Image, below: &[Layer]) -> Result<(), Qcow2Error> {
    let mut seen = HashSet::from([top.storage.identity()]);
    let mut entries = l1_len(top);
    for layer in below {
        if !seen.insert(layer.storage().identity()) {
            return Err(Qcow2Error::backing("one file is in the chain twice: give each file once"));
        }
        if let Layer::Qcow2(image) = layer {
            entries += l1_len(image);
        }
        if layer.size() == 0 {
            return Err(BlockError::Empty.into());
        }
    }
    if entries > MAX_L1_ENTRIES {
        return Err(Qcow2Error::unsupported("L1 tables of more than 64 MiB in one chain"));
    }
    Ok(())
}

fn l1_len(image: &Image) -> usize {
    image.l1.read().unwrap_or_else(std::sync::PoisonError::into_inner).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file_if_it_is_equal_or_its_relative_end() {
        assert!(is_name_of(b"/a/base.qcow2", "/a/base.qcow2"));
        assert!(is_name_of(b"base.qcow2", "/a/base.qcow2"));
        assert!(is_name_of(b"a/base.qcow2", "/a/base.qcow2"));
        for other in [&b"/b/base.qcow2"[..], b"../a/base.qcow2", b"se.qcow2", b"", b"/", b"\xff", b"json:{}"]
        {
            assert!(!is_name_of(other, "/a/base.qcow2"), "{other:?}");
        }
    }
}
