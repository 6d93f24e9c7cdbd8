//! Targets that are given a file.

use std::sync::LazyLock;

use faa_op::{DrawKey, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    Executor, MAX_BYTES, PackedImages, Plan, Policy, PolicyError, PolicyErrorKind, Workspace,
    convert,
};

use super::executor::{LEVELS, assert_draw_is_one};
use super::input::sample_picture;
use crate::ways::Picture;

/// Reads a policy file. What can be read can be written and read again, and what can be applied is
/// applied alike in every way.
///
/// # Panics
///
/// If that is not so.
pub fn policy(file: &[u8]) {
    let parsed = accepted(Policy::parse(file));
    // Larger files may reach the limit with one of the two and not with the other.
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
        assert_draw_is_one(&executor, &source, &partners, key);
    }
}

/// Reads a policy that another program wrote. What can be read is a policy that can be applied.
///
/// # Panics
///
/// If that is not so.
pub fn foreign(file: &[u8]) {
    let Some(converted) = accepted(convert(file, "converted", &OPS)) else {
        return;
    };
    for warning in &converted.warnings {
        assert!(!warning.to_string().is_empty());
    }
    assert_eq!(converted.policy.check(&OPS), Ok(()));
    assert_survives_writing(&converted.policy);
}

/// Reads a plan. What can be read can be written and read again, and is replayed or refused.
///
/// # Panics
///
/// If that is not so, or if a replay depends on the vector instructions.
pub fn plan(file: &[u8]) {
    let Some(plan) = accepted(Plan::parse(file)) else {
        return;
    };
    assert_eq!(Plan::parse(plan.to_json().as_bytes()).as_ref(), Ok(&plan));
    let source = small_picture();
    let shape = (source.width, source.height, source.channels);
    // Two of them, so that there is an index beyond the first and one beyond the set.
    let pair = [
        source.samples.as_slice(),
        source.spoilt().samples.as_slice(),
    ]
    .concat();
    let partners = PackedImages::new(&pair, shape.0, shape.1, shape.2).expect("two whole images");
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

/// What was accepted. An error has a message.
fn accepted<T>(result: Result<T, PolicyError>) -> Option<T> {
    result
        .inspect_err(|error| assert!(!error.kind().to_string().is_empty()))
        .ok()
}

fn assert_survives_writing(policy: &Policy) {
    let written = policy.to_json();
    match Policy::parse(written.as_bytes()) {
        Ok(again) => assert_eq!(*policy, again),
        // Written files have more spaces than some of those that are read.
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
