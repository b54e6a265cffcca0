// SPDX-License-Identifier: Apache-2.0
//! JSON-RPC 2.0 messages as they stand in a frame.

use flotilla_spec::code::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The JSON-RPC code of errors with a code of our own in `data`.
const APPLICATION_ERROR: i64 = -32000;

/// A request of the client. Ids are numbers: both ends are ours.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub jsonrpc: Version,
    pub id: u64,
    pub method: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// The text `2.0`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Version {
    #[serde(rename = "2.0")]
    Two,
}

impl Request {
    pub fn new(id: u64, method: &str, params: Value) -> Self {
        Self { jsonrpc: Version::Two, id, method: method.to_owned(), params }
    }

    pub fn parse(payload: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(payload)
            .map_err(|error| protocol(format!("Message is no JSON-RPC request: {error}")))
    }
}

/// What the worker sends.
#[derive(Debug, PartialEq)]
pub(crate) enum Incoming {
    /// An answer. The id is absent when the request could not be read.
    Answer { id: Option<u64>, result: Result<Value, Failure> },
    /// A notification.
    Notification { method: String, params: Value },
}

#[derive(Deserialize)]
struct RawIncoming {
    #[serde(rename = "jsonrpc")]
    _version: Version,
    id: Option<u64>,
    method: Option<String>,
    params: Option<Value>,
    result: Option<Value>,
    error: Option<RawError>,
}

#[derive(Deserialize)]
struct RawError {
    message: String,
    data: Option<Value>,
}

impl Incoming {
    pub fn parse(payload: &[u8]) -> Result<Self, Failure> {
        let raw: RawIncoming = serde_json::from_slice(payload)
            .map_err(|error| protocol(format!("Worker sent no JSON-RPC: {error}")))?;
        let RawIncoming { id, method, params, result, error, .. } = raw;
        match (method, error) {
            (Some(method), _) => Ok(Self::Notification { method, params: params.unwrap_or_default() }),
            (None, Some(error)) => Ok(Self::Answer { id, result: Err(error.into_failure()) }),
            (None, None) => Ok(Self::Answer { id, result: Ok(result.unwrap_or_default()) }),
        }
    }
}

impl RawError {
    /// A newer worker may send a code that this build does not know: its text is kept.
    fn into_failure(self) -> Failure {
        let known = self.data.and_then(|data| serde_json::from_value(data).ok());
        known.unwrap_or_else(|| protocol(self.message))
    }
}

pub(crate) fn answer(id: Option<u64>, result: Result<Value, Failure>) -> Vec<u8> {
    let message = match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(failure) => json!({
            "jsonrpc": "2.0", "id": id,
            "error": { "code": APPLICATION_ERROR, "message": failure.message, "data": failure },
        }),
    };
    message.to_string().into_bytes()
}

pub(crate) fn notification(method: &str, params: &Value) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string().into_bytes()
}

pub(crate) fn protocol(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::WorkerProtocol, message)
}
