// SPDX-License-Identifier: Apache-2.0
//! The socket device.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{FileSource, MAX_VSOCK_CONNECTIONS};

/// The longest path of a socket in bytes: `sun_path` of unix(7) without the NUL.
pub(crate) const MAX_SOCKET_PATH: usize = 107;

/// 0 to 2 are the hypervisor, the guest itself and the host.
pub(crate) const FIRST_CID: u32 = 3;
/// The highest number stands for any context.
pub(crate) const LAST_CID: u32 = u32::MAX - 1;

/// Sockets between programs of the guest (`AF_VSOCK`) and programs of the host (UNIX sockets).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VsockSpec {
    /// The listening UNIX socket for programs of the host. A path is made anew, at most 107 bytes long.
    #[schemars(schema_with = "socket")]
    pub socket: FileSource,
    /// The context id of the guest, 3 to 4294967294. Default: 3.
    #[serde(default = "first_cid")]
    #[ts(as = "Option<u32>", optional)]
    #[schemars(range(min = FIRST_CID, max = LAST_CID))]
    pub cid: u32,
    /// The most connections and waiting programs together, 1 to 3000. Default: 1023.
    #[serde(default = "usual_connections")]
    #[ts(as = "Option<u32>", optional)]
    #[schemars(range(min = 1, max = MAX_VSOCK_CONNECTIONS))]
    pub max_connections: u32,
}

fn first_cid() -> u32 {
    FIRST_CID
}

fn usual_connections() -> u32 {
    1023
}

/// Paths of sockets are shorter than those of files.
fn socket(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<FileSource>();
    let path = serde_json::json!({ "path": { "type": "string", "maxLength": MAX_SOCKET_PATH } });
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), path);
    schema
}
