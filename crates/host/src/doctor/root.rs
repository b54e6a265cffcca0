// SPDX-License-Identifier: Apache-2.0
//! Where /proc, /sys and /dev are looked for: tests put made-up ones elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the file system that is looked at.
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    #[cfg(test)]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The place of an absolute path.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A small file, trimmed; empty when it cannot be read.
    pub fn text(&self, path: impl AsRef<Path>) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default().trim().to_owned()
    }
}
