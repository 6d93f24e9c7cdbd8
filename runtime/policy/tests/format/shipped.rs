//! Facts about the shipped policies that can be counted in the papers' tables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faa_op::{Channels, DrawKey, ImageMut};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    BoundingBox, Executor, Policy, Sampler, SamplerValues, Step, Strength, Targets, Workspace,
    shipped,
};

fn policy(name: &str) -> Policy {
    let found = shipped().iter().find(|policy| policy.name == name);
    found.unwrap().policy().unwrap()
}

#[test]
fn every_policy_fits_the_built_in_ops_and_says_where_it_came_from() {
    for shipped in shipped() {
        let policy = shipped.policy().unwrap();
        assert_eq!(policy.name, shipped.name);
        policy.check(&builtin_ops()).unwrap();
        let source: String = policy.provenance.get("source").unwrap();
        assert!(!source.is_empty() && !source.contains('\n'), "{source}");
    }
}

/// Nobody has edited what a search wrote: the numbers have all their digits, and nothing was reordered.
#[test]
fn found_policies_are_as_a_search_writes_them() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for (name, sub_policies) in [("glyphs-wrn-10-1", 50), ("cifar10-jpeg-wrn-40-2", 499)] {
        let policy = policy(name);
        assert_eq!(policy.sub_policies().len(), sub_policies, "{name}");
        assert!(policy.sub_policies().iter().all(|steps| steps.len() == 2));
        let file = fs::read_to_string(policies.join(format!("{name}.json"))).unwrap();
        assert_eq!(policy.to_json(), file, "{name}");
    }
}

#[test]
fn the_policy_found_on_cifar10_says_what_it_was_found_on_and_what_it_is_worth() {
    let policy = policy("cifar10-jpeg-wrn-40-2");
    for (key, expected) in [
        ("source", "JPEG copies of CIFAR-10, seed 0"),
        (
            "images",
            "quality 75, halved colour resolution), not the original files",
        ),
        ("commit", "a15fdf8"),
        ("date", "2026-11-26"),
        ("hardware", "H200"),
        (
            "command",
            "search --data tar:data/cifar10-jpeg.tar.zst --preset cifar10-reduced",
        ),
        (
            "comparison",
            "a random policy and TrivialAugment are equal to this policy within noise",
        ),
    ] {
        let text: String = policy.provenance.get(key).unwrap();
        assert!(text.contains(expected), "{key}: {text}");
    }
}

/// How often each op of a policy occurs.
fn uses(policy: &Policy) -> String {
    let mut uses = BTreeMap::<&str, usize>::new();
    for step in policy.sub_policies().iter().flatten() {
        *uses.entry(&step.op).or_default() += 1;
    }
    let uses: Vec<_> = uses
        .iter()
        .map(|(op, count)| format!("{op} {count}"))
        .collect();
    uses.join(", ")
}

fn auto_augment(name: &str, expected: &str) -> Policy {
    let policy = policy(name);
    assert_eq!(policy.sub_policies().len(), 25);
    assert!(policy.sub_policies().iter().all(|steps| steps.len() == 2));
    assert_eq!(uses(&policy), expected);
    for step in policy.sub_policies().iter().flatten() {
        let tenths = step.probability * 10.0;
        assert!(tenths.fract() < 1e-9, "{step:?}");
        let bin = bin_of(step);
        assert!((bin - bin.round()).abs() < 1e-9, "{step:?} is at {bin}");
        assert!((0.0..=9.0).contains(&bin.round()), "{step:?}");
    }
    for key in ["paper", "bins"] {
        assert!(policy.provenance.get::<String>(key).is_some());
    }
    policy
}

/// The paper's bin for a step's value; 0 if there is no value.
fn bin_of(step: &Step) -> f64 {
    let Strength::Value(value) = step.strength else {
        return 0.0;
    };
    let fraction = match step.op.as_str() {
        "ShearX" | "ShearY" => value / 0.3,
        "TranslateX" | "TranslateY" => value / 0.45,
        "Rotate" => value / 30.0,
        // Several bins share a number of bits.
        "Posterize" => return 8.0 - value,
        "Solarize" => 1.0 - value / 256.0,
        _ => (value - 0.1) / 1.8,
    };
    9.0 * fraction
}

fn step(op: &str, probability: f64, value: Option<f64>) -> Step {
    let strength = value.map_or(Strength::Unstated, Strength::Value);
    Step::new(op, probability, strength)
}

#[test]
fn autoaugment_for_cifar10_is_the_papers_table() {
    let policy = auto_augment(
        "autoaugment-cifar10",
        "AutoContrast 7, Brightness 4, Color 5, Contrast 2, Equalize 9, Invert 3, \
         Posterize 1, Rotate 1, Sharpness 5, ShearY 2, Solarize 4, TranslateX 2, TranslateY 5",
    );
    let all = policy.sub_policies();
    let first = [step("Invert", 0.1, None), step("Contrast", 0.2, Some(1.3))];
    assert_eq!(all[0], first);
    assert_eq!(all[5][1], step("Posterize", 0.3, Some(5.0)));
    let moved = [
        step("TranslateY", 0.9, Some(0.45)),
        step("TranslateY", 0.7, Some(0.45)),
    ];
    assert_eq!(all[21], moved);
}

#[test]
fn autoaugment_for_svhn_is_the_papers_table() {
    let policy = auto_augment(
        "autoaugment-svhn",
        "AutoContrast 3, Contrast 1, Equalize 6, Invert 12, Rotate 4, ShearX 6, ShearY 8, \
         Solarize 5, TranslateX 1, TranslateY 4",
    );
    let strongest = &policy.sub_policies()[22][0];
    assert_eq!(*strongest, step("ShearX", 0.7, Some(0.3)));
}

#[test]
fn autoaugment_for_imagenet_is_the_papers_table() {
    let policy = auto_augment(
        "autoaugment-imagenet",
        "AutoContrast 2, Color 6, Contrast 2, Equalize 17, Invert 3, Posterize 5, Rotate 6, \
         Sharpness 1, ShearX 1, Solarize 7",
    );
    let first = [
        step("Posterize", 0.4, Some(4.0)),
        step("Rotate", 0.6, Some(30.0)),
    ];
    assert_eq!(policy.sub_policies()[0], first);
    let weakest = &policy.sub_policies()[10][1];
    assert_eq!(*weakest, step("Color", 0.4, Some(0.1)));
}

fn sampler(name: &str, [count, bins]: [u32; 2], bin: Option<u32>) -> Sampler {
    let policy = policy(name);
    let sampler = policy.sampler().unwrap();
    let found = (sampler.count, sampler.bins, sampler.bin);
    assert_eq!(found, (count, bins, bin));
    assert_eq!(sampler.ops.len(), 14);
    for op in ["Identity", "AutoContrast", "Equalize"] {
        assert_eq!(values(sampler, op), None);
    }
    sampler.clone()
}

fn values(sampler: &Sampler, op: &str) -> Option<SamplerValues> {
    let mut found = sampler.ops.iter().filter(|entry| entry.op == op);
    let values = found.next().unwrap().values;
    assert!(found.next().is_none(), "{op} is listed once");
    values
}

/// Checks lines of some ops, the ends of their values, and what else is stated of these.
#[track_caller]
fn assert_values(sampler: &Sampler, expected: &str) {
    let number = |text: &str| text.parse::<f64>().unwrap();
    for line in expected.trim().lines() {
        let [ops, ends, rest] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (low, high) = ends.split_once('…').unwrap();
        let centre = rest.strip_prefix("centre ").map(number);
        let mut expected = SamplerValues::new(number(low), number(high), centre);
        expected.integer = rest == "integer";
        for op in ops.split(' ') {
            assert_eq!(values(sampler, op), Some(expected), "{op}");
        }
    }
}

#[test]
fn randaugment_has_the_published_ranges() {
    let sampler = sampler("randaugment", [2, 31], Some(9));
    let expected = "
        ShearX ShearY                       | 0…0.3  | centre 0
        TranslateX TranslateY               | 0…0.45 | centre 0
        Rotate                              | 0…30   | centre 0
        Brightness Color Contrast Sharpness | 1…1.9  | centre 1
        Posterize                           | 8…4    | integer
        Solarize                            | 255…0  |";
    assert_values(&sampler, expected);

    // Bin 9 of 31 is three tenths of the way.
    let executor = Executor::builtin(&policy("randaugment")).unwrap();
    let plan = |index| executor.plan(DrawKey::new(1, 0, index), &Workspace::new());
    for step in (0..500).flat_map(|index| plan(index).steps) {
        let expected: &[f64] = match step.op.as_str() {
            "Posterize" => &[7.0],
            "Solarize" => &[178.5],
            "Rotate" => &[9.0, -9.0],
            "Color" => &[1.27, 0.73],
            _ => continue,
        };
        let close = |value: &f64| (value - step.value).abs() < 1e-9;
        assert!(expected.iter().any(close), "{step:?}");
    }
}

#[test]
fn trivialaugment_has_its_wide_ranges() {
    let sampler = sampler("trivialaugment-wide", [1, 31], None);
    let expected = "
        ShearX ShearY                       | 0…0.99 | centre 0
        TranslateXAbs TranslateYAbs         | 0…32   | centre 0
        Rotate                              | 0…135  | centre 0
        Brightness Color Contrast Sharpness | 1…1.99 | centre 1
        Posterize                           | 8…2    | integer
        Solarize                            | 255…0  |";
    assert_values(&sampler, expected);
}

/// What `policies/README.md` says about the box about a square.
#[test]
fn trivialaugment_for_detection_keeps_boxes() {
    let policy = policy("trivialaugment-detection");
    let ops = builtin_ops();
    let executor = Executor::builtin(&policy).unwrap();
    let own = &mut Workspace::new();
    let (mut largest, mut farthest) = (1.0_f64, 0.0_f64);
    for index in 0..3_000 {
        let key = DrawKey::new(1, 0, index);
        let plan = executor.plan(key, own);
        let step = &plan.steps[0];
        let mut pixels = [0; 100];
        let mut image = ImageMut::new(&mut pixels, 10, 10, Channels::L).unwrap();
        let mut boxes = [BoundingBox::new(3.0, 3.0, 7.0, 7.0)];
        let mut targets = Targets::new();
        targets.boxes = &mut boxes;
        plan.replay_with_targets(&ops, &mut image, &mut targets, own)
            .unwrap();
        let found = boxes[0];
        assert_eq!(found.visible, 1.0, "{step:?}");
        let area = (found.right - found.left) * (found.bottom - found.top) / 16.0;
        assert!((0.999..1.31).contains(&area), "{step:?} {found:?}");
        largest = largest.max(area);
        if step.op.starts_with("Translate") {
            assert!((area - 1.0).abs() < 1e-9, "{step:?}");
            let moved = (found.left - 3.0).abs() + (found.top - 3.0).abs();
            farthest = farthest.max(moved);
        }
    }
    assert!(
        largest > 1.3 && (farthest - 2.0).abs() < 1e-9,
        "{largest} {farthest}"
    );
}
