//! Policies that other programs wrote.

use faa_ops_builtin::builtin_ops;
use faa_policy::{
    Converted, MAX_BYTES, Policy, PolicyError, PolicyErrorKind as Kind, Step, Strength, Warning,
    convert,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn converted(json: &str) -> Result<Converted, PolicyError> {
    convert(json.as_bytes(), "converted", &builtin_ops())
}

#[test]
fn the_list_form_keeps_order_and_repeats() {
    let json = r#"[[["TranslateX", 0.42, 0.39], ["Contrast", 0.83, 0.5]],
                   [["Invert", 1, 0.7], ["Rotate", 0, 1], ["Invert", 0.5, null]]]"#;
    let Converted {
        policy, warnings, ..
    } = converted(json).unwrap();
    let expected = vec![
        vec![
            Step::new("TranslateX", 0.42, Strength::Magnitude(0.39)),
            Step::new("Contrast", 0.83, Strength::Magnitude(0.5)),
        ],
        vec![
            Step::new("Invert", 1.0, Strength::Unstated),
            Step::new("Rotate", 0.0, Strength::Magnitude(1.0)),
            Step::new("Invert", 0.5, Strength::Unstated),
        ],
    ];
    assert_eq!(policy.sub_policies(), expected);
    assert_eq!((policy.name.as_str(), warnings), ("converted", vec![]));
    assert!(policy.provenance.get::<String>("source").is_some());
    assert_eq!(policy.check(&builtin_ops()), Ok(()));
    assert_eq!(Policy::parse(policy.to_json().as_bytes()), Ok(policy));
}

#[test]
fn the_object_form_keeps_the_files_order_and_warns() {
    let json = r#"{"0": {"Sharpness": [0.5, 0.25], "AutoContrast": [0.006, "None"]},
                   "1": {"Color": [1.0, 0.75]}}"#;
    let Converted {
        policy, warnings, ..
    } = converted(json).unwrap();
    let expected = vec![
        vec![
            Step::new("Sharpness", 0.5, Strength::Magnitude(0.25)),
            Step::new("AutoContrast", 0.006, Strength::Unstated),
        ],
        vec![Step::new("Color", 1.0, Strength::Magnitude(0.75))],
    ];
    assert_eq!(policy.sub_policies(), expected);
    assert_eq!(warnings, [Warning::OrderLost]);
    // A single op has no order to lose.
    let single = converted(r#"{"0": {"Color": [1, 1]}}"#).unwrap();
    assert_eq!(single.warnings, []);
}

#[test]
fn sub_policies_that_are_missing_are_pointed_out() {
    let warnings = |keys: &[&str]| -> Vec<String> {
        let sub_policies = keys
            .iter()
            .map(|key| format!(r#""{key}": {{"Invert": [1, 0]}}"#));
        let json = format!("{{{}}}", sub_policies.collect::<Vec<_>>().join(", "));
        let warnings = converted(&json).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect()
    };
    assert!(warnings(&["1", "0", "2"]).is_empty());
    for (keys, key) in [(["0", "1", "3"], "3"), (["0", "1", "first"], "first")] {
        let found = warnings(&keys);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with(&format!("{key}: not the number")),
            "{found:?}"
        );
    }
}

#[test]
fn an_op_that_the_paper_does_not_search_over_is_pointed_out() {
    let warnings = converted(r#"[[["CutoutAbs", 1, 0.5], ["FlipX", 1, 0.5]]]"#)
        .unwrap()
        .warnings;
    assert!(matches!(
        &warnings[..],
        [Warning::DifferentRange { path, op, .. }] if path == "[0][0][0]" && op == "CutoutAbs"
    ));
}

/// A file, the path of what is wrong with it, and what.
const MALFORMED: &str = r#"
[]                           |            | Empty
[[]]                         | [0]        | Empty
[1]                          | [0]        | WrongType { expected: "a list of steps" }
[[["Rotate", 1]]]            | [0][0]     | WrongType { expected: "a list of an op, a probability and a magnitude" }
[[["Rotate", 1, 1, 1]]]      | [0][0]     | WrongType { expected: "a list of an op, a probability and a magnitude" }
[[{"op": "Rotate"}]]         | [0][0]     | WrongType { expected: "a list of an op, a probability and a magnitude" }
[[[1, 1, 1]]]                | [0][0][0]  | WrongType { expected: "a string" }
[[["Rotat", 1, 1]]]          | [0][0][0]  | UnknownOp { op: "Rotat", nearest: Some("Rotate") }
[[["Rotate", "1", 1]]]       | [0][0][1]  | WrongType { expected: "a number" }
[[["Rotate", 1.5, 1]]]       | [0][0][1]  | OutOfRange { value: 1.5, low: 0.0, high: 1.0 }
[[["Rotate", 1, -1]]]        | [0][0][2]  | OutOfRange { value: -1.0, low: 0.0, high: 1.0 }
[[["Rotate", 1, null]]]      | [0][0][2]  | Missing
[[["Invert", 1, "no"]]]      | [0][0][2]  | WrongType { expected: "a number" }
{}                           |            | Empty
{"0": {}}                    | 0          | Empty
{"0": []}                    | 0          | WrongType { expected: "an object" }
{"0": {"Color": 1}}          | 0.Color    | WrongType { expected: "a list of a probability and a magnitude" }
{"0": {"Color": [1]}}        | 0.Color    | WrongType { expected: "a list of a probability and a magnitude" }
{"0": {"Colour": [1, 1]}}    | 0.Colour   | UnknownOp { op: "Colour", nearest: Some("Color") }
{"0": {"Color": [1, "None"]}} | 0.Color[1] | Missing
{"0": {"Color": [1, 1], "Color": [1, 1]}} | 0.Color | DuplicateKey
{"format": "faa-policy"}     | format     | AlreadyPolicy
1                            |            | WrongType { expected: "an object" }
"#;

#[test]
fn whatever_is_malformed_is_named_with_its_path() {
    for line in MALFORMED.trim().lines() {
        let [json, path, kind] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let error = converted(json).unwrap_err();
        let found = (error.path(), &*format!("{:?}", error.kind()));
        assert_eq!(found, (path, kind), "{json}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "reading a file of the largest size takes an hour")]
fn what_could_not_be_read_again_is_refused() {
    let step = r#"["Invert",1,0]"#;
    let many = format!("[[{}]]", vec![step; MAX_BYTES / 16].join(","));
    assert!(many.len() < MAX_BYTES);
    let error = converted(&many).unwrap_err();
    assert!(matches!(error.kind(), Kind::TooLarge { .. }));
}

proptest! {
    #[test]
    fn damaged_files_are_converted_or_refused(
        object in any::<bool>(),
        start in any::<prop::sample::Index>(),
        cut in 0..12_usize,
        patch in vec(prop_oneof![any::<u8>(), Just(b'['), Just(b'"'), Just(b'9')], 0..4),
    ) {
        let json = if object {
            r#"{"0": {"Color": [0.79, 0.55], "Invert": [0.1, "None"]}, "1": {"Cutout": [1, 0]}}"#
        } else {
            r#"[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]], [["Invert", 1, 0]]]"#
        };
        let mut bytes = json.as_bytes().to_vec();
        let start = start.index(bytes.len());
        let end = (start + cut).min(bytes.len());
        bytes.splice(start..end, patch);
        if let Ok(converted) = convert(&bytes, "damaged", &builtin_ops()) {
            prop_assert_eq!(converted.policy.check(&builtin_ops()), Ok(()));
        }
    }
}
