//! The fuzz target of single ops.

use arbitrary::{Result, Unstructured};
use faa_op::Scratch;

use super::executor::{LEVELS, any_op};
use super::input::{number, picture, picture_like, unit_interval};
use crate::ways::Way;

/// Applies a built-in op with any value, seed and image, in every way and at every SIMD level. All must give
/// the same bytes, or the same error.
///
/// # Panics
///
/// If they do not.
pub fn op(bytes: &[u8]) {
    // Input that is too short is no finding.
    let _ = apply(&mut Unstructured::new(bytes));
}

fn apply(input: &mut Unstructured<'_>) -> Result<()> {
    let spec = any_op(input)?;
    let name = spec.name();
    let value = match spec.value_range() {
        Some(range) if input.ratio(1_u8, 2_u8)? => range.value_at(unit_interval(input)?),
        _ => number(input)?,
    };
    let seed = input.arbitrary()?;
    let source = picture(input)?;
    let partner = match input.int_in_range(0..=7_u8)? {
        0 => None,
        1 => Some(picture(input)?),
        _ => Some(picture_like(input, &source)?),
    };
    let partner = partner.as_ref();
    let mut scratch = Scratch::new();
    let mut expected = None;
    for (level, ops) in LEVELS.iter() {
        let op = ops
            .get(name)
            .expect("every level has the same ops")
            .as_ref();
        for way in Way::ALL {
            let result = way
                .apply(op, *level, &source, value, seed, partner, &mut scratch)
                // As text, because an error with a NaN is not equal to itself.
                .map_err(|error| error.to_string());
            let expected = expected.get_or_insert_with(|| result.clone());
            assert!(
                result == *expected,
                "{name} {value:?} seed {seed} {}x{} {:?}: {way:?} differs at {level}",
                source.width,
                source.height,
                source.channels,
            );
        }
    }
    Ok(())
}
