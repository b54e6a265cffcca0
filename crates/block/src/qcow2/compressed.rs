// SPDX-License-Identifier: Apache-2.0
//! Compressed clusters. Whatever the input, no more than one cluster comes out and no more memory than that is used.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::bytes::index;
use super::error::damaged;
use super::header::Compression;
use super::storage::Storage;

/// Where a cluster lies, and its content.
type Recent = Option<(u64, Arc<[u8]>)>;

/// The cluster that was last decompressed: who reads a disk in order asks many times for the same.
///
/// It cannot go stale: a place in the file that once held a compressed cluster never holds another one, because we
/// write none.
#[derive(Default)]
pub(super) struct Decompressor {
    recent: Mutex<Recent>,
}

impl Decompressor {
    /// The content of the compressed cluster at `at`, of which at most `len` bytes are read.
    pub(super) fn cluster(
        &self,
        storage: &Storage,
        kind: Compression,
        (at, len): (u64, u64),
        cluster_size: u64,
    ) -> io::Result<Arc<[u8]>> {
        if let Some((place, content)) = &*self.recent.lock().unwrap_or_else(PoisonError::into_inner)
            && *place == at
        {
            return Ok(Arc::clone(content));
        }
        // The last sector may reach past the end of the file, and nothing needs to lie there.
        let len = len.min(storage.len().saturating_sub(at)).min(2 * cluster_size + 512);
        let mut input = vec![0; index(len)];
        storage.read(&mut input, at)?;
        let mut output = vec![0; index(cluster_size)];
        match kind {
            Compression::Zlib => inflate(&input, &mut output)?,
            Compression::Zstd => unpack(&input, &mut output)?,
        }
        let content: Arc<[u8]> = output.into();
        *self.recent.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, Arc::clone(&content)));
        Ok(content)
    }
}

/// Raw deflate, as the format wants it: no zlib header, no check sum.
fn inflate(input: &[u8], output: &mut [u8]) -> io::Result<()> {
    let mut state = Box::<DecompressorOxide>::default();
    let wanted = output.len();
    let (status, _, written) =
        decompress(&mut state, input, output, 0, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    match status {
        TINFLStatus::Done | TINFLStatus::HasMoreOutput if written == wanted => Ok(()),
        _ => Err(damaged("compressed cluster does not decompress")),
    }
}

/// One frame or several, and whatever fills the last sector.
fn unpack(input: &[u8], output: &mut [u8]) -> io::Result<()> {
    let broken = || damaged("compressed cluster does not decompress");
    let (mut rest, mut place) = (input, output);
    while !place.is_empty() {
        let len = zstd_safe::find_frame_compressed_size(rest).map_err(|_| broken())?;
        let frame = rest.get(..len).ok_or_else(broken)?;
        // In one go into the final place: no window is allocated, whatever the frame asks for.
        let written = zstd_safe::decompress(place, frame).map_err(|_| broken())?;
        if len == 0 || written == 0 {
            return Err(broken());
        }
        rest = rest.get(len..).unwrap_or_default();
        place = place.get_mut(written..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zstd(data: &[u8]) -> Vec<u8> {
        let mut packed = vec![0; data.len() + 1024];
        let len = zstd_safe::compress(&mut packed[..], data, 3).unwrap();
        packed.truncate(len);
        packed
    }

    #[test]
    fn frames_may_follow_one_another_and_be_followed_by_anything() {
        let data: Vec<u8> = (0..4096_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut packed = zstd(&data[..1000]);
        packed.extend(zstd(&data[1000..]));
        packed.extend([0xa5; 300]);
        let mut output = vec![0; 4096];
        unpack(&packed, &mut output).unwrap();
        assert_eq!(output, data);
        assert!(unpack(&zstd(&data), &mut vec![0; 4095]).is_err(), "more than a cluster");
        assert!(unpack(&zstd(&data), &mut vec![0; 4097]).is_err(), "less than a cluster");
    }

    proptest! {
        #[test]
        fn garbage_is_an_error(input in prop::collection::vec(any::<u8>(), 0..600), flip in any::<usize>()) {
            let _ = inflate(&input, &mut vec![0; 4096]);
            let _ = unpack(&input, &mut vec![0; 4096]);
            let mut packed = zstd(&[7; 4096]);
            let at = flip % packed.len();
            packed[at] ^= 0x55;
            let _ = unpack(&packed, &mut vec![0; 4096]);
        }
    }
}
