//! A case for every kind of error that the parser reports.

use faa_policy::{MAX_BYTES, MAX_DEPTH, Plan, Policy, PolicyError, PolicyErrorKind as Kind};

fn error(json: &str) -> PolicyError {
    Policy::parse(json.as_bytes()).unwrap_err()
}

#[track_caller]
fn refused(json: &str, path: &str, kind: &str) {
    let error = error(json);
    let found = (error.path(), &*format!("{:?}", error.kind()));
    assert_eq!(found, (path, kind), "{json}");
    let by_serde = serde_json::from_str::<Policy>(json);
    let by_serde = by_serde.unwrap_err().to_string();
    // The size of a text is unknown to serde.
    let same = by_serde.contains(&error.to_string()) || kind.starts_with("TooLarge");
    assert!(same, "{json}: {by_serde}");
}

fn with(rest: &str) -> String {
    format!(r#"{{"format": "faa-policy", "version": 1, "name": "p", {rest}}}"#)
}

/// The part of a file that the cases below it are, the text of the part, the path of what is wrong,
/// and what.
const CASES: &str = r#"
file:
{}                                                  | format  | Missing
{"format": "faa-policy"}                            | version | Missing
{"format": "faa-policy", "version": 1}              | name    | Missing
{"format": "faa-policy", "version": 1, "name": 1}   | name    | WrongType { expected: "a string" }
[]                                                  |         | WrongType { expected: "an object" }
{"format": "faa"}                                   | format  | WrongFormat("\"faa\"")
{"format": 1}                                       | format  | WrongFormat("1")
{"format": "faa-policy", "version": 0}              | version | WrongVersion("0")
{"format": "faa-policy", "version": 2}              | version | WrongVersion("2")
{"format": "faa-policy", "version": 1.0}            | version | WrongVersion("1.0")
{"format": "faa-policy", "version": "1"}            | version | WrongVersion("\"1\"")
{"format": "faa-policy", "version": -1}             | version | WrongVersion("-1")
{"format": "faa-policy", "version": 1, "name": "p"} | sub_policies | Neither("sampler")

policy:
"names": 1                          | names           | UnknownKey
"name": "q"                         | name            | DuplicateKey
"sampler": {}, "sub_policies": []   | sampler         | Conflict("sub_policies")
"sub_policies": {}                  | sub_policies    | WrongType { expected: "a list" }
"sub_policies": []                  | sub_policies    | Empty
"sub_policies": [1]                 | sub_policies[0] | WrongType { expected: "a list of steps" }
"sub_policies": [[]]                | sub_policies[0] | Empty
"sub_policies": [[3]]               | sub_policies[0][0] | WrongType { expected: "an object" }
"sampler": []                       | sampler         | WrongType { expected: "an object" }
"sub_policies": [[{"op": "A", "probability": 1}]], "provenance": [] | provenance | WrongType { expected: "an object" }
"provenance": {"a": [[1, {"b": {"c": 1, "d": 2, "c": 3}}]]} | provenance.a[0][1].b.c | DuplicateKey

step:
"probability": 1                                 | op          | Missing
"op": "A"                                        | probability | Missing
"op": "A", "probability": 1, "magnitud": 1       | magnitud    | UnknownKey
"op": "A", "magnitude": 0, "magnitude": 1        | magnitude   | DuplicateKey
"op": "A", "probability": 1, "magnitude": 1, "value": 2 | value | Conflict("magnitude")
"op": "A", "probability": "1"                    | probability | WrongType { expected: "a number" }
"op": "A", "probability": 1, "value": null       | value       | WrongType { expected: "a number" }
"op": "A", "probability": 1, "magnitude": 1.7    | magnitude   | OutOfRange { value: 1.7, low: 0.0, high: 1.0 }
"op": "A", "probability": -0.1                   | probability | OutOfRange { value: -0.1, low: 0.0, high: 1.0 }

sampler:
"bins": 2, "ops": [{"op": "A"}]                  | count | Missing
"count": 1, "ops": [{"op": "A"}]                 | bins  | Missing
"count": 1, "bins": 2                            | ops   | Missing
"count": 1, "bins": 2, "ops": []                 | ops   | Empty
"count": 1, "bins": 2, "ops": [{"op": "A"}], "magnitude": 1 | magnitude | UnknownKey
"count": -1, "bins": 2, "ops": [{"op": "A"}]     | count | WrongType { expected: "a non-negative integer of at most 64 bits" }
"count": 1.0, "bins": 2, "ops": [{"op": "A"}]    | count | WrongType { expected: "a non-negative integer of at most 64 bits" }
"count": "1", "bins": 2, "ops": [{"op": "A"}]    | count | WrongType { expected: "a non-negative integer of at most 64 bits" }
"count": 18446744073709551616, "bins": 2, "ops": [{"op": "A"}] | count | WrongType { expected: "a non-negative integer of at most 64 bits" }
"count": 4294967296, "bins": 2, "ops": [{"op": "A"}] | count | OutOfRange { value: 4294967296.0, low: 0.0, high: 4294967295.0 }
"count": 0, "bins": 2, "ops": [{"op": "A"}]      | count | OutOfRange { value: 0.0, low: 1.0, high: 64.0 }
"count": 65, "bins": 2, "ops": [{"op": "A"}]     | count | OutOfRange { value: 65.0, low: 1.0, high: 64.0 }
"count": 1, "bins": 1, "ops": [{"op": "A"}]      | bins  | OutOfRange { value: 1.0, low: 2.0, high: 65536.0 }
"count": 1, "bins": 31, "bin": 31, "ops": [{"op": "A"}] | bin | OutOfRange { value: 31.0, low: 0.0, high: 30.0 }

op:
                                                 | op          | Missing
"op": "A", "high": 1                             | low         | Missing
"op": "A", "low": 1                              | high        | Missing
"op": "A", "centre": 1                           | low         | Missing
"op": "A", "integer": true                       | low         | Missing
"op": "A", "probability": 1                      | probability | UnknownKey
"op": "A", "low": 0, "high": 1, "integer": 1     | integer     | WrongType { expected: "true or false" }
"op": "A", "low": -1e308, "high": 1e308          | high        | NotFinite { value: inf }
"#;

#[test]
fn whatever_is_malformed_is_refused_with_its_path() {
    let invert = r#"{"op": "Invert", "probability": 0}"#;
    let (start, count) = (r#""sampler": {"#, r#""count": 1, "bins": 2"#);
    let mut part = "";
    for line in CASES.lines().filter(|line| !line.is_empty()) {
        let [text, path, kind] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            part = line.strip_suffix(':').unwrap_or_else(|| panic!("{line}"));
            continue;
        };
        let (json, start) = match part {
            "file" => (text.to_owned(), ""),
            "policy" => (with(text), ""),
            "step" => {
                let steps = format!(r#""sub_policies": [[{invert}], [{invert}, {{{text}}}]]"#);
                (with(&steps), "sub_policies[1][1].")
            }
            "sampler" => (with(&format!("{start}{text}}}")), "sampler."),
            _ => {
                let ops = format!(r#"{count}, "ops": [{{"op": "A"}}, {{{text}}}]"#);
                (with(&format!("{start}{ops}}}")), "sampler.ops[1].")
            }
        };
        refused(&json, &format!("{start}{path}"), kind);
    }
}

#[test]
fn keys_may_repeat_in_different_objects() {
    let json = with(
        r#""sub_policies": [[{"op": "A", "probability": 1}]],
        "provenance": {"name": {"a": 1}, "a": 1}"#,
    );
    assert!(Policy::parse(json.as_bytes()).is_ok());
}

#[test]
#[cfg_attr(miri, ignore = "reading a file of the largest size takes an hour")]
fn too_large() {
    let bytes = MAX_BYTES + 1;
    let kind = format!("TooLarge {{ bytes: {bytes} }}");
    refused(&" ".repeat(bytes), "", &kind);
    let mut json = with(r#""sub_policies": [[{"op": "A", "probability": 1}]]"#);
    json.push_str(&" ".repeat(MAX_BYTES - json.len()));
    assert!(Policy::parse(json.as_bytes()).is_ok());
}

#[test]
fn too_deep() {
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let fine = r#""sub_policies": [[{"op": "A", "probability": 1}]]"#;
        with(&format!(
            r#"{fine}, "provenance": {{"deep": {open}{close}}}"#
        ))
    };
    // The file and its provenance are two levels of their own.
    assert!(Policy::parse(deep(MAX_DEPTH - 2).as_bytes()).is_ok());
    refused(&deep(MAX_DEPTH - 1), "", "TooDeep");
    refused(&"[".repeat(100_000), "", "TooDeep");
}

#[test]
fn not_json() {
    for json in ["", "{", "nothing", "{} {}", "{\"a\": 1e999}", "\"\\ud800\""] {
        let error = error(json);
        assert_eq!(error.path(), "");
        assert!(matches!(error.kind(), Kind::NotJson(_)), "{error}");
    }
    let message = "not valid JSON: EOF while parsing an object at line 1 column 1";
    assert_eq!(error("{").to_string(), message);
    let error = Policy::parse(b"\"\xff\"").unwrap_err();
    assert!(matches!(error.kind(), Kind::NotJson(_)), "{error}");
}

#[test]
fn files_that_are_no_json_are_named() {
    let step = |number: &str| {
        with(&format!(
            "\n\"sub_policies\": [[{{\"magnitude\": {number}}}]]"
        ))
    };
    let timm = |text: &str, nearest: &str| {
        let end = format!("of timm, not a policy; {nearest}");
        (
            text.to_owned(),
            format!("`{text}` is a configuration string {end}"),
        )
    };
    let nearest = |name: &str| format!("the shipped policy `{name}` comes nearest");
    let not_a_number = |text: &str| {
        let message = format!("not valid JSON: `{text}` in line 2 is not a number in JSON");
        (step(text), message)
    };
    let numbers = [
        "NaN",
        "nan",
        "-NaN",
        "Infinity",
        "-Infinity",
        "+Infinity",
        "inf",
        "-inf",
    ];
    let cases = numbers.map(not_a_number).into_iter().chain([
        timm("rand-m9-mstd0.5", &nearest("randaugment")),
        timm("augmix-m5-w4-d2", &nearest("trivialaugment-wide")),
        timm("original", &nearest("autoaugment-imagenet")),
        timm("v0-mstd0.5", &nearest("autoaugment-imagenet")),
        timm("3a", "no shipped policy is like it"),
    ]);
    for (text, message) in cases {
        assert_eq!(error(&text).to_string(), message);
        let error = Plan::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert!(
        error("\"rand-m9\"")
            .to_string()
            .starts_with("`rand-m9` is a configuration")
    );
    for other in [
        "random",
        "rand-",
        "rand-9",
        "rand-m9-x",
        "ra-m9",
        "randaugment",
        "v0.json",
    ] {
        assert_eq!(PolicyError::of_configuration(other), None, "{other}");
    }
    // What is not at fault is not named.
    let elsewhere = step("1, ] \"NaN\"");
    assert!(matches!(error(&elsewhere).kind(), Kind::NotJson(_)));
}

/// A file's text is not printed as it is: it could control a terminal, or fill it.
#[test]
fn messages_are_short_and_hold_no_control_characters() {
    let escape = r#"{"format": "faa-policy", "version": 1, "\u001b[2Jkey": 1}"#;
    let message = Policy::parse(escape.as_bytes()).unwrap_err().to_string();
    assert_eq!(message, "[2Jkey: unknown key");
    let long = format!(r#"{{"format": "{}"}}"#, "é".repeat(100_000));
    let message = Policy::parse(long.as_bytes()).unwrap_err().to_string();
    assert!(
        message.chars().count() < 600 && message.ends_with('…'),
        "{message}"
    );
}
