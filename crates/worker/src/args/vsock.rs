// SPDX-License-Identifier: Apache-2.0
//! `--vsock`.

use flotilla_spec::{FileSource, VsockSpec};

pub(super) fn vsock(text: &str) -> Result<VsockSpec, String> {
    let mut path = None;
    let (mut cid, mut max_connections) = (3, 1023);
    let number = |value: &str| value.parse::<u32>().map_err(|error| format!("{value:?}: {error}"));
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("path", value)) => path = Some(value),
            Some(("cid", value)) => cid = number(value)?,
            Some(("connections", value)) => max_connections = number(value)?,
            _ => return Err(format!("{part:?} is no option of sockets: path, cid, connections")),
        }
    }
    let path = path.ok_or("path= is missing")?;
    Ok(VsockSpec { socket: FileSource::Path(path.into()), cid, max_connections })
}
