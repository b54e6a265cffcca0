// SPDX-License-Identifier: Apache-2.0
//! The socket device.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::FileSource;

/// Sockets between programs of the guest (`AF_VSOCK`) and programs of the host (UNIX sockets).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VsockSpec {
    /// The listening UNIX socket for programs of the host. A path is made anew, at most 107 bytes long.
    pub socket: FileSource,
    /// The context id of the guest, 3 to 4294967294. Default: 3.
    #[serde(default = "first_cid")]
    #[ts(as = "Option<u32>", optional)]
    pub cid: u32,
    /// The most connections and waiting programs together, 1 to 3000. Default: 1023.
    #[serde(default = "usual_connections")]
    #[ts(as = "Option<u32>", optional)]
    pub max_connections: u32,
}

fn first_cid() -> u32 {
    3
}

fn usual_connections() -> u32 {
    1023
}
