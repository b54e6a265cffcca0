// SPDX-License-Identifier: Apache-2.0
//! Opens the folder that shall be shared.
//!
//! Where only some folders may be shared, the way from such a root to the folder is walked once and never leaves the root: the
//! guest of another machine may hold the same root, and put a symbolic link where a folder was a moment ago. Where one root lies
//! in another, that holds for the inner one as well, so the way begins at the outermost.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::ShareError;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Which folders may be shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Folders {
    /// None.
    #[default]
    Nothing,
    /// What is in one of these, or is one of them.
    Below(Vec<PathBuf>),
    /// Any that whoever asks can open: a person's own shell.
    Anything,
}

/// Opens a folder, by an absolute path.
pub fn open(path: &Path, allowed: &Folders) -> Result<OwnedFd, ShareError> {
    match allowed {
        Folders::Nothing => Err(ShareError::Forbidden),
        Folders::Anything => rustix::fs::open(path, FOLDER, Mode::empty()).map_err(refusal),
        Folders::Below(roots) => below(path, roots),
    }
}

fn below(path: &Path, roots: &[PathBuf]) -> Result<OwnedFd, ShareError> {
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(ShareError::Forbidden);
    }
    let outermost =
        roots.iter().filter(|root| path.starts_with(root)).min_by_key(|root| root.components().count());
    let root = outermost.ok_or(ShareError::Forbidden)?;
    let rest = path.strip_prefix(root).map_err(|_| ShareError::Forbidden)?;
    let root = rustix::fs::open(root, FOLDER, Mode::empty()).map_err(refusal)?;
    if rest.as_os_str().is_empty() {
        return Ok(root);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(&root, rest, FOLDER, Mode::empty(), resolve) {
            // Something was renamed on the way.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP) => return Err(ShareError::Forbidden),
            opened => return opened.map_err(refusal),
        }
    }
}

fn refusal(error: rustix::io::Errno) -> ShareError {
    let source = io::Error::from(error);
    match source.kind() {
        io::ErrorKind::NotFound => ShareError::Absent(source),
        io::ErrorKind::NotADirectory => ShareError::NotFolder(source),
        io::ErrorKind::PermissionDenied => ShareError::Denied(source),
        _ => ShareError::Host { step: "open the folder for", source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn code(path: &Path, allowed: &Folders) -> &'static str {
        open(path, allowed).unwrap_err().code()
    }

    #[test]
    fn nothing_is_shared_unless_somebody_allows_it() {
        assert_eq!(code(Path::new("/tmp"), &Folders::default()), "share.forbidden");
        assert_eq!(code(Path::new("/tmp"), &Folders::Below(Vec::new())), "share.forbidden");
        assert!(open(Path::new("/tmp"), &Folders::Anything).is_ok());
    }

    #[test]
    fn no_way_leads_out_of_a_root() {
        let top = tempfile::tempdir().unwrap();
        let (root, outside) = (top.path().join("root"), top.path().join("outside"));
        fs::create_dir_all(root.join("in/deep")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::create_dir(top.path().join("root-of-another")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        symlink(&outside, root.join("absolute")).unwrap();
        symlink("../outside", root.join("relative")).unwrap();
        symlink("in/deep", root.join("within")).unwrap();
        let allowed = Folders::Below(vec![root.clone()]);
        let refused = ["absolute", "relative", "in/../../outside", "..", "in/../within", "absolute/."];
        for path in refused {
            assert_eq!(code(&root.join(path), &allowed), "share.forbidden", "{path}");
        }
        for path in [outside, top.path().join("root-of-another"), top.path().to_owned(), "root".into()] {
            assert_eq!(code(&path, &allowed), "share.forbidden", "{path:?}");
        }
        assert_eq!(code(&root.join("nothing"), &allowed), "file.missing");
        assert_eq!(code(&root.join("file"), &allowed), "share.not_folder");
        assert!(open(&root, &allowed).is_ok());
        let opened = open(&root.join("within"), &allowed).unwrap();
        let found = fs::File::from(opened).metadata().unwrap().ino();
        assert_eq!(found, fs::metadata(root.join("in/deep")).unwrap().ino());
    }

    #[test]
    fn a_root_in_another_is_only_as_good_as_the_way_to_it() {
        let top = tempfile::tempdir().unwrap();
        let (root, inner) = (top.path().join("root"), top.path().join("root/inner"));
        fs::create_dir_all(inner.join("deep")).unwrap();
        fs::create_dir_all(top.path().join("outside/deep")).unwrap();
        let allowed = Folders::Below(vec![inner.clone(), root]);
        assert!(open(&inner.join("deep"), &allowed).is_ok());
        // As a guest that holds the outer one can.
        fs::rename(&inner, top.path().join("root/away")).unwrap();
        symlink(top.path().join("outside"), &inner).unwrap();
        for path in [inner.join("deep"), inner] {
            assert_eq!(code(&path, &allowed), "share.forbidden", "{path:?}");
        }
    }
}
