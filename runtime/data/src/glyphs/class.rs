//! The classes of both sets.

use super::shape::Shape;

/// A class: what its glyphs have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    /// Its name. The classes of a set are sorted by it.
    pub(super) name: &'static str,
    /// The glyph's shape.
    pub(super) shape: Shape,
    /// The glyph's rotation, in degrees.
    pub(super) turn: f64,
    /// The middle of the glyph's hues, in degrees, with red at 0, green at 120 and blue at 240; `None`
    /// for any hue.
    pub(super) hue: Option<f64>,
}

/// The classes of `glyphs`. Each differs from another only in its rotation by 45°, and all but two
/// differ from others only in their hue.
///
/// None changes when it is mirrored. Inverting the levels swaps red with cyan and orange with blue.
pub(super) const CLASSES: [Class; 10] = [
    square("blue-diamond", 45.0, 220.0),
    square("blue-square", 0.0, 220.0),
    plus("cross", 45.0),
    square("cyan-diamond", 45.0, 180.0),
    square("cyan-square", 0.0, 180.0),
    square("orange-diamond", 45.0, 40.0),
    square("orange-square", 0.0, 40.0),
    plus("plus", 0.0),
    square("red-diamond", 45.0, 0.0),
    square("red-square", 0.0, 0.0),
];

const fn square(name: &'static str, turn: f64, hue: f64) -> Class {
    Class {
        name,
        shape: Shape::Square,
        turn,
        hue: Some(hue),
    }
}

const fn plus(name: &'static str, turn: f64) -> Class {
    Class {
        name,
        shape: Shape::Plus,
        turn,
        hue: None,
    }
}

/// The classes of `glyphs:shifted`, which differ in shape.
pub(super) const SHAPES: [Class; 10] = [
    shape("arch", Shape::Arch),
    shape("crescent", Shape::Crescent),
    shape("disc", Shape::Disc),
    shape("heart", Shape::Heart),
    shape("hourglass", Shape::Hourglass),
    shape("plus", Shape::Plus),
    shape("ring", Shape::Ring),
    shape("square", Shape::Square),
    shape("star", Shape::Star),
    shape("triangle", Shape::Triangle),
];

const fn shape(name: &'static str, shape: Shape) -> Class {
    Class {
        name,
        shape,
        turn: 0.0,
        hue: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_names() {
        for classes in [CLASSES, SHAPES] {
            assert!(classes.map(|class| class.name).is_sorted());
        }
    }

    #[test]
    fn each_class_has_one_that_differs_in_rotation_only_and_most_in_hue_only() {
        for class in CLASSES {
            let same_shape = |other: &&Class| other.shape == class.shape;
            let alike = || CLASSES.iter().filter(same_shape);
            let turned = alike().filter(|it| it.hue == class.hue && it.turn != class.turn);
            let coloured = alike().filter(|it| it.turn == class.turn && it.hue != class.hue);
            let hues = if class.hue.is_some() { 3 } else { 0 };
            assert_eq!((turned.count(), coloured.count()), (1, hues), "{class:?}");
            // An inverted glyph of one class has the hue of another.
            let is_opposite = |it: &Class| {
                let [this, other] = [class.hue, it.hue].map(|hue| hue.unwrap_or_default());
                (this - other).abs() == 180.0
            };
            assert_eq!(alike().any(is_opposite), class.hue.is_some(), "{class:?}");
        }
    }
}
