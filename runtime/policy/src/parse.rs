use serde_json::{Map, Value};

use crate::policy::step_place;
use crate::{Policy, PolicyError, Problem, Provenance, Step, Strength, SubPolicy};

/// The largest policy file that is read: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

pub(crate) const FORMAT: &str = "faa-policy";
pub(crate) const VERSION: u64 = 1;

impl Policy {
    /// Reads a policy file.
    ///
    /// Which ops exist is not known here: [`Policy::check`] and the executor look at that.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its place; numbers are never clamped.
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        if json.len() > MAX_BYTES {
            return Err(PolicyError::new(
                "",
                Problem::TooLarge { bytes: json.len() },
            ));
        }
        let root: Value = serde_json::from_slice(json)
            .map_err(|error| PolicyError::new("", Problem::NotJson(error.to_string())))?;
        let root = Object::new("", &root)?;
        check_header(&root)?;
        root.allow(&["format", "version", "name", "sub_policies", "provenance"])?;
        Ok(Self {
            name: root.string("name")?.to_owned(),
            sub_policies: parse_sub_policies(root.list("sub_policies")?)?,
            provenance: parse_provenance(&root)?,
        })
    }
}

fn check_header(root: &Object<'_>) -> Result<(), PolicyError> {
    let format = root.get("format")?;
    if format != FORMAT {
        return Err(PolicyError::new(
            "format",
            Problem::WrongFormat(format.to_string()),
        ));
    }
    let version = root.get("version")?;
    if *version != VERSION {
        return Err(PolicyError::new(
            "version",
            Problem::WrongVersion(version.to_string()),
        ));
    }
    Ok(())
}

fn parse_provenance(root: &Object<'_>) -> Result<Provenance, PolicyError> {
    match root.map.get("provenance") {
        None => Ok(Provenance::new()),
        Some(Value::Object(provenance)) => Ok(provenance.clone()),
        Some(_) => Err(wrong_type("provenance", "an object")),
    }
}

fn parse_sub_policies(sub_policies: &[Value]) -> Result<Vec<SubPolicy>, PolicyError> {
    let parse = |(i, steps): (usize, &Value)| {
        let place = format!("sub_policies[{i}]");
        let steps = steps
            .as_array()
            .ok_or_else(|| wrong_type(&place, "a list of steps"))?;
        if steps.is_empty() {
            return Err(PolicyError::new(place, Problem::Empty));
        }
        let step = |(j, step)| parse_step(&Object::new(step_place(i, j, ""), step)?);
        steps.iter().enumerate().map(step).collect()
    };
    sub_policies.iter().enumerate().map(parse).collect()
}

fn parse_step(step: &Object<'_>) -> Result<Step, PolicyError> {
    step.allow(&["op", "probability", "magnitude", "value"])?;
    let strength = match (
        step.map.contains_key("magnitude"),
        step.map.contains_key("value"),
    ) {
        (false, false) => Strength::Unstated,
        (true, false) => Strength::Magnitude(step.share("magnitude")?),
        (false, true) => Strength::Value(step.number("value")?),
        (true, true) => return Err(step.error("value", Problem::Both("magnitude"))),
    };
    Ok(Step {
        op: step.string("op")?.to_owned(),
        probability: step.share("probability")?,
        strength,
    })
}

/// A JSON object that knows where it stands in the file. `place` ends in a dot, or is empty.
struct Object<'a> {
    place: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    fn new(place: impl Into<String>, value: &'a Value) -> Result<Self, PolicyError> {
        let place = place.into();
        match value {
            Value::Object(map) => Ok(Self { place, map }),
            _ => Err(wrong_type(place.trim_end_matches('.'), "an object")),
        }
    }

    fn allow(&self, keys: &[&str]) -> Result<(), PolicyError> {
        match self.map.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(self.error(key, Problem::UnknownKey)),
            None => Ok(()),
        }
    }

    fn get(&self, key: &str) -> Result<&'a Value, PolicyError> {
        self.map
            .get(key)
            .ok_or_else(|| self.error(key, Problem::Missing))
    }

    fn string(&self, key: &str) -> Result<&'a str, PolicyError> {
        let expected = || {
            self.error(
                key,
                Problem::WrongType {
                    expected: "a string",
                },
            )
        };
        self.get(key)?.as_str().ok_or_else(expected)
    }

    fn list(&self, key: &str) -> Result<&'a [Value], PolicyError> {
        match self.get(key)? {
            Value::Array(list) if list.is_empty() => Err(self.error(key, Problem::Empty)),
            Value::Array(list) => Ok(list),
            _ => Err(self.error(key, Problem::WrongType { expected: "a list" })),
        }
    }

    fn number(&self, key: &str) -> Result<f64, PolicyError> {
        let expected = || {
            self.error(
                key,
                Problem::WrongType {
                    expected: "a number",
                },
            )
        };
        self.get(key)?.as_f64().ok_or_else(expected)
    }

    /// A number from 0 to 1.
    fn share(&self, key: &str) -> Result<f64, PolicyError> {
        let value = self.number(key)?;
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        let (low, high) = (0.0, 1.0);
        Err(self.error(key, Problem::OutOfRange { value, low, high }))
    }

    fn error(&self, key: &str, problem: Problem) -> PolicyError {
        PolicyError::new(format!("{}{key}", self.place), problem)
    }
}

fn wrong_type(place: &str, expected: &'static str) -> PolicyError {
    PolicyError::new(place, Problem::WrongType { expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(json: &str) -> String {
        Policy::parse(json.as_bytes()).unwrap_err().to_string()
    }

    fn with_step(step: &str) -> String {
        let fine = r#"[{"op": "Invert", "probability": 1}]"#;
        format!(
            r#"{{"format": "faa-policy", "version": 1, "name": "p",
                "sub_policies": [{fine}, [{{"op": "Invert", "probability": 0}}, {step}]]}}"#
        )
    }

    #[test]
    fn every_malformation_is_named_with_its_place() {
        let header = |rest: &str| format!(r#"{{"format": "faa-policy", "version": 1, {rest}}}"#);
        let cases = [
            ("[]".to_owned(), "expected an object"),
            (
                "{".to_owned(),
                "not valid JSON: EOF while parsing an object at line 1 column 1",
            ),
            ("{}".to_owned(), "format: missing"),
            (
                r#"{"format": "faa"}"#.to_owned(),
                r#"format: expected "faa-policy", found "faa""#,
            ),
            (r#"{"format": "faa-policy"}"#.to_owned(), "version: missing"),
            (
                r#"{"format": "faa-policy", "version": 2}"#.to_owned(),
                "version: version 2 is not supported, only 1 is",
            ),
            (header(r#""names": 1"#), "names: not a key of this format"),
            (header(r#""name": 1"#), "name: expected a string"),
            (header(r#""name": "p""#), "sub_policies: missing"),
            (
                header(r#""name": "p", "sub_policies": {}"#),
                "sub_policies: expected a list",
            ),
            (
                header(r#""name": "p", "sub_policies": []"#),
                "sub_policies: at least one element is needed",
            ),
            (
                header(r#""name": "p", "sub_policies": [[]]"#),
                "sub_policies[0]: at least one element is needed",
            ),
            (
                header(r#""name": "p", "sub_policies": [1]"#),
                "sub_policies[0]: expected a list of steps",
            ),
            (with_step("3"), "sub_policies[1][1]: expected an object"),
            (
                with_step(r#"{"probability": 1}"#),
                "sub_policies[1][1].op: missing",
            ),
            (
                with_step(r#"{"op": "Invert"}"#),
                "sub_policies[1][1].probability: missing",
            ),
            (
                with_step(r#"{"op": "Invert", "probability": "1"}"#),
                "sub_policies[1][1].probability: expected a number",
            ),
            (
                with_step(r#"{"op": "Rotate", "probability": 1, "magnitude": 1.7}"#),
                "sub_policies[1][1].magnitude: 1.7 is not within 0…1",
            ),
            (
                with_step(r#"{"op": "Rotate", "probability": -0.1, "magnitude": 1}"#),
                "sub_policies[1][1].probability: -0.1 is not within 0…1",
            ),
            (
                with_step(r#"{"op": "Rotate", "probability": 1, "magnitude": 1, "value": 2}"#),
                "sub_policies[1][1].value: cannot stand beside `magnitude`",
            ),
            (
                with_step(r#"{"op": "Rotate", "probability": 1, "magnitud": 1}"#),
                "sub_policies[1][1].magnitud: not a key of this format",
            ),
        ];
        for (json, message) in cases {
            assert_eq!(error_of(&json), message, "{json}");
        }
        let overflowing = with_step(r#"{"op": "Rotate", "probability": 1, "value": 1e999}"#);
        assert!(error_of(&overflowing).starts_with("not valid JSON: number out of range"));
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let large = vec![b' '; MAX_BYTES + 1];
        let error = Policy::parse(&large).unwrap_err();
        assert_eq!(
            *error.problem(),
            Problem::TooLarge {
                bytes: MAX_BYTES + 1
            }
        );
        let deep = format!(r#"{{"provenance": {}"#, "[".repeat(100_000));
        assert!(error_of(&deep).contains("recursion limit"));
    }

    #[test]
    fn what_is_written_is_read_back_exactly() {
        let step = |op: &str, probability, strength| Step {
            op: op.into(),
            probability,
            strength,
        };
        let policy = Policy {
            name: "a \"quoted\" näme".into(),
            sub_policies: vec![
                vec![
                    step("ShearX", 0.1 + 0.2, Strength::Magnitude(1.0 / 3.0)),
                    step("Rotate", 1.0, Strength::Value(-17.25)),
                ],
                vec![step("Invert", f64::MIN_POSITIVE, Strength::Unstated)],
            ],
            provenance: Provenance::from_iter([("seed".into(), 7.into())]),
        };
        assert_eq!(Policy::parse(policy.to_json().as_bytes()), Ok(policy));
    }
}
