// SPDX-License-Identifier: Apache-2.0
//! SHA-256 of a file.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cancel::Meter;
use crate::{Cancel, HostError, Progress, file};

const BUFFER: usize = 1 << 20;

/// The SHA-256 of a regular file, as 64 lower-case hexadecimal digits.
pub fn sha256(path: &Path, progress: Progress<'_>, cancel: &Cancel) -> Result<String, HostError> {
    let (mut file, size) = file::open_regular(path)?;
    let mut meter = Meter::start(progress, size);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let mut done = 0;
    loop {
        cancel.check()?;
        let taken = match file.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(HostError::file("read", path))?,
        };
        if taken == 0 {
            break;
        }
        hash.update(buffer.get(..taken).unwrap_or_default());
        done += taken as u64;
        meter.at(done);
    }
    meter.finish();
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_known_hash_and_stops_when_cancelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let hash = sha256(&path, &|_, _| {}, &Cancel::new()).unwrap();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(sha256(&path, &|_, _| {}, &cancel), Err(HostError::Aborted)));
        assert!(matches!(
            sha256(folder.path(), &|_, _| {}, &Cancel::new()),
            Err(HostError::NotRegular { .. })
        ));
    }
}
