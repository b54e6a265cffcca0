// SPDX-License-Identifier: Apache-2.0
use std::fs;

use flotilla_spec::code::ErrorCode;

use super::*;

fn inspected(content: &[u8], kind: ImageKind) -> Result<ImageFormat, ErrorCode> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    inspect(file.path(), kind).map(|info| info.format).map_err(|error| error.code())
}

/// A setup header that promises 5 sectors and 256 bytes.
fn bzimage() -> Vec<u8> {
    let mut file = vec![0; 5 * 512 + 256];
    file[0x1f1] = 4;
    file[0x1f4..0x1f8].copy_from_slice(&16u32.to_le_bytes());
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
    file[0x211] = 1;
    file[0x236] = 1;
    file
}

/// An ELF header, one program header, 16 bytes of code.
fn elf() -> Vec<u8> {
    let mut file = vec![0; 64 + 56 + 16];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[16..20].copy_from_slice(&[2, 0, 62, 0]);
    file[32] = 64;
    file[54] = 56;
    file[56] = 1;
    file[64] = 1;
    file[64 + 8] = 120;
    file[64 + 32] = 16;
    file
}

#[test]
fn knows_kernels() {
    assert_eq!(inspected(&bzimage(), ImageKind::Kernel), Ok(ImageFormat::Bzimage));
    assert_eq!(inspected(&elf(), ImageKind::Kernel), Ok(ImageFormat::Elf));
}

#[test]
fn tells_a_truncated_kernel_from_a_wrong_file() {
    let truncated = Err(ErrorCode::KernelTruncated);
    let unrecognised = Err(ErrorCode::KernelUnrecognised);
    let image = bzimage();
    for length in [0x210, 0x250, 1024, image.len() - 1] {
        assert_eq!(inspected(&image[..length], ImageKind::Kernel), truncated, "bzImage of {length}");
    }
    let program = elf();
    for length in [4, 63, 100, program.len() - 1] {
        assert_eq!(inspected(&program[..length], ImageKind::Kernel), truncated, "ELF of {length}");
    }
    for content in [&b""[..], b"#!/bin/sh\necho no kernel\n", b"\x1f\x8bzip", b"070701", &[0; 4096], b"HdrS"]
    {
        assert_eq!(inspected(content, ImageKind::Kernel), unrecognised);
    }
}

#[test]
fn refuses_hostile_headers() {
    for (at, value) in [(4, 1), (5, 2), (16, 1), (18, 40), (54, 0), (56, 0), (57, 0xff)] {
        let mut file = elf();
        file[at] = value;
        assert_eq!(inspected(&file, ImageKind::Kernel), Err(ErrorCode::KernelUnrecognised), "byte {at}");
    }
    let mut overflow = elf();
    overflow[64 + 8..64 + 16].fill(0xff);
    assert_eq!(inspected(&overflow, ImageKind::Kernel), Err(ErrorCode::KernelUnrecognised));
    let mut far = elf();
    far[32..40].fill(0xff);
    assert_eq!(inspected(&far, ImageKind::Kernel), Err(ErrorCode::KernelTruncated));
    let mut old = bzimage();
    old[0x206..0x208].copy_from_slice(&0x0204u16.to_le_bytes());
    assert_eq!(inspected(&old, ImageKind::Kernel), Err(ErrorCode::KernelUnrecognised));
}

#[test]
fn knows_initrds_and_disks() {
    assert_eq!(inspected(b"070701rest", ImageKind::Initrd), Ok(ImageFormat::Initrd));
    assert_eq!(inspected(b"\x28\xb5\x2f\xfdrest", ImageKind::Initrd), Ok(ImageFormat::Initrd));
    assert_eq!(inspected(b"no archive", ImageKind::Initrd), Err(ErrorCode::ImageUnrecognised));
    assert_eq!(inspected(&[0; 4096], ImageKind::Disk), Ok(ImageFormat::Raw));
    assert_eq!(inspected(&[0; 4095], ImageKind::Disk), Err(ErrorCode::ImageTruncated));
    assert_eq!(inspected(b"", ImageKind::Disk), Err(ErrorCode::ImageUnrecognised));
    let mut qcow = vec![0; 4096];
    qcow[..4].copy_from_slice(b"QFI\xfb");
    assert_eq!(inspected(&qcow, ImageKind::Disk), Err(ErrorCode::ImageUnrecognised));
}

#[test]
fn refuses_what_is_no_file() {
    let code = |path: &str| inspect(Path::new(path), ImageKind::Kernel).unwrap_err().code();
    assert_eq!(code("/"), ErrorCode::FileNotRegular);
    assert_eq!(code("/dev/zero"), ErrorCode::FileNotRegular);
    assert_eq!(code("/nonexistent"), ErrorCode::FileMissing);
    assert_eq!(code("/etc/hostname/x"), ErrorCode::FileNotRegular);
}
