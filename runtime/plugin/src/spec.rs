//! The specifications that plugins return. Nothing in them is used before it is checked.

use std::fmt::Display;

use faa_op::OpSpec;
use faa_op::abi::{
    MAX_NAME_CHARS, MAX_OPS, MAX_SPEC_BYTES, MAX_SPEC_DEPTH, MAX_SUMMARY_CHARS, MAX_UNIT_CHARS,
};
use faa_op::text::is_display_control;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{PluginError, PluginErrorKind};
use crate::message::clean_message;

#[derive(Deserialize)]
struct PluginSpec {
    ops: Vec<RawOp>,
}

#[derive(Deserialize)]
struct RawOp {
    name: String,
    #[serde(default)]
    summary: String,
    low: Option<f64>,
    high: Option<f64>,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    mirrored: bool,
}

/// Parses the JSON text that a plugin returns, and checks everything in it.
///
/// # Errors
///
/// [`PluginErrorKind::Spec`], the first that is found.
pub fn parse_spec(text: &[u8]) -> Result<Vec<OpSpec>, PluginError> {
    check_length(text.len())?;
    let text = str::from_utf8(text).map_err(|_| invalid("spec-not-utf8", "it is not UTF-8"))?;
    check_shape(&serde_json::from_str(text).map_err(not_json)?)?;
    let PluginSpec { ops } = serde_json::from_str(text).map_err(not_json)?;
    if ops.is_empty() {
        return Err(invalid("spec-no-ops", "it has no op").into());
    }
    if ops.len() > MAX_OPS {
        let message = format!("it has {} ops, but the limit is {MAX_OPS}", ops.len());
        return Err(invalid("spec-too-many-ops", message).into());
    }
    for (number, op) in ops.iter().enumerate() {
        op.check(number)?;
        let same = |other: &RawOp| other.name.eq_ignore_ascii_case(&op.name);
        if ops[..number].iter().any(same) {
            let message = format!(
                "ops[{number}].name: `{}` is the name of an earlier op, or differs from it only in case",
                op.name
            );
            return Err(invalid("spec-duplicate-name", message).into());
        }
    }
    Ok(ops.into_iter().map(RawOp::into_spec).collect())
}

/// Checks the length of a specification, in bytes, before it is read.
pub(crate) fn check_length(length: usize) -> Result<(), PluginErrorKind> {
    if length > MAX_SPEC_BYTES {
        let message = format!("it has {length} bytes, but the limit is {MAX_SPEC_BYTES}");
        return Err(invalid("spec-too-long", message));
    }
    Ok(())
}

fn invalid(code: &'static str, message: impl Into<String>) -> PluginErrorKind {
    let message = message.into();
    PluginErrorKind::Spec { code, message }
}

fn not_json(error: impl Display) -> PluginErrorKind {
    let message = format!("it is not the JSON that the plugin ABI requires: {error}");
    invalid("spec-not-json", clean_message(&message))
}

/// serde would accept a list in place of an object, with the fields in order; the ABI does not. Its
/// own limit on depth, 128, is far higher than the ABI's.
fn check_shape(spec: &Value) -> Result<(), PluginErrorKind> {
    let ops = spec.get("ops").and_then(Value::as_array);
    if !ops.is_some_and(|ops| ops.iter().all(Value::is_object)) {
        return Err(not_json("expected an object with a list `ops` of objects"));
    }
    if depth(spec) > MAX_SPEC_DEPTH {
        let message = format!("lists and objects are nested more than {MAX_SPEC_DEPTH} deep");
        return Err(not_json(message));
    }
    Ok(())
}

/// The depth of nested lists and objects.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

impl RawOp {
    fn check(&self, op: usize) -> Result<(), PluginErrorKind> {
        let Self {
            name, low, high, ..
        } = self;
        if !is_name(name) {
            let shown: String = name.chars().take(MAX_NAME_CHARS + 1).collect();
            let message = format!(
                "ops[{op}].name: {shown:?} must begin with a letter A–Z or a–z, followed by at \
                 most 63 letters, digits and `_`"
            );
            return Err(invalid("spec-bad-name", message));
        }
        for (key, text, limit) in [
            ("summary", &self.summary, MAX_SUMMARY_CHARS),
            ("unit", &self.unit, MAX_UNIT_CHARS),
        ] {
            if text.chars().count() > limit || text.contains(is_display_control) {
                let message = format!(
                    "ops[{op}].{key}: at most {limit} characters, none of them a control character"
                );
                return Err(invalid("spec-bad-text", message));
            }
        }
        let in_order = match (low, high) {
            (Some(low), Some(high)) => low <= high && (high - low).is_finite(),
            (None, None) => true,
            _ => false,
        };
        if !in_order {
            let message = format!(
                "ops[{op}]: the range of `{name}` needs both `low` and `high`, with `low` ≤ `high` \
                 and a finite difference"
            );
            return Err(invalid("spec-bad-range", message));
        }
        Ok(())
    }

    fn into_spec(self) -> OpSpec {
        let mut spec = OpSpec::new(self.name, self.summary);
        if let (Some(low), Some(high)) = (self.low, self.high) {
            spec = spec.range(low, high, self.unit);
        }
        if self.mirrored { spec.mirrored() } else { spec }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_CHARS
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stated_is_taken_over() {
        let text = br#"{"version": 9, "ops": [
            {"name": "A_1", "summary": "does", "low": -1, "high": 2.5, "unit": "px", "mirrored": true},
            {"name": "b", "low": null, "high": null, "later": [{}]}]}"#;
        let specs = parse_spec(text).unwrap();
        let first = OpSpec::new("A_1", "does").range(-1.0, 2.5, "px").mirrored();
        assert_eq!(specs, [first, OpSpec::new("b", "")]);
    }

    #[test]
    fn each_malformation_has_its_code() {
        let op = |fields: &str| format!(r#"{{"ops":[{{{fields}}}]}}"#);
        let long = "x".repeat(65);
        let (open, close) = ("[".repeat(17), "]".repeat(17));
        let deep = format!(r#""name":"A","x":{open}0{close}"#);
        let wide = r#""name":"A","low":-1e308,"high":1e308"#;
        let many = vec![r#"{"name":"A"}"#; 65].join(",");
        let cases = [
            ("".to_owned(), "spec-not-json"),
            (r#"{"ops":[]}"#.to_owned(), "spec-no-ops"),
            ("{}".to_owned(), "spec-not-json"),
            (r#"[[["A"]]]"#.to_owned(), "spec-not-json"),
            (r#"{"ops":[["A"]]}"#.to_owned(), "spec-not-json"),
            (op(r#""name":"A","low":NaN,"high":1"#), "spec-not-json"),
            (op(r#""name":"A","low":0,"high":1e999"#), "spec-not-json"),
            (op(r#""name":"A","name":"B""#), "spec-not-json"),
            (op(r#""name":1"#), "spec-not-json"),
            (op(&deep), "spec-not-json"),
            (op(r#""name":"A","low":1"#), "spec-bad-range"),
            (op(r#""name":"A","low":1,"high":0"#), "spec-bad-range"),
            (op(wide), "spec-bad-range"),
            (
                op("\"name\":\"A\",\"unit\":\"a\u{202e}b\""),
                "spec-bad-text",
            ),
            (op(r#""name":"""#), "spec-bad-name"),
            (op(r#""name":"1A""#), "spec-bad-name"),
            (op(r#""name":"A b""#), "spec-bad-name"),
            (op(r#""name":"É""#), "spec-bad-name"),
            (op(&format!(r#""name":"{long}""#)), "spec-bad-name"),
            (op(r#""name":"A","summary":"a\nb""#), "spec-bad-text"),
            (
                op(&format!(r#""name":"A","unit":"{long}""#)),
                "spec-bad-text",
            ),
            (
                r#"{"ops":[{"name":"A"},{"name":"A"}]}"#.to_owned(),
                "spec-duplicate-name",
            ),
            (
                r#"{"ops":[{"name":"Aa"},{"name":"aA"}]}"#.to_owned(),
                "spec-duplicate-name",
            ),
            (
                op("\"name\":\"A\",\"summary\":\"a\u{e0041}b\""),
                "spec-bad-text",
            ),
            (op("\"name\":\"A\",\"unit\":\"\u{3164}\""), "spec-bad-text"),
            (" ".repeat((64 << 10) + 1), "spec-too-long"),
            (format!(r#"{{"ops":[{many}]}}"#), "spec-too-many-ops"),
        ];
        for (text, code) in cases {
            let error = parse_spec(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), code, "{text:.80}");
        }
        let error = parse_spec(b"\xff").unwrap_err();
        assert_eq!(error.code(), "spec-not-utf8");
    }
}
