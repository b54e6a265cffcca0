// SPDX-License-Identifier: Apache-2.0
//! The committed generated files are those of this source. With `FLOTILLA_GENERATE=1` they are written.

use std::path::Path;
use std::{env, fs};

use flotilla_spec::generate;

#[test]
fn committed_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let write = env::var("FLOTILLA_GENERATE").is_ok_and(|value| value == "1");
    for file in generate::files() {
        let path = root.join(file.path);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &file.content).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, file.content, "{} is out of date: run `npm run gen`", file.path);
    }
}
