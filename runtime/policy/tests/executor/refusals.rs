use faa_op::{Channels, ImageMut, OpErrorKind};
use faa_policy::{Executor, Policy, PolicyErrorKind, Rule, Sampler, Step, Strength, Workspace};

use crate::doubles::{doubles, key, policy, sampler};

#[test]
fn a_failing_op_is_named() {
    let executor = Executor::new(&policy(&[&[("Failing", 1.0, 0.0)]]), &doubles()).unwrap();
    let mut pixels = [0];
    let mut image = ImageMut::new(&mut pixels, 1, 1, Channels::L).unwrap();
    let error = executor
        .apply(&mut image, key(0, 0, 0), &mut Workspace::new())
        .unwrap_err();
    assert_eq!(error.op(), Some("Failing"));
    assert_eq!(*error.kind(), OpErrorKind::Failed("on purpose".into()));
}

fn refusal(policy: &Policy) -> String {
    Executor::new(policy, &doubles()).err().unwrap().to_string()
}

#[test]
fn steps_that_cannot_be_resolved_are_refused_with_their_path() {
    let unknown = policy(&[&[("Plain", 1.0, 0.0)], &[("Miror", 1.0, 0.0)]]);
    let message = "sub_policies[1][0].op: no op is named `Miror`; did you mean `Mirrored`?";
    assert_eq!(refusal(&unknown), message);
    let strength = |op: &str, strength| {
        let step = Step::new(op, 1.0, strength);
        refusal(&Policy::of_sub_policies("test", vec![vec![step]]))
    };
    let (nan, plain) = (Strength::Magnitude(f64::NAN), "Plain");
    for (refused, message) in [
        (
            strength(plain, Strength::Value(10.5)),
            "[0][0].value: 10.5 is not within 0…10",
        ),
        (
            strength(plain, nan),
            "[0][0].magnitude: NaN is not within 0…1",
        ),
        (
            strength(plain, Strength::Unstated),
            "[0][0].magnitude: missing",
        ),
        (
            strength("Failing", Strength::Value(1.0)),
            "[0][0].value: the op takes no value",
        ),
        (refusal(&policy(&[])), ": must not be empty"),
        (refusal(&policy(&[&[]])), "[0]: must not be empty"),
        (
            refusal(&policy(&[&[(plain, 1.5, 0.0)]])),
            "[0][0].probability: 1.5 is not within 0…1",
        ),
    ] {
        assert_eq!(refused, format!("sub_policies{message}"));
    }
}

#[test]
fn samplers_that_cannot_be_resolved_are_refused_with_their_path() {
    let refusal = |change: &dyn Fn(&mut Sampler)| {
        let mut policy = sampler(1, None);
        if let Rule::Sampler(sampler) = &mut policy.rule {
            change(sampler);
        }
        refusal(&policy)
    };
    let value = |low, high, centre| {
        refusal(&|sampler| {
            let values = sampler.ops[1].values.as_mut().unwrap();
            (values.low, values.high, values.centre) = (low, high, centre);
        })
    };
    let plane = refusal(&|sampler| sampler.ops[1].op = "Plane".into());
    let fixed = refusal(&|sampler| sampler.ops[2].values = sampler.ops[1].values);
    let centre = "ops[1].centre: -inf is not a finite number";
    for (refused, message) in [
        (
            refusal(&|sampler| sampler.count = 0),
            "count: 0 is not within 1…64",
        ),
        (
            refusal(&|sampler| sampler.bins = 1),
            "bins: 1 is not within 2…65536",
        ),
        (
            refusal(&|sampler| sampler.bin = Some(11)),
            "bin: 11 is not within 0…10",
        ),
        (
            refusal(&|sampler| sampler.ops.clear()),
            "ops: must not be empty",
        ),
        (
            plane,
            "ops[1].op: no op is named `Plane`; did you mean `Plain`?",
        ),
        (fixed, "ops[2].low: the op takes no value"),
        (
            value(f64::NAN, 0.0, None),
            "ops[1].low: NaN is not a finite number",
        ),
        (
            value(-1e308, 1e308, None),
            "ops[1].high: inf is not a finite number",
        ),
        (value(0.0, 1.0, Some(f64::NEG_INFINITY)), centre),
        (value(1e308, 1e308, Some(-1e308)), centre),
    ] {
        assert_eq!(refused, format!("sampler.{message}"));
    }
}

#[test]
fn a_check_finds_what_the_executor_would_refuse() {
    let error = policy(&[]).check(&doubles()).unwrap_err();
    assert_eq!(*error.kind(), PolicyErrorKind::Empty);
    assert_eq!(sampler(1, None).check(&doubles()), Ok(()));
}
