use faa_op::{Channels, ImageMut, OpErrorKind};
use faa_policy::{
    ApplyError, Executor, Policy, PolicyErrorKind, Rule, Sampler, Step, Strength, Workspace,
};

use crate::doubles::{doubles, executor, key, policy, sampler};

#[test]
fn a_failing_op_is_named() {
    let executor = executor(&policy(&[&[("Failing", 1.0, 0.0)]]));
    let mut pixels = [0];
    let mut image = ImageMut::new(&mut pixels, 1, 1, Channels::L).unwrap();
    let applied = executor.apply(&mut image, key(0, 0, 0), &mut Workspace::new());
    let kind = OpErrorKind::Failed("on purpose".into());
    assert_eq!(applied, Err(ApplyError::new(Some("Failing"), kind)));
}

fn refusal(policy: &Policy) -> String {
    Executor::new(policy, &doubles()).err().unwrap().to_string()
}

/// What a step is, and what is wrong with it.
const STEPS: &str = "
    Plain   | 1   | value 10.5    | value: 10.5 is not within 0…10
    Plain   | 1   | magnitude NaN | magnitude: NaN is not within 0…1
    Plain   | 1   |               | magnitude: missing
    Plain   | 1.5 | magnitude 0   | probability: 1.5 is not within 0…1
    Failing | 1   | value 1       | value: the op takes no value
    Miror   | 1   | magnitude 0   | op: no op is named `Miror`; did you mean `Mirrored`?
    plain   | 1   | magnitude 0   | op: no op is named `plain`; did you mean `Plain`?";

#[test]
fn steps_that_cannot_be_resolved_are_refused_with_their_path() {
    for line in STEPS.trim().lines() {
        let [op, probability, strength, message] =
            line.split('|').map(str::trim).collect::<Vec<_>>()[..]
        else {
            panic!("{line}");
        };
        let strength = match strength.split_once(' ') {
            Some(("value", value)) => Strength::Value(value.parse().unwrap()),
            Some((_, magnitude)) => Strength::Magnitude(magnitude.parse().unwrap()),
            None => Strength::Unstated,
        };
        let step = Step::new(op, probability.parse().unwrap(), strength);
        let mut policy = policy(&[&[("Plain", 1.0, 0.0)]]);
        if let Rule::SubPolicies(sub_policies) = &mut policy.rule {
            sub_policies.push(vec![step]);
        }
        let message = format!("sub_policies[1][0].{message}");
        assert_eq!(refusal(&policy), message);
    }
    assert_eq!(refusal(&policy(&[])), "sub_policies: must not be empty");
    let empty = refusal(&policy(&[&[]]));
    assert_eq!(empty, "sub_policies[0]: must not be empty");
}

/// What a sampler's numbers are, and what is wrong with them.
const NUMBERS: &str = "
    count 0                            | count: 0 is not within 1…64
    bins 1                             | bins: 1 is not within 2…65536
    bin 11                             | bin: 11 is not within 0…10
    low NaN high 0                     | ops[1].low: NaN is not a finite number
    low -1e308 high 1e308              | ops[1].high: inf is not a finite number
    low 0 high 1 centre -inf           | ops[1].centre: -inf is not a finite number
    low 1e308 high 1e308 centre -1e308 | ops[1].centre: -inf is not a finite number";

#[test]
fn samplers_that_cannot_be_resolved_are_refused_with_their_path() {
    let refusal = |change: &dyn Fn(&mut Sampler)| {
        let mut policy = sampler(1, None);
        if let Rule::Sampler(sampler) = &mut policy.rule {
            change(sampler);
        }
        refusal(&policy)
    };
    for line in NUMBERS.trim().lines() {
        let (numbers, message) = line.split_once('|').unwrap();
        let change = |sampler: &mut Sampler| {
            let words: Vec<_> = numbers.split_whitespace().collect();
            for pair in words.chunks(2) {
                let number: f64 = pair[1].parse().unwrap();
                let values = sampler.ops[1].values.as_mut().unwrap();
                match pair[0] {
                    "count" => sampler.count = number as u32,
                    "bins" => sampler.bins = number as u32,
                    "bin" => sampler.bin = Some(number as u32),
                    "low" => values.low = number,
                    "high" => values.high = number,
                    _ => values.centre = Some(number),
                }
            }
        };
        let message = format!("sampler.{}", message.trim());
        assert_eq!(refusal(&change), message);
    }
    let empty = refusal(&|sampler| sampler.ops.clear());
    assert_eq!(empty, "sampler.ops: must not be empty");
    let unknown = refusal(&|sampler| sampler.ops[1].op = "Plane".into());
    let message = "sampler.ops[1].op: no op is named `Plane`; did you mean `Plain`?";
    assert_eq!(unknown, message);
    let fixed = refusal(&|sampler| sampler.ops[2].values = sampler.ops[1].values);
    assert_eq!(fixed, "sampler.ops[2].low: the op takes no value");
}

#[test]
fn a_check_finds_what_the_executor_would_refuse() {
    let error = policy(&[]).check(&doubles()).unwrap_err();
    assert_eq!(*error.kind(), PolicyErrorKind::Empty);
    assert_eq!(sampler(1, None).check(&doubles()), Ok(()));
}
