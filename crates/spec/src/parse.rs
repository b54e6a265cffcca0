// SPDX-License-Identifier: Apache-2.0
//! From JSON text to a specification, with the place of what does not fit.

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::code::ErrorCode;
use crate::{MachineSpec, Violation};

/// A text taken over from the input is cut to this many characters.
const MAX_QUOTE: usize = 200;

impl MachineSpec {
    /// Reads a specification from JSON text. The values are still unchecked: see [`MachineSpec::validate`].
    ///
    /// # Errors
    /// The first thing that does not fit, with its JSON path.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, Violation> {
        from_json(text.as_ref())
    }

    /// Reads a specification from a JSON value, as [`MachineSpec::from_json`] does.
    ///
    /// # Errors
    /// The first thing that does not fit, with its JSON path.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, Violation> {
        // Through text: a second reader for all these types would be a quarter of a megabyte of code in each worker.
        from_json(value.to_string().as_bytes()).map_err(without_place)
    }
}

fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Violation> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| violation(error.path(), error.inner()))?;
    json.end().map_err(|error| violation_at("$", &error))?;
    Ok(value)
}

/// Leaves out the line and column in a text that nobody has seen.
fn without_place(mut violation: Violation) -> Violation {
    let place = violation.message.rfind(" at line 1 column ");
    violation.message.truncate(place.unwrap_or(violation.message.len()));
    violation
}

fn violation(path: &Path, error: &serde_json::Error) -> Violation {
    let text = error.to_string();
    // A missing or repeated field is reported at the object around it; the path shall name the field.
    match quoted_after(&text, "missing field `").or_else(|| quoted_after(&text, "duplicate field `")) {
        Some(name) => violation_at(&format!("{}.{name}", render(path, 0)), error),
        // An unknown field is already the end of the path; an unknown variant is a value, not a place.
        None if text.starts_with("unknown variant") => violation_at(&render(path, enum_tail(path)), error),
        None => violation_at(&render(path, 0), error),
    }
}

fn violation_at(path: &str, error: &serde_json::Error) -> Violation {
    let text = error.to_string();
    let code = match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => ErrorCode::SpecMalformed,
        Category::Data => data_code(&text, path),
    };
    Violation::new(code, path, cut(&text))
}

/// The cause of a shape error, as serde words it (`serde::de::Error`).
fn data_code(text: &str, path: &str) -> ErrorCode {
    if text.starts_with("unknown field") {
        ErrorCode::SpecUnknownField
    } else if text.starts_with("missing field") {
        ErrorCode::SpecMissingField
    } else if text.starts_with("duplicate field") {
        ErrorCode::SpecDuplicateField
    } else if text.starts_with("invalid type") {
        ErrorCode::SpecInvalidType
    } else if text.starts_with("MAC address") {
        ErrorCode::SpecMacInvalid
    } else if path == "$.cpus" && text.starts_with("invalid value") {
        ErrorCode::SpecCpusOutOfRange
    } else if path == "$.memory" && text.starts_with("invalid value") {
        ErrorCode::SpecMemoryTooSmall
    } else {
        ErrorCode::SpecInvalidValue
    }
}

/// How many segments at the end of a path stand for the variant that was refused.
fn enum_tail(path: &Path) -> usize {
    usize::from(matches!(path.iter().next_back(), Some(Segment::Enum { .. })))
}

fn render(path: &Path, without: usize) -> String {
    let segments: Vec<&Segment> = path.iter().collect();
    let kept = segments.len().saturating_sub(without);
    let mut text = String::from("$");
    for segment in segments.into_iter().take(kept) {
        match segment {
            Segment::Seq { index } => text.push_str(&["[", &index.to_string(), "]"].concat()),
            Segment::Map { key } => push_key(&mut text, key),
            Segment::Enum { variant } => push_key(&mut text, variant),
            Segment::Unknown => {}
        }
    }
    text
}

fn push_key(text: &mut String, key: &str) {
    let plain =
        !key.is_empty() && key.len() <= 64 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain {
        text.push('.');
        text.push_str(key);
    } else {
        text.push_str(&["[", &serde_json::Value::from(cut(key)).to_string(), "]"].concat());
    }
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split('`').next()
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_QUOTE).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
