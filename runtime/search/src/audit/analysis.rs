use super::findings::{Audit, Measured, Mistake, OpAudit, Safety, WorstClass};
use super::interval::{Differences, Interval};
use super::point::{ClassTally, Point};
use crate::config::{AuditConfig, AuditedOp, Tolerance};

/// What the points amount to; ops without any are left out. Labels are indices into `classes`.
///
/// A value is unsafe if the lower end of its drop in accuracy exceeds what is accepted, of all images or
/// of any class, so that noise makes none unsafe. The intervals of classes are widened for there being
/// several (Bonferroni), and groups of images count as one observation each. Safe ranges are counted from each op's start to the last value before the first
/// unsafe one, in each direction.
pub fn analyse(config: &AuditConfig, points: &[Point], classes: &[String]) -> Audit {
    let tolerance = config.tolerance;
    let whole = points.first().map_or(&[][..], |point| &point.classes);
    let images = whole.iter().map(|it| it.images).sum();
    let before: usize = whole.iter().map(|it| it.before).sum();
    let op = |op: &AuditedOp| {
        let own = points.iter().filter(|point| point.op == op.op);
        let own: Vec<_> = own.map(|it| measured(it, classes, tolerance)).collect();
        (!own.is_empty()).then(|| op_audit(op, own))
    };
    Audit {
        images,
        accuracy: before as f64 / images.max(1) as f64,
        loss: mean(whole, |it| it.loss_before),
        tolerance,
        ops: config.ops.iter().filter_map(op).collect(),
    }
}

/// The mean over images of a mean over each class's images.
fn mean(classes: &[ClassTally], of: impl Fn(&ClassTally) -> f64) -> f64 {
    let images: usize = classes.iter().map(|it| it.images).sum();
    let sum: f64 = classes.iter().map(|it| it.images as f64 * of(it)).sum();
    sum / images.max(1) as f64
}

/// The drop of these classes together.
fn drop<'a>(
    classes: impl IntoIterator<Item = &'a ClassTally>,
    draws: usize,
    comparisons: usize,
) -> Interval {
    let draws = draws as f64;
    let mut total = Differences::default();
    for class in classes {
        total.images += class.images as f64;
        total.sizes += class.sizes as f64;
        total.sum += class.before as f64 - class.after as f64 / draws;
        total.squares += class.squares as f64 / (draws * draws);
    }
    total.interval(comparisons)
}

fn accuracy<'a>(classes: impl IntoIterator<Item = &'a ClassTally>, draws: usize) -> f64 {
    let counts = classes.into_iter().map(|it| (it.after, it.images));
    let (after, images) = counts.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    after as f64 / (images * draws).max(1) as f64
}

fn measured(point: &Point, names: &[String], tolerance: Tolerance) -> Measured {
    let drop_of_all = drop(&point.classes, point.draws, 1);
    let worst = worst_class(point, names);
    let exceeds = |drop: &Interval, accepted: f64| drop.low > accepted;
    let of_worst = worst.as_ref();
    Measured {
        value: point.value,
        accuracy: accuracy(&point.classes, point.draws),
        loss: mean(&point.classes, |it| it.loss_after),
        drop: drop_of_all,
        is_unsafe: exceeds(&drop_of_all, tolerance.overall)
            || of_worst.is_some_and(|it| exceeds(&it.drop, tolerance.class)),
        worst,
    }
}

fn worst_class(point: &Point, names: &[String]) -> Option<WorstClass> {
    let has_images = |(_, class): &(usize, &ClassTally)| class.images > 0;
    let present = || point.classes.iter().enumerate().filter(has_images);
    let comparisons = present().count();
    let drops = present().map(|(label, class)| (label, drop([class], point.draws, comparisons)));
    // In reverse, so that the first of equals is named.
    let drops: Vec<_> = drops.collect();
    let worst = drops.iter().rev();
    let (label, drop) = worst.max_by(|a, b| a.1.low.total_cmp(&b.1.low))?;
    let class = &point.classes[*label];
    let name = |label: usize| {
        let name = names.get(label).cloned();
        name.unwrap_or_else(|| format!("class {label}"))
    };
    Some(WorstClass {
        class: name(*label),
        images: class.images,
        accuracy: accuracy([class], point.draws),
        loss: class.loss_after,
        drop: *drop,
        mistaken_for: class.confusion.map(|it| Mistake {
            class: name(it.class as usize),
            count: it.count,
            image: it.image,
            draw: it.draw,
        }),
    })
}

/// Finds the safe range among the measurements of an op.
fn op_audit(op: &AuditedOp, mut points: Vec<Measured>) -> OpAudit {
    points.sort_by(|a, b| a.value.partial_cmp(&b.value).expect("values are finite"));
    let any_unsafe = points.iter().any(|it| it.is_unsafe);
    let (safety, safe) = match op.start {
        None if any_unsafe => (Safety::Unsafe, None),
        None => (Safety::Safe, None),
        Some(start) => {
            let valued = points
                .iter()
                .filter_map(|it| Some((it.value?, it.is_unsafe)));
            let last_safe = |values: &mut dyn Iterator<Item = (f64, bool)>| {
                let safe = values.take_while(|(_, is_unsafe)| !is_unsafe);
                safe.last().map_or(start, |(value, _)| value)
            };
            let low = last_safe(&mut valued.clone().rev().filter(|(value, _)| *value < start));
            let high = last_safe(&mut valued.clone().filter(|(value, _)| *value > start));
            let start_is_unsafe = valued.clone().any(|it| it == (start, true));
            match (low, high) {
                _ if start_is_unsafe => (Safety::Unsafe, None),
                (low, high) if low == high => (Safety::Unsafe, None),
                range if any_unsafe => (Safety::Partly, Some(range.into())),
                range => (Safety::Safe, Some(range.into())),
            }
        }
    };
    OpAudit {
        op: op.op.clone(),
        unit: op.unit.clone(),
        start: op.start,
        safety,
        safe,
        points,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::audit::Confusion;

    fn config(op: AuditedOp) -> AuditConfig {
        AuditConfig::new(vec![op], 0.25, Tolerance::new(0.05, 0.1))
    }

    fn rotate(values: &[f64]) -> AuditedOp {
        let mut op = AuditedOp::new("Rotate", NonZeroUsize::MIN);
        (op.unit, op.start, op.values) = ("degrees".to_owned(), Some(0.0), values.to_vec());
        op
    }

    /// A class of 40 images that were all right, of which `broken` are not any more.
    fn class(broken: usize) -> ClassTally {
        let confusion = Confusion {
            class: 0,
            count: broken,
            image: 7,
            draw: 0,
        };
        ClassTally {
            images: 40,
            sizes: 40,
            before: 40,
            after: 40 - broken,
            squares: broken as u64,
            loss_before: 0.5,
            loss_after: 1.0,
            confusion: (broken > 0).then_some(confusion),
        }
    }

    fn point(op: &str, value: Option<f64>, broken: &[usize]) -> Point {
        Point {
            op: op.to_owned(),
            value,
            draws: 1,
            seconds: 1.0,
            classes: broken.iter().map(|it| class(*it)).collect(),
        }
    }

    fn names() -> Vec<String> {
        let names = (0..10).map(|label| format!("class-{label}"));
        names.collect()
    }

    /// Rotate, with these numbers of each class's images broken at each value.
    fn audited(broken: &[(f64, &[usize])]) -> OpAudit {
        let values: Vec<f64> = broken.iter().map(|it| it.0).collect();
        let points = broken.iter();
        let points = points.map(|(value, broken)| point("Rotate", Some(*value), broken));
        let points: Vec<Point> = points.collect();
        analyse(&config(rotate(&values)), &points, &names())
            .ops
            .remove(0)
    }

    const NONE: [usize; 10] = [0; 10];
    /// Half of the images of class 3 are broken, which is 5 % of all.
    const ONE_CLASS: [usize; 10] = [0, 0, 0, 20, 0, 0, 0, 0, 0, 0];
    const ALL: [usize; 10] = [9; 10];

    #[test]
    fn safe_ranges_are_contiguous_and_may_differ_between_directions() {
        let found = audited(&[
            (-30.0, &NONE),
            (-20.0, &ALL),
            (-10.0, &NONE),
            (10.0, &NONE),
            (20.0, &NONE),
            (30.0, &ONE_CLASS),
        ]);
        assert_eq!(
            (found.safety, found.safe),
            (Safety::Partly, Some([-10.0, 20.0]))
        );
        let first: Vec<_> = found.first_unsafe().map(|it| it.value).collect();
        assert_eq!(first, [Some(-20.0), Some(30.0)]);
        // 20 of 30 degrees are nearer than 30 of 30.
        let nearest = found.nearest_unsafe().unwrap();
        assert_eq!(nearest.value, Some(-20.0));
        assert_eq!(found.safe_values(), "−10 to 20°");
    }

    #[test]
    fn a_class_that_breaks_is_found_where_all_together_do_not() {
        let found = audited(&[(10.0, &NONE), (20.0, &ONE_CLASS)]);
        let point = &found.points[1];
        assert!(point.is_unsafe && point.drop.low < 0.05, "{point:?}");
        let worst = point.worst.as_ref().unwrap();
        assert_eq!(
            (worst.class.as_str(), worst.images, worst.accuracy),
            ("class-3", 40, 0.5)
        );
        assert!(worst.drop.low > 0.1 && worst.drop.estimate == 0.5);
        assert_eq!(
            found.sentence(),
            "safe up to 10°; beyond, `class-3` becomes `class-0`"
        );
    }

    /// Two of 40 images of a class are within noise, wherever they are.
    #[test]
    fn what_noise_explains_is_not_unsafe() {
        let noise: Vec<[usize; 10]> = (0..10)
            .map(|class| {
                let mut broken = NONE;
                broken[class] = 2;
                broken[(class + 3) % 10] = 1;
                broken
            })
            .collect();
        let values = (1_u8..).map(f64::from).zip(&noise);
        let values: Vec<(f64, &[usize])> = values.map(|(value, it)| (value, &it[..])).collect();
        let found = audited(&values);
        assert_eq!(
            (found.safety, found.safe),
            (Safety::Safe, Some([0.0, 10.0]))
        );
        assert_eq!(found.sentence(), "nothing unsafe found");
        assert_eq!(found.safe_values(), "all (up to 10°)");
    }

    #[test]
    fn an_op_without_a_value_is_safe_or_not() {
        let op = || AuditedOp::new("Invert", NonZeroUsize::MIN);
        let of = |broken: &[usize]| {
            let points = [point("Invert", None, broken)];
            analyse(&config(op()), &points, &names()).ops.remove(0)
        };
        let (good, bad) = (of(&NONE), of(&ONE_CLASS));
        assert_eq!((good.safety, bad.safety), (Safety::Safe, Safety::Unsafe));
        assert_eq!(
            (good.safe_values(), bad.safe_values()),
            ("yes".into(), "no".into())
        );
        assert_eq!(bad.sentence(), "unsafe: `class-3` becomes `class-0`");
        assert_eq!(bad.nearest_unsafe().unwrap().value, None);
    }

    #[test]
    fn an_op_that_is_unsafe_at_once_has_no_safe_range() {
        let found = audited(&[(-10.0, &ALL), (10.0, &ALL), (20.0, &NONE)]);
        assert_eq!((found.safety, found.safe), (Safety::Unsafe, None));
        let found = audited(&[(0.0, &ALL), (10.0, &NONE)]);
        assert_eq!((found.safety, found.safe), (Safety::Unsafe, None));
    }

    #[test]
    fn means_are_over_images_and_ops_without_points_are_left_out() {
        let mut points = [point("Rotate", Some(5.0), &[0, 10])];
        points[0].classes[1].images = 10;
        points[0].classes[1].sizes = 10;
        points[0].classes[1].before = 10;
        points[0].classes[1].after = 0;
        points[0].classes[1].loss_before = 3.0;
        let mut config = config(rotate(&[5.0]));
        config.ops.push(AuditedOp::new("Invert", NonZeroUsize::MIN));
        let audit = analyse(&config, &points, &names());
        assert_eq!(
            (audit.images, audit.accuracy, audit.ops.len()),
            (50, 1.0, 1)
        );
        assert_eq!(audit.loss, (40.0 * 0.5 + 10.0 * 3.0) / 50.0);
        assert_eq!(audit.ops[0].points[0].accuracy, 0.8);
    }

    /// Draws of one image are not independent, so more of them do not narrow the interval as images do.
    #[test]
    fn draws_of_one_image_count_as_one() {
        let one = |draws: usize| {
            let class = ClassTally {
                after: 30 * draws,
                squares: (10 * draws * draws) as u64,
                ..class(10)
            };
            drop([&class], draws, 1)
        };
        assert_eq!(one(1), one(4));
    }
}
