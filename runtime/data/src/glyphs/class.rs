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

/// The classes of `glyphs`. Each differs from one only in its rotation by 45°, and from four only in
/// their hue.
///
/// None changes when it is mirrored. Inverting the levels swaps red with cyan and orange with blue.
pub(super) const CLASSES: [Class; 10] = [
    square("blue-diamond", 45.0, 220.0),
    square("blue-square", 0.0, 220.0),
    square("cyan-diamond", 45.0, 180.0),
    square("cyan-square", 0.0, 180.0),
    square("green-diamond", 45.0, 120.0),
    square("green-square", 0.0, 120.0),
    square("orange-diamond", 45.0, 40.0),
    square("orange-square", 0.0, 40.0),
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
    fn each_class_has_one_that_differs_in_rotation_only_and_four_in_hue_only() {
        for class in CLASSES {
            let turned = |it: &&Class| it.hue == class.hue && it.turn != class.turn;
            let coloured = |it: &&Class| it.turn == class.turn && it.hue != class.hue;
            let counts = (
                CLASSES.iter().filter(turned).count(),
                CLASSES.iter().filter(coloured).count(),
            );
            assert_eq!(counts, (1, 4), "{class:?}");
        }
    }
}
