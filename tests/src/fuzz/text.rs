//! The fuzz targets of policy files and plans.

use std::sync::LazyLock;

use faa_op::text::is_display_control;
use faa_op::{DrawKey, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    Executor, MAX_BYTES, PackedImages, Plan, Policy, PolicyError, PolicyErrorKind, Workspace,
};

use super::executor::{LEVELS, assert_same_in_every_way};
use super::input::sample_picture;
use crate::ways::Picture;

/// Reads a policy file. If it can be read, it can be written and read again; if it can be applied, the result
/// is the same in every way.
///
/// # Panics
///
/// If one of these conditions does not hold.
pub fn policy(file: &[u8]) {
    let parsed = accepted(Policy::parse(file));
    // For larger files, one of the two may reach the size limit and the other not.
    if file.len() < MAX_BYTES / 32 {
        assert_eq!(serde_json::from_slice(file).ok(), parsed, "by serde");
    }
    let Some(policy) = parsed else {
        return;
    };
    assert_survives_writing(&policy);
    let checked = policy.check(&OPS);
    let executor = Executor::builtin(&policy);
    assert_eq!(checked.as_ref().err(), executor.as_ref().err());
    accepted(checked);
    let Ok(executor) = executor else {
        return;
    };
    let source = small_picture();
    let partners = [source.view()];
    for (seed, epoch, index) in [(0, 0, 0), (1, 0, 1), (u64::MAX, u32::MAX - 1, u64::MAX)] {
        let key = DrawKey { seed, epoch, index };
        assert_same_in_every_way(&executor, &source, &partners, key);
    }
}

/// Reads a policy in another program's format. If it can be read, it can be applied.
///
/// # Panics
///
/// If one of these conditions does not hold.
pub fn convert(file: &[u8]) {
    let Some(converted) = accepted(faa_policy::convert(file, "converted", &OPS)) else {
        return;
    };
    for warning in &converted.warnings {
        assert_is_clean(&warning.to_string());
    }
    assert_eq!(converted.policy.check(&OPS), Ok(()));
    assert_survives_writing(&converted.policy);
}

/// Reads a plan. If it can be read, it can be written and read again, and its replay gives the same result at
/// every SIMD level.
///
/// # Panics
///
/// If one of these conditions does not hold.
pub fn plan(file: &[u8]) {
    let Some(plan) = accepted(Plan::parse(file)) else {
        return;
    };
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).as_ref(), Ok(&plan));
    let source = small_picture();
    let shape = (source.width, source.height, source.channels);
    // Two partners, so that indices can be 0, 1 or out of range.
    let pair = [source.samples.as_slice(), source.blank().samples.as_slice()].concat();
    let partners = PackedImages::new(&pair, shape.0, shape.1, shape.2)
        .expect("the samples are those of two images");
    let mut workspace = Workspace::with_partners(&partners);
    let mut results = LEVELS.iter().map(|(_, ops)| {
        let mut result = source.clone();
        let replayed = plan.replay(ops, &mut result.view_mut(), &mut workspace);
        replayed.map(|()| result).map_err(|error| error.to_string())
    });
    let first = results.next();
    assert!(results.all(|result| Some(&result) == first.as_ref()));
}

static OPS: LazyLock<OpSet> = LazyLock::new(builtin_ops);

/// The accepted value. An error must have a message, and a kind that has one.
fn accepted<T>(result: Result<T, PolicyError>) -> Option<T> {
    let checked = result.inspect_err(|error| {
        assert!(!error.kind().to_string().is_empty());
        assert_is_clean(&error.to_string());
    });
    checked.ok()
}

/// A message, whatever is in the file, neither fills a terminal nor controls it.
fn assert_is_clean(message: &str) {
    let length = message.chars().count();
    assert!((1..=501).contains(&length), "{length} characters");
    assert!(!message.contains(is_display_control), "{message:?}");
}

fn assert_survives_writing(policy: &Policy) {
    let written = policy.to_json();
    match Policy::parse(written.as_bytes()) {
        Ok(again) => assert_eq!(*policy, again),
        // The written file may exceed the size limit, because it has more spaces.
        Err(error) => {
            let bytes = written.len();
            assert_eq!(*error.kind(), PolicyErrorKind::TooLarge { bytes });
            assert!(bytes > MAX_BYTES);
        }
    }
}

fn small_picture() -> Picture {
    sample_picture(5, 4)
}
