//! The specifications that plugins return. Nothing in them is used before it is checked.

use faa_op::OpSpec;
use faa_op::abi::{MAX_NAME_CHARS, MAX_SPEC_DEPTH, MAX_SUMMARY_CHARS, MAX_UNIT_CHARS};
use faa_op::text::is_display_control;
use serde::Deserialize;
use serde_json::Value;

use crate::config::Limits;
use crate::error::SpecError;
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
/// [`SpecError`], the first that is found.
pub fn parse_spec(text: &[u8], limits: &Limits) -> Result<Vec<OpSpec>, SpecError> {
    if text.len() > limits.spec {
        let (found, limit) = (text.len(), limits.spec);
        return Err(SpecError::TooLong { found, limit });
    }
    let text = str::from_utf8(text).map_err(|_| SpecError::NotUtf8)?;
    check_depth(text)?;
    check_objects(text)?;
    let spec: PluginSpec = serde_json::from_str(text).map_err(not_json)?;
    let (found, limit) = (spec.ops.len(), limits.ops);
    if found == 0 {
        return Err(SpecError::NoOps);
    }
    if found > limit {
        return Err(SpecError::TooManyOps { found, limit });
    }
    for (op, raw) in spec.ops.iter().enumerate() {
        raw.check(op)?;
        let same = |other: &RawOp| other.name.eq_ignore_ascii_case(&raw.name);
        if spec.ops[..op].iter().any(same) {
            let name = raw.name.clone();
            return Err(SpecError::DuplicateName { op, name });
        }
    }
    Ok(spec.ops.into_iter().map(RawOp::into_spec).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_json(error: serde_json::Error) -> SpecError {
    SpecError::NotJson(clean_message(&error.to_string()))
}

/// serde would accept a list in place of an object, with the fields in order; the ABI does not.
fn check_objects(text: &str) -> Result<(), SpecError> {
    let spec: Value = serde_json::from_str(text).map_err(not_json)?;
    let ops = spec.get("ops").and_then(Value::as_array);
    if ops.is_some_and(|ops| ops.iter().all(Value::is_object)) {
        return Ok(());
    }
    let message = "expected an object with a list `ops` of objects";
    Err(SpecError::NotJson(message.to_owned()))
}

/// Counts brackets outside of strings. serde_json has a depth limit too, but a far higher one.
fn check_depth(text: &str) -> Result<(), SpecError> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_SPEC_DEPTH {
            let message = format!("lists and objects are nested more than {MAX_SPEC_DEPTH} deep");
            return Err(SpecError::NotJson(message));
        }
    }
    Ok(())
}

impl RawOp {
    fn check(&self, op: usize) -> Result<(), SpecError> {
        if !is_name(&self.name) {
            let name = self.name.chars().take(MAX_NAME_CHARS + 1).collect();
            return Err(SpecError::BadName { op, name });
        }
        for (key, text, limit) in [
            ("summary", &self.summary, MAX_SUMMARY_CHARS),
            ("unit", &self.unit, MAX_UNIT_CHARS),
        ] {
            if text.chars().count() > limit || text.contains(is_display_control) {
                return Err(SpecError::BadText { op, key, limit });
            }
        }
        let in_order = match (self.low, self.high) {
            (Some(low), Some(high)) => low <= high && (high - low).is_finite(),
            (None, None) => true,
            _ => false,
        };
        if !in_order {
            let name = self.name.clone();
            return Err(SpecError::BadRange { op, name });
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
        let specs = parse_spec(text, &Limits::default()).unwrap();
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
            let error = parse_spec(text.as_bytes(), &Limits::default()).unwrap_err();
            assert_eq!(error.code(), code, "{text:.80}");
        }
        let error = parse_spec(b"\xff", &Limits::default()).unwrap_err();
        assert_eq!(error, SpecError::NotUtf8);
    }
}
