//! The fuzz target of whole policies.

use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use faa_op::{Call, DrawKey, ImageMut, ImageRef, OpError, OpErrorKind, OpSet, OpSpec, Scratch};
use faa_ops_builtin::SimdLevel;
use faa_policy::{
    ApplyError, Executor, Plan, Policy, ReplayErrorKind, Rule, Sampler, SamplerOp, SamplerValues,
    Step, Strength, Workspace,
};

use super::input::{number, picture, picture_like, unit_interval};
use crate::ways::{Picture, builtin_ops_by_level};

/// Applies any policy to any image, with partners or without, in every way, which must all give the
/// same bytes or the same error.
///
/// # Panics
///
/// If they do not.
pub fn executor(bytes: &[u8]) {
    // Input that is too short is no finding.
    let _ = apply(&mut Unstructured::new(bytes));
}

fn apply(input: &mut Unstructured<'_>) -> Result<()> {
    let policy = Policy::new("any", rule(input)?);
    // Only a sampler whose range is too large is refused.
    let Ok(executor) = Executor::builtin(&policy) else {
        return Ok(());
    };
    assert_eq!(Policy::parse(policy.to_json().as_bytes()), Ok(policy));
    let key = DrawKey {
        seed: input.arbitrary()?,
        epoch: input.arbitrary()?,
        index: input.arbitrary()?,
    };
    let source = picture(input)?;
    let partners: Vec<Picture> = match input.int_in_range(0..=7_u8)? {
        0 => Vec::new(),
        1 => vec![picture(input)?],
        count => (1..count)
            .map(|_| picture_like(input, &source))
            .collect::<Result<_>>()?,
    };
    let framed: Vec<_> = partners.iter().map(Picture::framed).collect();
    let partners: Vec<ImageRef<'_>> = framed.iter().map(|partner| partner.part()).collect();
    assert_same_in_every_way(&executor, &source, &partners, key);
    Ok(())
}

pub(super) fn rule(input: &mut Unstructured<'_>) -> Result<Rule> {
    if input.arbitrary()? {
        return Ok(Rule::Sampler(sampler(input)?));
    }
    let sub_policy = |input: &mut Unstructured<'_>| list(input, 5, step);
    Ok(Rule::SubPolicies(list(input, 3, sub_policy)?))
}

/// A list of one to `max` items.
fn list<'a, T>(
    input: &mut Unstructured<'a>,
    max: usize,
    item: impl Fn(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.int_in_range(1..=max)?;
    (0..count).map(|_| item(input)).collect()
}

fn maybe<'a, T>(
    input: &mut Unstructured<'a>,
    item: impl Fn(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Option<T>> {
    input.arbitrary::<bool>()?.then(|| item(input)).transpose()
}

/// A valid step.
fn step(input: &mut Unstructured<'_>) -> Result<Step> {
    let op = any_op(input)?;
    let probability = unit_interval(input)?;
    let strength = match op.value_range() {
        None if input.arbitrary()? => Strength::Unstated,
        Some(range) if input.arbitrary()? => {
            // Rounding may give a value beyond the end.
            let value = range.value_at(unit_interval(input)?);
            Strength::Value(value.clamp(range.low, range.high))
        }
        _ => Strength::Magnitude(unit_interval(input)?),
    };
    Ok(Step::new(op.name(), probability, strength))
}

fn sampler(input: &mut Unstructured<'_>) -> Result<Sampler> {
    let is_small = input.ratio(3_u8, 4_u8)?;
    let bins = input.int_in_range(2..=if is_small { 31 } else { Sampler::MAX_BINS })?;
    let is_short = input.ratio(15_u8, 16_u8)?;
    let max_count = if is_short { 6 } else { Sampler::MAX_COUNT };
    let count = input.int_in_range(1..=max_count)?;
    let bin = maybe(input, |input| input.int_in_range(0..=bins - 1))?;
    Ok(Sampler::new(count, bins, bin, list(input, 6, sampler_op)?))
}

fn sampler_op(input: &mut Unstructured<'_>) -> Result<SamplerOp> {
    let op = any_op(input)?;
    let values = |input: &mut Unstructured<'_>| {
        let (low, high) = (finite(input)?, finite(input)?);
        let mut values = SamplerValues::new(low, high, maybe(input, finite)?);
        values.integer = input.arbitrary()?;
        Ok(values)
    };
    let values = match op.value_range() {
        Some(_) => maybe(input, values)?,
        None => None,
    };
    Ok(SamplerOp::new(op.name(), values))
}

pub(super) fn any_op(input: &mut Unstructured<'_>) -> Result<&'static OpSpec> {
    let specs: Vec<&OpSpec> = LEVELS[0].1.iter().map(|op| op.spec()).collect();
    input.choose(&specs).copied()
}

fn finite(input: &mut Unstructured<'_>) -> Result<f64> {
    let number = number(input)?;
    Ok(if number.is_finite() { number } else { 0.0 })
}

/// The built-in ops at every SIMD level.
pub(super) static LEVELS: LazyLock<Vec<(SimdLevel, OpSet)>> = LazyLock::new(builtin_ops_by_level);

/// Applies a policy to an image in every way, replays its plan at every level, and applies the
/// plan's ops one by one, without an executor. All results must be the same.
pub(super) fn assert_same_in_every_way(
    executor: &Executor,
    source: &Picture,
    partners: &[ImageRef<'_>],
    key: DrawKey,
) {
    let framed = source.framed();
    let mut workspace = Workspace::with_partners(&partners);
    let mut applied = |apply: &mut Apply<'_>, start: Picture| {
        let mut result = start;
        apply(&mut result.view_mut(), &mut workspace).map(|()| result)
    };
    let in_place: &mut Apply<'_> = &mut |image, own| executor.apply(image, key, own);
    let first = applied(in_place, source.clone());
    let again = applied(in_place, source.clone());
    assert!(first == again, "the second run differs");
    for (from, whose) in [(source.view(), "contiguous"), (framed.part(), "larger")] {
        let apply_to: &mut Apply<'_> = &mut |image, own| executor.apply_to(from, image, key, own);
        assert!(
            first == applied(apply_to, source.blank()),
            "from a {whose} source"
        );
    }
    let mut pair = [source.clone(), source.clone()];
    let mut batch: Vec<_> = pair.iter_mut().map(|one| (key, one.view_mut())).collect();
    let batched = executor.apply_batch(&mut batch, &mut Workspace::with_partners(&partners));
    let batched = batched.map(|()| pair);
    let twice = first.clone().map(|one| [one.clone(), one]);
    assert!(twice == batched, "in a batch");
    if partners.is_empty() {
        let mut alone = source.clone();
        let applied = executor.apply(&mut alone.view_mut(), key, &mut Workspace::new());
        assert!(
            first == applied.map(|()| alone),
            "without the empty set of partners"
        );
        if let Some(op) = executor.partner_op() {
            let error = first.expect_err("the op needs partners");
            assert_eq!(
                (error.op(), error.kind()),
                (Some(op), &OpErrorKind::NoPartner)
            );
            return;
        }
    }
    let plan = executor.plan(key, &workspace);
    assert_eq!(plan, executor.plan(key, &workspace));
    // This fails if a value is not finite.
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).as_ref(), Ok(&plan));
    for (level, ops) in LEVELS.iter() {
        let mut result = source.clone();
        let replayed = plan.replay(ops, &mut result.view_mut(), &mut workspace);
        let replayed = replayed
            .map(|()| result)
            .map_err(|error| match error.kind() {
                ReplayErrorKind::Apply(error) => error.clone(),
                error => panic!("the plan is refused: {error:?}"),
            });
        assert!(first == replayed, "{plan:?} differs at {level}");
        let stepwise = one_by_one(&plan, ops, source, partners);
        let first = first.as_ref().map_err(ApplyError::kind);
        assert!(
            first == stepwise.as_ref().map_err(OpError::kind),
            "{plan:?} at {level}"
        );
    }
}

fn one_by_one(
    plan: &Plan,
    ops: &OpSet,
    source: &Picture,
    partners: &[ImageRef<'_>],
) -> std::result::Result<Picture, OpError> {
    let mut result = source.clone();
    let mut scratch = Scratch::new();
    for step in &plan.steps {
        let mut call = Call::new(step.seed, &mut scratch);
        call.partner = step.partner.map(|index| partners[index as usize]);
        let op = ops.get(&step.op).expect("plans name ops of the set");
        op.apply(&mut result.view_mut(), step.value, &mut call)?;
    }
    Ok(result)
}

type Apply<'a> =
    dyn FnMut(&mut ImageMut<'_>, &mut Workspace<'_>) -> std::result::Result<(), ApplyError> + 'a;
