// SPDX-License-Identifier: Apache-2.0
//! The log on the standard error, bounded: a guest or a client that makes the worker talk cannot fill the disk.

use std::io::{self, Stderr, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes that a worker logs in its life.
const MAX_LOG: usize = 1 << 20;
const FULL: &[u8] = b"log is full: nothing more is written\n";

/// Logs to the standard error from now on.
pub fn start(level: LevelFilter) {
    let log = tracing_subscriber::fmt().with_ansi(false).with_target(false).with_max_level(level);
    // Only the first call of a process counts.
    let _ = log.with_writer(Bounded::default()).try_init();
}

#[derive(Default)]
struct Bounded {
    written: AtomicUsize,
}

struct Writer<'a> {
    bound: &'a AtomicUsize,
    stderr: Stderr,
}

impl<'a> MakeWriter<'a> for Bounded {
    type Writer = Writer<'a>;

    fn make_writer(&'a self) -> Writer<'a> {
        Writer { bound: &self.written, stderr: io::stderr() }
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.bound.load(Ordering::Relaxed);
        if before > MAX_LOG {
            return Ok(bytes.len());
        }
        self.bound.fetch_add(bytes.len(), Ordering::Relaxed);
        let text = if before.saturating_add(bytes.len()) > MAX_LOG { FULL } else { bytes };
        self.stderr.write_all(text).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr.flush()
    }
}
