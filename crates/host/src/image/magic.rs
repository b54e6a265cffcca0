// SPDX-License-Identifier: Apache-2.0
//! Magic numbers of files that users mistake for one another.

const COMPRESSED: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"\x89LZO", "lzo"),
    (b"\x5d\0\0", "lzma"),
];

const CPIO: &[&[u8]] = &[b"070701", b"070702"];

const DISKS: &[(&[u8], &str)] = &[
    (b"QFI\xfb", "a qcow image"),
    (b"KDMV", "a VMDK image"),
    (b"vhdxfile", "a VHDX image"),
    (b"conectix", "a VHD image"),
    (b"<<< ", "a VirtualBox image"),
    (b"QED\0", "a QED image"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x7fELF", "an ELF program"),
];

/// The form of an initial RAM disk, if it is one. The kernel takes cpio archives, plain or compressed, one after
/// another with zero bytes between.
pub fn initrd(start: &[u8]) -> Option<&'static str> {
    let skip = start.iter().position(|byte| *byte != 0)?;
    let start = start.get(skip..)?;
    if CPIO.iter().any(|magic| start.starts_with(magic)) {
        return Some("cpio archive");
    }
    let found = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic))?;
    Some(found.1)
}

/// What a disk holds that is no raw disk.
pub fn other_disk(start: &[u8]) -> Option<&'static str> {
    DISKS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| *name)
}

/// A few words on any file, for messages.
pub fn describe(start: &[u8]) -> &'static str {
    if start.is_empty() {
        return "empty";
    }
    if let Some(name) = other_disk(start) {
        return name;
    }
    if let Some(name) = initrd(start) {
        return if name == "cpio archive" { "a cpio archive" } else { "compressed data" };
    }
    if start.get(0x1fe..0x200) == Some(b"\x55\xaa") {
        return "a disk with a boot sector";
    }
    let text =
        |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n') || *byte >= 0x80;
    if start.iter().all(text) { "text" } else { "data of no known format" }
}
