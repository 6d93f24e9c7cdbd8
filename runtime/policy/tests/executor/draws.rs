use faa_op::DrawKey;
use faa_policy::{Executor, Plan, PlannedStep, Workspace};

use crate::doubles::{executor, key, policy, sampler};

fn keys(count: u64) -> impl Iterator<Item = DrawKey> {
    (0..count).map(|index| key(5, 2, index))
}

#[test]
fn order_and_repeats_of_ops_are_kept() {
    let policy = policy(&[&[
        ("Plain", 1.0, 0.5),
        ("Mirrored", 1.0, 1.0),
        ("Plain", 1.0, 0.1),
    ]]);
    let plan = executor(&policy).plan(key(0, 0, 0), &Workspace::new());
    let applied = plan.steps.iter().map(|step| (&*step.op, step.value.abs()));
    assert!(applied.eq([("Plain", 5.0), ("Mirrored", 2.0), ("Plain", 1.0)]));
}

/// Step, value and seed of each op that is applied.
fn applied(executor: &Executor, key: DrawKey) -> (Option<usize>, Vec<(usize, f64, u64)>) {
    let plan = executor.plan(key, &Workspace::new());
    let steps = plan.steps.iter();
    let steps = steps.map(|step| (step.step, step.value, step.seed));
    (plan.sub_policy, steps.collect())
}

const KEYS: [DrawKey; 3] = [
    DrawKey::new(0x0123_4567_89ab_cdef, 3, 0x1_0000_0002),
    DrawKey::new(0, 0, 0),
    DrawKey::new(7, 1, 5),
];

/// Worked out by a different program from the documented order of draws. They fix the order within
/// version 1 of the policy format.
#[test]
fn draws_are_the_documented_ones() {
    let policy = policy(&[
        &[("Mirrored", 0.5, 1.0), ("Plain", 0.9, 0.5)],
        &[("Plain", 1.0, 0.25), ("Mirrored", 0.8, 0.75)],
        &[("Mirrored", 1.0, 0.25)],
    ]);
    let executor = executor(&policy);
    const PLAIN: (usize, f64, u64) = (0, 2.5, 0x4b90_487c_e9c2_e5a6);
    let expected = [
        (Some(2), vec![(0, -1.0, 0xef1f_2810_eba3_fb92)]),
        (Some(2), vec![(0, 1.0, 0x097e_ff67_b1a5_74eb)]),
        (Some(1), vec![PLAIN, (1, 1.0, 0xb0f4_9fc5_f18b_6e80)]),
    ];
    assert_eq!(KEYS.map(|key| applied(&executor, key)), expected);
}

/// Worked out by a different program from the documented order of draws.
#[test]
fn draws_of_samplers_are_the_documented_ones() {
    // Three steps for each key, without a stated bin and then with one.
    let expected = [
        (2, 0.0, 0xb555_1675_1eab_2549),
        (2, 0.0, 0xef1f_2810_eba3_fb92),
        (0, 0.3999999999999999, 0x14c2_8f4f_b386_7edf),
        (2, 0.0, 0x9b00_dbd8_bc57_ac4c),
        (1, -6.0, 0x4591_35e4_2415_13ad),
        (1, 3.0, 0xeabe_fd5a_f12f_66bc),
        (1, 6.0, 0x68cc_4c21_067a_56d1),
        (1, 0.0, 0x3bb3_1a7b_2671_0d6a),
        (1, 7.0, 0x5fb1_ad5b_b891_c277),
        (2, 0.0, 0xb555_1675_1eab_2549),
        (2, 0.0, 0xef1f_2810_eba3_fb92),
        (0, 0.8, 0x5389_4149_c561_3ac2),
        (2, 0.0, 0x9b00_dbd8_bc57_ac4c),
        (1, -2.0, 0x51c7_32a6_04fa_a329),
        (0, 0.8, 0x6d41_3e04_9ac9_134f),
        (1, 4.0, 0x4b90_487c_e9c2_e5a6),
        (1, 4.0, 0xb0f4_9fc5_f18b_6e80),
        (2, 0.0, 0x3bb3_1a7b_2671_0d6a),
    ];
    let mut expected = expected.chunks(3);
    for bin in [None, Some(3)] {
        let executor = executor(&sampler(3, bin));
        for key in KEYS {
            let steps = expected.next().unwrap().to_vec();
            assert_eq!(applied(&executor, key), (None, steps));
        }
    }
}

#[test]
#[cfg_attr(
    miri,
    ignore = "that many draws take minutes, and none of them is unsafe"
)]
fn draws_follow_their_probabilities() {
    let policy = policy(&[&[("Mirrored", 0.25, 1.0)], &[("Plain", 0.0, 1.0)]]);
    let executor = executor(&policy);
    let plans: Vec<_> = keys(40_000)
        .map(|key| executor.plan(key, &Workspace::new()))
        .collect();
    let count = |wanted: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| wanted(plan)).count();
    let value_is =
        |value: f64| move |plan: &Plan| plan.steps.first().is_some_and(|step| step.value == value);
    // Six standard deviations of the binomial counts are below 600 and 400.
    assert!(count(&|plan| plan.sub_policy == Some(0)).abs_diff(20_000) < 600);
    assert!(count(&value_is(2.0)).abs_diff(2500) < 400);
    assert!(count(&value_is(-2.0)).abs_diff(2500) < 400);
    let impossible = |plan: &Plan| plan.sub_policy == Some(1) && !plan.steps.is_empty();
    assert_eq!(count(&impossible), 0);
}

#[test]
#[cfg_attr(
    miri,
    ignore = "that many draws take minutes, and none of them is unsafe"
)]
fn a_sampler_draws_ops_bins_and_mirrors_uniformly() {
    let executor = executor(&sampler(2, None));
    let steps: Vec<_> = keys(30_000)
        .flat_map(|key| {
            let plan = executor.plan(key, &Workspace::new());
            assert_eq!((plan.sub_policy, plan.steps.len()), (None, 2));
            plan.steps
        })
        .collect();
    let count = |op: &str, value: Option<f64>| {
        let wanted = |step: &&PlannedStep| step.op == op && value.is_none_or(|v| step.value == v);
        steps.iter().filter(wanted).count()
    };
    // Six standard deviations of the binomial counts are below 700 and 240.
    for op in ["Mirrored", "Plain", "Fixed"] {
        assert!(count(op, None).abs_diff(20_000) < 700, "{op}");
    }
    assert_eq!(count("Fixed", Some(0.0)), count("Fixed", None));
    // From 8 down to -4 in steps of 1.2, rounded, and half of all mirrored about 1.
    for value in [8.0, 7.0, 6.0, 4.0, 3.0, -2.0, -6.0] {
        let bins = match value {
            6.0 | 4.0 | -2.0 => 2, // One bin, and the mirror image of a different one.
            _ => 1,
        };
        let expected = 20_000 * bins / 22;
        let found = count("Plain", Some(value));
        assert!(found.abs_diff(expected) < 240, "{value}");
    }
    // Bins of the op's own range, mirrored about 0: -2 comes from both ends.
    assert!(count("Mirrored", Some(-2.0)).abs_diff(20_000 / 11) < 240);
}

#[test]
fn a_stated_bin_is_the_strength_of_every_op() {
    let executor = executor(&sampler(3, Some(10)));
    for step in keys(200).flat_map(|key| executor.plan(key, &Workspace::new()).steps) {
        let value = match step.op.as_str() {
            "Mirrored" => step.value.abs() == 2.0,
            "Plain" => [-4.0, 6.0].contains(&step.value),
            _ => step.value == 0.0,
        };
        assert!(value, "{step:?}");
    }
}
