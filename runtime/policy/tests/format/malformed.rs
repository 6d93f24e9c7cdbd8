//! A test for every kind of error that the parser reports.

use faa_policy::{MAX_BYTES, MAX_DEPTH, Policy, PolicyError, PolicyErrorKind as Kind};

fn error(json: &str) -> PolicyError {
    Policy::parse(json.as_bytes()).unwrap_err()
}

#[track_caller]
fn refused(json: &str, path: &str, kind: &Kind) {
    let error = error(json);
    assert_eq!((error.path(), error.kind()), (path, kind), "{json}");
    let by_serde = serde_json::from_str::<Policy>(json)
        .unwrap_err()
        .to_string();
    // The size of a text is unknown to serde.
    let same = by_serde.contains(&error.to_string()) || matches!(kind, Kind::TooLarge { .. });
    assert!(same, "{json}: {by_serde}");
}

fn with(rest: &str) -> String {
    format!(r#"{{"format": "faa-policy", "version": 1, "name": "p", {rest}}}"#)
}

fn with_step(step: &str) -> String {
    with(&format!(
        r#""sub_policies": [[{{"op": "Invert", "probability": 1}}],
            [{{"op": "Invert", "probability": 0}}, {step}]]"#
    ))
}

fn with_sampler(sampler: &str) -> String {
    with(&format!(r#""sampler": {{{sampler}}}"#))
}

fn with_op(op: &str) -> String {
    with_sampler(&format!(
        r#""count": 1, "bins": 2, "ops": [{{"op": "Invert"}}, {op}]"#
    ))
}

#[test]
#[cfg_attr(miri, ignore = "reading a file of the largest size takes an hour")]
fn too_large() {
    let bytes = MAX_BYTES + 1;
    refused(&" ".repeat(bytes), "", &Kind::TooLarge { bytes });
    let mut json = with_step(r#"{"op": "A", "probability": 1}"#);
    json.push_str(&" ".repeat(MAX_BYTES - json.len()));
    assert!(Policy::parse(json.as_bytes()).is_ok());
}

#[test]
fn too_deep() {
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        with(&format!(
            r#""sub_policies": [[{{"op": "A", "probability": 1}}]],
               "provenance": {{"deep": {open}{close}}}"#
        ))
    };
    // The file and its provenance are two levels of their own.
    assert!(Policy::parse(deep(MAX_DEPTH - 2).as_bytes()).is_ok());
    refused(&deep(MAX_DEPTH - 1), "", &Kind::TooDeep);
    refused(&"[".repeat(100_000), "", &Kind::TooDeep);
}

#[test]
fn not_json() {
    for json in ["", "{", "nothing", "{} {}", "{\"a\": 1e999}", "\"\\ud800\""] {
        let error = error(json);
        assert_eq!(error.path(), "");
        assert!(matches!(error.kind(), Kind::NotJson(_)), "{error}");
    }
    assert_eq!(
        error("{").to_string(),
        "not valid JSON: EOF while parsing an object at line 1 column 1"
    );
    let error = Policy::parse(b"\"\xff\"").unwrap_err();
    assert!(matches!(error.kind(), Kind::NotJson(_)), "{error}");
}

#[test]
fn wrong_format() {
    let kind = Kind::WrongFormat("\"faa\"".into());
    refused(r#"{"format": "faa"}"#, "format", &kind);
    refused(r#"{"format": 1}"#, "format", &Kind::WrongFormat("1".into()));
}

#[test]
fn wrong_version() {
    for version in ["0", "2", "1.0", "\"1\"", "-1"] {
        let json = format!(r#"{{"format": "faa-policy", "version": {version}}}"#);
        refused(&json, "version", &Kind::WrongVersion(version.into()));
    }
}

#[test]
fn missing() {
    refused("{}", "format", &Kind::Missing);
    refused(r#"{"format": "faa-policy"}"#, "version", &Kind::Missing);
    refused(
        r#"{"format": "faa-policy", "version": 1}"#,
        "name",
        &Kind::Missing,
    );
    for (step, key) in [
        (r#"{"probability": 1}"#, "op"),
        (r#"{"op": "Invert"}"#, "probability"),
    ] {
        let path = format!("sub_policies[1][1].{key}");
        refused(&with_step(step), &path, &Kind::Missing);
    }
    for (sampler, key) in [
        (r#""bins": 2, "ops": [{"op": "A"}]"#, "count"),
        (r#""count": 1, "ops": [{"op": "A"}]"#, "bins"),
        (r#""count": 1, "bins": 2"#, "ops"),
    ] {
        let path = format!("sampler.{key}");
        refused(&with_sampler(sampler), &path, &Kind::Missing);
    }
    for (op, key) in [
        ("{}", "op"),
        (r#"{"op": "A", "high": 1}"#, "low"),
        (r#"{"op": "A", "low": 1}"#, "high"),
        (r#"{"op": "A", "centre": 1}"#, "low"),
        (r#"{"op": "A", "integer": true}"#, "low"),
    ] {
        let path = format!("sampler.ops[1].{key}");
        refused(&with_op(op), &path, &Kind::Missing);
    }
}

#[test]
fn unknown_key() {
    refused(&with(r#""names": 1"#), "names", &Kind::UnknownKey);
    let step = r#"{"op": "Rotate", "probability": 1, "magnitud": 1}"#;
    let path = "sub_policies[1][1].magnitud";
    refused(&with_step(step), path, &Kind::UnknownKey);
    let sampler = r#""count": 1, "bins": 2, "ops": [{"op": "A"}], "magnitude": 1"#;
    let path = "sampler.magnitude";
    refused(&with_sampler(sampler), path, &Kind::UnknownKey);
    let op = r#"{"op": "A", "probability": 1}"#;
    refused(
        &with_op(op),
        "sampler.ops[1].probability",
        &Kind::UnknownKey,
    );
}

#[test]
fn duplicate_key() {
    let twice = with(r#""name": "q""#);
    refused(&twice, "name", &Kind::DuplicateKey);
    let step = r#"{"op": "A", "probability": 1, "magnitude": 0, "magnitude": 1}"#;
    let path = "sub_policies[1][1].magnitude";
    refused(&with_step(step), path, &Kind::DuplicateKey);
    let provenance = with(r#""provenance": {"a": [[1, {"b": {"c": 1, "d": 2, "c": 3}}]]}"#);
    refused(&provenance, "provenance.a[0][1].b.c", &Kind::DuplicateKey);
    // In different objects, keys may repeat.
    let elsewhere = with(
        r#""sub_policies": [[{"op": "A", "probability": 1}]],
        "provenance": {"name": {"a": 1}, "a": 1}"#,
    );
    assert!(Policy::parse(elsewhere.as_bytes()).is_ok());
}

#[test]
fn conflict() {
    let step = r#"{"op": "A", "probability": 1, "magnitude": 1, "value": 2}"#;
    let path = "sub_policies[1][1].value";
    refused(&with_step(step), path, &Kind::Conflict("magnitude"));
    let rules = r#""sampler": {}, "sub_policies": []"#;
    refused(&with(rules), "sampler", &Kind::Conflict("sub_policies"));
}

#[test]
fn neither() {
    let json = r#"{"format": "faa-policy", "version": 1, "name": "p"}"#;
    refused(json, "sub_policies", &Kind::Neither("sampler"));
}

#[test]
fn wrong_type() {
    #[track_caller]
    fn expects(json: &str, path: &str, expected: &'static str) {
        refused(json, path, &Kind::WrongType { expected });
    }
    expects("[]", "", "an object");
    let header = r#"{"format": "faa-policy", "version": 1, "name": 1}"#;
    expects(header, "name", "a string");
    expects(&with(r#""sub_policies": {}"#), "sub_policies", "a list");
    let path = "sub_policies[0]";
    expects(&with(r#""sub_policies": [1]"#), path, "a list of steps");
    expects(&with_step("3"), "sub_policies[1][1]", "an object");
    let step = r#"{"op": "A", "probability": "1"}"#;
    let path = "sub_policies[1][1].probability";
    expects(&with_step(step), path, "a number");
    let step = r#"{"op": "A", "probability": 1, "value": null}"#;
    expects(&with_step(step), "sub_policies[1][1].value", "a number");
    expects(&with(r#""sampler": []"#), "sampler", "an object");
    let integer = "a non-negative integer of at most 64 bits";
    for count in ["-1", "1.0", "\"1\"", "18446744073709551616"] {
        let sampler = format!(r#""count": {count}, "bins": 2, "ops": [{{"op": "A"}}]"#);
        expects(&with_sampler(&sampler), "sampler.count", integer);
    }
    let op = r#"{"op": "A", "low": 0, "high": 1, "integer": 1}"#;
    expects(&with_op(op), "sampler.ops[1].integer", "true or false");
    let fine = r#""sub_policies": [[{"op": "A", "probability": 1}]]"#;
    let provenance = with(&format!(r#"{fine}, "provenance": []"#));
    expects(&provenance, "provenance", "an object");
}

#[test]
fn out_of_range() {
    #[track_caller]
    fn beyond(json: &str, path: &str, [value, low, high]: [f64; 3]) {
        refused(json, path, &Kind::OutOfRange { value, low, high });
    }
    let path = |key: &str| format!("sub_policies[1][1].{key}");
    let step = r#"{"op": "A", "probability": 1, "magnitude": 1.7}"#;
    beyond(&with_step(step), &path("magnitude"), [1.7, 0.0, 1.0]);
    let step = r#"{"op": "A", "probability": -0.1}"#;
    beyond(&with_step(step), &path("probability"), [-0.1, 0.0, 1.0]);
    let sampler = |count: &str, bins: &str, bin: &str| {
        with_sampler(&format!(
            r#""count": {count}, "bins": {bins}, "bin": {bin}, "ops": [{{"op": "A"}}]"#
        ))
    };
    beyond(&sampler("0", "2", "0"), "sampler.count", [0.0, 1.0, 64.0]);
    beyond(&sampler("65", "2", "0"), "sampler.count", [65.0, 1.0, 64.0]);
    beyond(
        &sampler("1", "1", "0"),
        "sampler.bins",
        [1.0, 2.0, 65_536.0],
    );
    beyond(&sampler("1", "31", "31"), "sampler.bin", [31.0, 0.0, 30.0]);
    let large = 4_294_967_296.0;
    beyond(
        &sampler("4294967296", "2", "0"),
        "sampler.count",
        [large, 0.0, large - 1.0],
    );
}

#[test]
fn not_finite() {
    let op = r#"{"op": "A", "low": -1e308, "high": 1e308}"#;
    let value = f64::INFINITY;
    refused(
        &with_op(op),
        "sampler.ops[1].high",
        &Kind::NotFinite { value },
    );
}

#[test]
fn empty() {
    let path = "sub_policies";
    refused(&with(r#""sub_policies": []"#), path, &Kind::Empty);
    let path = "sub_policies[0]";
    refused(&with(r#""sub_policies": [[]]"#), path, &Kind::Empty);
    let sampler = r#""count": 1, "bins": 2, "ops": []"#;
    refused(&with_sampler(sampler), "sampler.ops", &Kind::Empty);
}

/// A file's text is not printed as it is: it could control a terminal, or fill it.
#[test]
fn messages_are_short_and_hold_no_control_characters() {
    let escape = r#"{"format": "faa-policy", "version": 1, "\u001b[2Jkey": 1}"#;
    let message = Policy::parse(escape.as_bytes()).unwrap_err().to_string();
    assert_eq!(message, " [2Jkey: unknown key");
    let long = format!(r#"{{"format": "{}"}}"#, "é".repeat(100_000));
    let message = Policy::parse(long.as_bytes()).unwrap_err().to_string();
    assert!(
        message.chars().count() < 600 && message.ends_with('…'),
        "{message}"
    );
}
