//! `faa-runtime bench`, with text and JSON.

use std::fs;
use std::process::Command;

use faa_tests::{assert_all_fail, assert_fails, faa_runtime, json_of, stdout_of};
use serde_json::Value;

fn bench(arguments: &str) -> Command {
    let mut command = faa_runtime();
    command.arg("bench").args(arguments.split(' '));
    command
}

fn measured(arguments: &str) -> Value {
    json_of(&mut bench(&format!("{arguments} --seconds 0 --json")))
}

#[test]
fn every_op_is_measured() {
    let ops = json_of(faa_runtime().args(["ops", "--json"]));
    let ops = ops.as_array().unwrap();
    assert_eq!(ops.len(), 25);
    for op in ops {
        let name = op["name"].as_str().unwrap();
        let report = measured(&format!("--op {name} --size 7 --channels 4"));
        let keys: Vec<&str> = report
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected = "channels images_per_second ns_per_image size threads what";
        assert_eq!(keys.join(" "), expected);
        assert_eq!(report["what"], name);
        assert_eq!(
            (&report["size"], &report["channels"]),
            (&7.into(), &4.into())
        );
        let rate = report["images_per_second"].as_f64().unwrap();
        assert!(rate > 1000.0, "{report}");
    }
}

#[test]
fn policies_are_measured_on_several_threads() {
    for policy in ["autoaugment-cifar10", "randaugment"] {
        let report = measured(&format!(
            "--policy {policy} --size 32 --threads 3 --simd compiled"
        ));
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
    let arguments = "--op Solarize --value 64 --size 8 --seconds 0 --simd compiled";
    let text = stdout_of(&mut bench(arguments));
    assert!(
        text.starts_with("Solarize at 8×8×3, 1 thread(s): "),
        "{text}"
    );
    let magnitude = measured("--op Rotate --magnitude 0.1 --size 8");
    assert_eq!(magnitude["what"], "Rotate");
}

#[test]
fn all_ops_are_measured_and_compared_with_an_earlier_measurement() {
    let before = json_of(&mut bench("--all --json --seconds 0"));
    for key in ["processor", "cores", "simd", "faa_runtime", "os"] {
        assert!(!before["machine"][key].is_null(), "{key}");
    }
    let results = before["results"].as_array().unwrap();
    // All ops and a policy, at two sizes.
    assert_eq!(results.len(), 2 * 26);
    for result in results {
        let [slowest, median, fastest] =
            ["slowest", "images_per_second", "fastest"].map(|key| result[key].as_u64().unwrap());
        assert!(
            0 < slowest && slowest <= median && median <= fastest,
            "{result}"
        );
    }

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), before.to_string()).unwrap();
    let compare = |arguments: &str| {
        let mut command = bench(&format!("--all --size 32 --seconds {arguments}"));
        command.arg("--compare").arg(file.path());
        command
    };
    let now = json_of(&mut compare("0 --json"));
    for result in now["results"].as_array().unwrap() {
        assert!(result["before"]["changed"].is_boolean(), "{result}");
    }
    let text = stdout_of(&mut compare("0"));
    assert!(
        text.contains("before") && text.contains("autoaugment-cifar10"),
        "{text}"
    );
    assert!(!text.contains("other conditions"), "{text}");
    let text = stdout_of(&mut compare("0 --simd compiled --channels 1"));
    assert!(text.contains("other conditions"), "{text}");

    fs::write(file.path(), "[]").unwrap();
    assert_fails(&mut compare("0"), 1, &["is not the output of"]);
}

#[test]
fn invalid_arguments_are_explained() {
    assert_all_fail(
        bench,
        "2 --size 8 => --policy <FILE|NAME>|--op <NAME>|--all
         2 --op Rotate => --size
         2 --op Rotate --size 8 --compare x.json => cannot be used with
         1 --all --compare /no/such/file => cannot read
         2 --op Rotate --policy randaugment --size 8 => cannot be used with
         2 --op Rotate --size 0 => --size
         2 --op Rotate --size 8 --channels 2 => must be 1, 3 or 4
         2 --op Rotate --size 8 --simd mmx => this CPU supports compiled
         2 --op Rotate --size 8 --threads 100000 => from 1 to 1024
         2 --op Rotate --size 8 --magnitude -1 => must be a number from 0 to 1
         2 --op Invert --size 8 --value 3 => Invert takes no value
         1 --op Rotat --size 8 => did you mean `Rotate`?
         1 --policy randaugmen --size 8 => did you mean `randaugment`?",
    );
}
