// SPDX-License-Identifier: Apache-2.0
//! Images of ours and of QEMU's, each other's oracle.

mod bench;
mod formats;
mod hostile;
mod kill;
mod limits;
mod model;
mod oracle;
mod partial;
mod speed;
mod threads;
