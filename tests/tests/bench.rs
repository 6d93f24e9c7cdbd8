//! `faa-runtime bench`, with text and JSON.

use faa_tests::{faa_runtime, failure_of, stdout_of};
use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    let text = stdout_of(
        faa_runtime()
            .args(["bench", "--seconds", "0", "--json"])
            .args(arguments),
    );
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_op_is_measured() {
    let ops: Value =
        serde_json::from_str(&stdout_of(faa_runtime().args(["ops", "--json"]))).unwrap();
    let ops = ops.as_array().unwrap();
    assert_eq!(ops.len(), 25);
    for op in ops {
        let name = op["name"].as_str().unwrap();
        let report = bench(&["--op", name, "--size", "7", "--channels", "4"]);
        let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "channels",
                "images_per_second",
                "ns_per_image",
                "size",
                "threads",
                "what"
            ]
        );
        assert_eq!(report["what"], name);
        assert_eq!(
            (&report["size"], &report["channels"]),
            (&7.into(), &4.into())
        );
        assert!(
            report["images_per_second"].as_f64().unwrap() > 1000.0,
            "{report}"
        );
    }
}

#[test]
fn policies_are_measured_on_several_threads() {
    for policy in ["autoaugment-cifar10", "randaugment"] {
        let report = bench(&["--policy", policy, "--size", "32", "--threads", "3"]);
        assert_eq!(
            (&report["what"], &report["threads"]),
            (&policy.into(), &3.into())
        );
        // With a duration of 0, each thread still cycles through the images once.
        let (rate, each) = (&report["images_per_second"], &report["ns_per_image"]);
        let product = rate.as_f64().unwrap() * each.as_f64().unwrap();
        assert!((product / 3e9 - 1.0).abs() < 0.01, "{report}");
    }
}

#[test]
fn values_and_levels_can_be_chosen() {
    let arguments = "bench --op Solarize --value 64 --size 8 --seconds 0 --simd compiled";
    let text = stdout_of(faa_runtime().args(arguments.split(' ')));
    assert!(
        text.starts_with("Solarize at 8×8×3, 1 thread(s): "),
        "{text}"
    );
    let magnitude = bench(&["--op", "Rotate", "--magnitude", "0.1", "--size", "8"]);
    assert_eq!(magnitude["what"], "Rotate");
}

#[test]
fn invalid_arguments_are_explained() {
    let cases = [
        ("--size 8", 2, "--policy <FILE|NAME>|--op <NAME>"),
        (
            "--op Rotate --policy randaugment --size 8",
            2,
            "cannot be used with",
        ),
        ("--op Rotate --size 0", 2, "--size"),
        ("--op Rotate --size 8 --channels 2", 2, "must be 1, 3 or 4"),
        (
            "--op Rotate --size 8 --simd mmx",
            2,
            "this CPU supports compiled",
        ),
        ("--op Rotate --size 8 --threads 100000", 2, "from 1 to 1024"),
        (
            "--op Rotate --size 8 --magnitude -1",
            2,
            "--magnitude must be a number from 0 to 1",
        ),
        (
            "--policy randaugment --size 8 --simd compiled",
            2,
            "cannot be used with",
        ),
        ("--op Invert --size 8 --value 3", 2, "Invert takes no value"),
        ("--op Rotat --size 8", 1, "did you mean `Rotate`?"),
        (
            "--policy randaugmen --size 8",
            1,
            "did you mean `randaugment`?",
        ),
    ];
    for (arguments, status, message) in cases {
        let (code, errors) = failure_of(faa_runtime().arg("bench").args(arguments.split(' ')));
        assert_eq!(code, status, "{arguments}: {errors}");
        assert!(errors.contains(message), "{arguments}: {errors}");
    }
}
