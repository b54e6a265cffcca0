// SPDX-License-Identifier: Apache-2.0
//! `--share`.

use std::path::PathBuf;

use flotilla_spec::id::ShareTag;
use flotilla_spec::{FileSource, ShareSpec};

pub(super) fn share(text: &str) -> Result<ShareSpec, String> {
    let (mut path, mut tag, mut read_only) = (None, None, false);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("path", value)) => path = Some(PathBuf::from(value)),
            Some(("tag", value)) => tag = Some(value.to_owned()),
            None if part == "readonly" => read_only = true,
            _ => return Err(format!("{part:?} is no option of a shared folder: tag, path, readonly")),
        }
    }
    let path = path.ok_or("path= is missing")?;
    // A person's shell has a directory that paths begin at.
    let path = std::path::absolute(&path).map_err(|error| format!("path={}: {error}", path.display()))?;
    let tag = ShareTag(tag.ok_or("tag= is missing: the guest mounts the folder by it")?);
    Ok(ShareSpec { tag, source: FileSource::Path(path), read_only })
}
