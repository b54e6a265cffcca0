// SPDX-License-Identifier: Apache-2.0
//! Writes every test guest as `<name>.elf` into the directory given as the only argument.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::{Context, bail};
use flotilla_test_guests::GUESTS;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        bail!("Usage: make-guests <directory>");
    };
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(&directory).with_context(|| format!("Cannot create {}", directory.display()))?;
    for guest in GUESTS {
        let path = directory.join(guest.name).with_extension("elf");
        std::fs::write(&path, guest.image()).with_context(|| format!("Cannot write {}", path.display()))?;
    }
    Ok(())
}
