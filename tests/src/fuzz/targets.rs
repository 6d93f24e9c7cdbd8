//! The fuzz target of what moves along with an image.

use arbitrary::{Result, Unstructured};
use faa_op::{DrawKey, Size};
use faa_ops_builtin::builtin_ops;
use faa_policy::{
    BoundingBox, Erased, Executor, Keypoint, Mask, Policy, RotatedBox, Targets, Workspace,
};

use super::executor::rule;
use super::input::{number, picture};

/// Applies any policy to any image with masks, and with boxes and points of any numbers.
///
/// # Panics
///
/// If the image is not what it is without them, if a label appears from nowhere, if something is left outside
/// of the image, or if the plan gives anything else.
pub fn targets(bytes: &[u8]) {
    // Input that is too short is no finding.
    let _ = apply(&mut Unstructured::new(bytes));
}

/// What moves along.
#[derive(Clone, Debug)]
struct Given {
    narrow: Vec<u8>,
    wide: Vec<u16>,
    boxes: [BoundingBox; 3],
    rotated: [RotatedBox; 2],
    polygons: [Vec<[f64; 2]>; 2],
    points: [Keypoint; 2],
}

fn apply(input: &mut Unstructured<'_>) -> Result<()> {
    let policy = Policy::new("any", rule(input)?);
    let Ok(executor) = Executor::builtin(&policy) else {
        return Ok(());
    };
    let key = DrawKey::new(input.arbitrary()?, input.arbitrary()?, input.arbitrary()?);
    let source = picture(input)?;
    let size = Size {
        width: source.width,
        height: source.height,
    };
    let erased = *input.choose(&[Erased::Occluded, Erased::Removed])?;
    let (min_visible, min_size) = (number(input)?, number(input)?);
    let mut four = || {
        Ok([
            number(input)?,
            number(input)?,
            number(input)?,
            number(input)?,
        ])
    };
    let mut bounding = || {
        let [left, top, right, bottom] = four()?;
        Ok(BoundingBox::new(left, top, right, bottom))
    };
    let boxes = [bounding()?, bounding()?, bounding()?];
    let mut turned = |box_: &BoundingBox| {
        let centre = [box_.left, box_.top];
        Ok(RotatedBox::new(
            centre,
            box_.right,
            box_.bottom,
            number(input)?,
        ))
    };
    let rotated = [turned(&boxes[0])?, turned(&boxes[1])?];
    let points = rotated.map(|it| Keypoint::new(it.centre[0], it.centre[1]));
    let area = size.width * size.height;
    let given = Given {
        narrow: (0..area).map(|index| index as u8 | 1).collect(),
        wide: (0..area).map(|index| index as u16 | 1).collect(),
        boxes,
        rotated,
        polygons: [
            boxes.iter().map(|it| [it.left, it.top]).collect(),
            boxes
                .iter()
                .map(|it| [it.right, it.left])
                .chain([[0.0, 0.0]])
                .collect(),
        ],
        points,
    };

    let partner = source.clone();
    let partners = [partner.view()];
    let own = &mut Workspace::with_partners(&partners);
    let mut alone = source.clone();
    let expected = executor.apply(&mut alone.view_mut(), key, own);
    let plan = executor.plan(key, own);
    let mut results = [false, true].map(|by_plan| {
        let (mut image, mut given) = (source.clone(), given.clone());
        let mut masks = [
            Mask::u8(&mut given.narrow, size, 0).expect("a label per pixel"),
            Mask::u16(&mut given.wide, size, 0).expect("a label per pixel"),
        ];
        let mut targets = Targets::new();
        targets.masks = &mut masks;
        targets.boxes = &mut given.boxes;
        targets.rotated_boxes = &mut given.rotated;
        targets.polygons = &mut given.polygons;
        targets.keypoints = &mut given.points;
        (targets.limits.min_visible, targets.limits.min_size) = (min_visible, min_size);
        targets.erased = erased;
        let failed = if by_plan {
            let replayed =
                plan.replay_with_targets(&builtin_ops(), &mut image.view_mut(), &mut targets, own);
            replayed.is_err()
        } else {
            let view = &mut image.view_mut();
            executor
                .apply_with_targets(view, &mut targets, key, own)
                .is_err()
        };
        assert_eq!(failed, expected.is_err());
        (failed || image == alone).then_some(given)
    });
    let [found, replayed] = results
        .each_mut()
        .map(|it| it.take().expect("the image differs"));
    // Debug output, because a number that is none is not equal to itself.
    assert_eq!(format!("{found:?}"), format!("{replayed:?}"));
    if expected.is_ok() {
        check(&found, size);
    }
    Ok(())
}

fn check(found: &Given, size: Size) {
    let (width, height) = (size.width as f64, size.height as f64);
    let area = size.width * size.height;
    assert!(
        found
            .narrow
            .iter()
            .all(|&label| label == 0 || label & 1 == 1)
    );
    assert!(
        found
            .wide
            .iter()
            .all(|&label| label == 0 || usize::from(label) <= area.max(1) | 1)
    );
    for it in &found.boxes {
        assert!((0.0..=1.0).contains(&it.visible), "{it:?}");
        assert!(
            0.0 <= it.left && it.left <= it.right && it.right <= width,
            "{it:?}"
        );
        assert!(
            0.0 <= it.top && it.top <= it.bottom && it.bottom <= height,
            "{it:?}"
        );
    }
    for it in &found.rotated {
        assert!((0.0..=1.0).contains(&it.visible), "{it:?}");
    }
    for [x, y] in found.polygons.iter().flatten() {
        let inside = (0.0..=width).contains(x) && (0.0..=height).contains(y);
        assert!(inside, "{:?}", found.polygons);
    }
    for it in found.points.iter().filter(|it| it.visible) {
        let [x, y] = it.position;
        assert!(
            (0.0..=width).contains(&x) && (0.0..=height).contains(&y),
            "{it:?}"
        );
    }
}
