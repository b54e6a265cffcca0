// SPDX-License-Identifier: Apache-2.0
//! Images that somebody made to break us: every one is refused or used, and nothing else happens.

use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use flotilla_device_model::block::BlockBackend;
use proptest::prelude::*;

use super::bench::{Bench, create, open};
use super::oracle;
use crate::{EngineChoice, Qcow2, Qcow2Create, Qcow2Options};

const SIZE: u64 = 256 << 10;

/// A small image in which most bytes are tables, with a snapshot and compressed clusters where QEMU can make them.
fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.qcow2");
        let text = path.to_str().unwrap();
        if oracle::is_there() {
            let raw = folder.path().join("raw");
            std::fs::write(&raw, vec![3; usize::try_from(SIZE / 2).unwrap()]).unwrap();
            let arguments =
                ["convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=512,lazy_refcounts=on"];
            oracle::qemu_img(&[&arguments[..], &[raw.to_str().unwrap(), text]].concat());
            oracle::qemu_img(&["resize", text, &SIZE.to_string()]);
            oracle::qemu_img(&["snapshot", "-c", "s", text]);
        } else {
            create(&path, &Qcow2Create { cluster_size: 512, ..Qcow2Create::new(SIZE) });
        }
        let mut bench = Bench::new(open(&path, &[], EngineChoice::Direct).unwrap());
        bench.write(1024, &[1; 9000 / 512 * 512]).unwrap();
        bench.close();
        std::fs::read(&path).unwrap()
    })
}

#[derive(Debug, Clone)]
struct Change {
    at: usize,
    value: u64,
    len: usize,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let value = prop_oneof![
        any::<u64>(),
        0_u64..20,
        // What looks like an entry of a table.
        (0_u64..300, 0_u64..4).prop_map(|(cluster, flags)| cluster << 9 | flags << 62),
        (any::<u64>(), 0_u64..4).prop_map(|(offset, flags)| (offset & 0x00ff_ffff_ffff_fe00) | flags << 62),
    ];
    let at = prop_oneof![1 => 0_usize..112, 2 => any::<usize>()];
    let change = (at, value, prop_oneof![Just(1_usize), Just(4), Just(8)])
        .prop_map(|(at, value, len)| Change { at, value, len });
    prop::collection::vec(change, 1..6)
}

/// What a guest may do. Errors are answers.
fn use_it(disk: Qcow2) {
    let size = disk.size();
    let mut bench = Bench::new(disk);
    let _ = bench.read(0, usize::try_from(size.min(SIZE)).unwrap());
    for at in [0, 512, 30 << 10, 200 << 10] {
        if at + 2048 <= size {
            let _ = bench.write(at, &[7; 2048]);
            let _ = bench.disk().write_zeroes(at + 1024, 1024, true);
            let _ = bench.disk().discard(at, 1024);
        }
    }
    if size >= 512 {
        let _ = bench.write(size - 512, &[7; 512]);
    }
    let _ = bench.disk().flush();
    if let Some(larger) = size.checked_add(512 << 10) {
        let _ = bench.disk().grow(larger);
    }
    let _ = bench.disk().flush();
    bench.close();
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 64, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn no_image_does_more_than_fail(changes in changes(), dirty in any::<bool>(), read_only in any::<bool>()) {
        let mut bytes = image().to_vec();
        if dirty {
            bytes[79] |= 1;
        }
        for Change { at, value, len } in changes {
            let at = at % (bytes.len() - 8);
            let value = value.to_be_bytes();
            bytes[at..at + len].copy_from_slice(&value[8 - len..]);
        }
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let options = Qcow2Options { read_only, engine: EngineChoice::Direct };
        if let Ok(disk) = Qcow2::open(file.try_clone().unwrap(), &[], options) {
            use_it(disk);
        }
        prop_assert!(file.metadata().unwrap().len() < 64 << 20, "the file grew without bound");
    }
}
