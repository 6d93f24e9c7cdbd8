//! Whatever is written is read back, and nothing that is read makes the parser panic.

use std::collections::BTreeMap;

use faa_policy::{
    Plan, PlannedStep, Policy, PolicyErrorKind as Kind, Provenance, Rule, Sampler, SamplerOp,
    SamplerValues, Step, Strength,
};
use proptest::collection::vec;
use proptest::num::f64::{NORMAL, SUBNORMAL, ZERO};
use proptest::option;
use proptest::prelude::*;

fn finite() -> impl Strategy<Value = f64> {
    NORMAL | SUBNORMAL | ZERO
}

/// Ends so near each other that what lies between them is finite.
fn end() -> impl Strategy<Value = f64> {
    finite().prop_map(|value| value / 8.0)
}

fn unit_interval() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        ".*",
        "[A-Za-z]{1,8}",
        Just("\u{0}\"\\\u{2028}é🦀".to_owned())
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let strength = prop_oneof![
        Just(Strength::Unstated),
        unit_interval().prop_map(Strength::Magnitude),
        finite().prop_map(Strength::Value),
    ];
    (name(), unit_interval(), strength)
        .prop_map(|(op, probability, strength)| Step::new(op, probability, strength))
}

fn sampler() -> impl Strategy<Value = Sampler> {
    let values = (end(), end(), option::of(end()), any::<bool>());
    let values = values.prop_map(|(low, high, centre, integer)| {
        let mut values = SamplerValues::new(low, high, centre);
        values.integer = integer;
        values
    });
    let op = (name(), option::of(values)).prop_map(|(op, values)| SamplerOp::new(op, values));
    let bins = (2..=Sampler::MAX_BINS).prop_flat_map(|bins| (Just(bins), option::of(0..bins)));
    (1..=Sampler::MAX_COUNT, bins, vec(op, 1..5))
        .prop_map(|(count, (bins, bin), ops)| Sampler::new(count, bins, bin, ops))
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        finite().prop_map(Into::into),
        name().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((name(), inner), 0..4).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let rule = prop_oneof![
        vec(vec(step(), 1..4), 1..4).prop_map(Rule::SubPolicies),
        sampler().prop_map(Rule::Sampler),
    ];
    let facts = vec((name(), json()), 0..4);
    (name(), rule, facts).prop_map(|(name, rule, facts)| {
        let facts = BTreeMap::from_iter(facts);
        let mut policy = Policy::new(name, rule);
        policy.provenance = Provenance::from_facts(&facts).unwrap();
        policy
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    // The largest seeds cannot be represented by floats.
    let seed = prop_oneof![Just(u64::MAX), any::<u64>()];
    let partner = option::of(any::<u64>());
    let step = (any::<usize>(), name(), finite(), seed, partner);
    let step = step.prop_map(|(step, op, value, seed, partner)| {
        PlannedStep::new(step, op, value, seed, partner)
    });
    (option::of(any::<usize>()), vec(step, 0..4))
        .prop_map(|(sub_policy, steps)| Plan::new(sub_policy, steps))
}

/// Why the file is neither a policy nor a plan.
fn refusals(file: &[u8]) -> [Kind; 2] {
    let errors = [Policy::parse(file).map(drop), Plan::parse(file).map(drop)];
    errors.map(|read| read.unwrap_err().kind().clone())
}

proptest! {
    #[test]
    fn policies_survive_their_file(policy in policy()) {
        let json = policy.to_json();
        let value = serde_json::to_value(&policy).unwrap();
        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&json).unwrap(), &value);
        prop_assert_eq!(&serde_json::from_value::<Policy>(value).unwrap(), &policy);
        prop_assert_eq!(Policy::parse(json.as_bytes()), Ok(policy), "{}", json);
    }

    #[test]
    fn plans_survive_their_line(plan in plan()) {
        let json = plan.to_json();
        prop_assert!(!json.contains('\n'));
        prop_assert_eq!(&serde_json::from_str::<Plan>(&json).unwrap(), &plan);
        prop_assert_eq!(Plan::parse(json.as_bytes()), Ok(plan), "{}", json);
    }

    #[test]
    fn other_encodings_are_named(policy in policy(), plan in plan()) {
        for json in [policy.to_json(), plan.to_json()] {
            let marked = format!("\u{feff}{json}");
            prop_assert_eq!(refusals(marked.as_bytes()), [Kind::ByteOrderMark, Kind::ByteOrderMark]);
            for text in [&json, &marked] {
                let units: Vec<u16> = text.encode_utf16().collect();
                let codes: Vec<u32> = text.chars().map(u32::from).collect();
                for (encoding, file) in [
                    ("UTF-16", units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>()),
                    ("UTF-16", units.iter().flat_map(|unit| unit.to_be_bytes()).collect()),
                    ("UTF-32", codes.iter().flat_map(|code| code.to_le_bytes()).collect()),
                    ("UTF-32", codes.iter().flat_map(|code| code.to_be_bytes()).collect()),
                ] {
                    prop_assert_eq!(refusals(&file), [Kind::Encoding(encoding), Kind::Encoding(encoding)]);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = (Policy::parse(&bytes), Plan::parse(&bytes));
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        policy in policy(),
        plan in plan(),
        start in any::<prop::sample::Index>(),
        cut in 0..20_usize,
        patch in vec(prop_oneof![any::<u8>(), Just(b'['), Just(b'{'), Just(b'9'), Just(b'-')], 0..6),
    ) {
        for json in [policy.to_json(), plan.to_json()] {
            let mut bytes = json.into_bytes();
            let start = start.index(bytes.len());
            let end = (start + cut).min(bytes.len());
            bytes.splice(start..end, patch.iter().copied());
            let read = Policy::parse(&bytes);
            // What is still valid is written and read like any other.
            if let Ok(policy) = read {
                prop_assert_eq!(Policy::parse(policy.to_json().as_bytes()), Ok(policy));
            }
            let _ = Plan::parse(&bytes);
        }
    }
}
