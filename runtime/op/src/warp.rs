use crate::{ImageMut, ImageRef};

/// Width and height of an image in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// A position in an image: to the right of the left edge, and down from the top edge, in pixels.
///
/// Pixel (`x`, `y`) covers `x … x + 1` and `y … y + 1`, so its centre is (`x` + ½, `y` + ½), and an image
/// of `width` × `height` pixels covers `0 … width` and `0 … height`.
pub type Point = [f64; 2];

/// Where an op takes the pixels of its result from: what masks, boxes and keypoints need in order to follow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warp {
    /// The op does not say.
    Unknown,
    /// Every pixel stays in its place, whatever becomes of its colour.
    Identity,
    /// Every pixel is taken from where a map leads, by [the rule of Pillow](Affine#sampling).
    Affine(Affine),
    /// A rectangle is painted over; every other pixel stays in its place.
    Erase(Rectangle),
    /// Every pixel is taken from where [`Op::field`](crate::Op::field) leads.
    Field,
}

/// One pixel in the numbers of [`Op::field`](crate::Op::field): they have eight bits of fraction.
pub const FIELD_ONE: i32 = 256;

/// Pixels from `left` to below `right` and from `top` to below `bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type's page says what the four are")]
pub struct Rectangle {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

/// An affine map from the positions of a result to those of its source: [a, b, c, d, e, f] leads from
/// ([x, y](Point)) to (a·x + b·y + c, d·x + e·y + f).
///
/// This is the `data` of Pillow's `Image.transform(size, AFFINE, data)`.
///
/// # Sampling
///
/// A pixel of the result is the pixel of the source in which the map of its centre lies, or the fill if that
/// is outside. Pillow's nearest-neighbour sampling, which this is to the pixel, computes that map in one of
/// three ways, and so decides differently about centres that fall within rounding of an edge:
///
/// 1. If b = d = 0, in double precision for columns and rows apart: that of the first pixel is c + a·0.5 (and
///    f + e·0.5), and a (e) is added for each further one.
/// 2. Otherwise, if all four corners of the image are mapped to within −32,768 … 32,768, excluding both, in
///    16.16 fixed point: each coefficient and the first centre, c + a·0.5 + b·0.5 (and f + d·0.5 + e·0.5), are
///    `floor(65536·v + 0.5)`, and sums are exact.
/// 3. Otherwise in double precision: from c + b·0.5 + a·0.5 (f + e·0.5 + d·0.5) on, b (e) is added for each
///    further row, and from there a (d) for each further column.
///
/// Negative results are outside; others are truncated. Integral moves, flips and turns by multiples of 90° are exact in
/// all three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Warp {
    /// That the pixels of a rectangle are painted over, which may be none.
    pub fn erase(area: Rectangle) -> Self {
        if area.left < area.right && area.top < area.bottom {
            Self::Erase(area)
        } else {
            Self::Identity
        }
    }
}

impl Affine {
    /// The map that leads every position to itself.
    pub const IDENTITY: Self = Self([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// Where the map leads.
    pub fn map(&self, [x, y]: Point) -> Point {
        let [a, b, c, d, e, f] = self.0;
        [a * x + b * y + c, d * x + e * y + f]
    }

    /// The map that leads where `next` leads from where this one does.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let ([a, b, _, d, e, _], [p, q, _, s, t, _]) = (self.0, next.0);
        let [c, f] = next.map([self.0[2], self.0[5]]);
        Self([
            p * a + q * d,
            p * b + q * e,
            c,
            s * a + t * d,
            s * b + t * e,
            f,
        ])
    }

    /// By which factor the map enlarges areas; negative if it mirrors.
    pub fn determinant(&self) -> f64 {
        let [a, b, _, d, e, _] = self.0;
        a * e - b * d
    }

    /// The map from positions of the source to those of the result; `None` if there is none, or if it is not
    /// finite.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, c, d, e, f] = self.0;
        let by = self.determinant();
        let inverse = [
            e / by,
            -b / by,
            (b * f - c * e) / by,
            -d / by,
            a / by,
            (c * d - a * f) / by,
        ];
        let finite = inverse.iter().all(|number| number.is_finite());
        finite.then_some(Self(inverse))
    }
}

impl Default for Affine {
    fn default() -> Self {
        Self::IDENTITY
    }
}

impl ImageRef<'_> {
    /// Width and height.
    pub fn size(&self) -> Size {
        let (width, height) = (self.width(), self.height());
        Size { width, height }
    }
}

impl ImageMut<'_> {
    /// Width and height.
    pub fn size(&self) -> Size {
        self.as_ref().size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_followed_one_after_the_other_and_back() {
        let first = Affine([0.9, 0.3, 5.0, -0.2, 1.1, -7.0]);
        let second = Affine([0.0, -1.0, 32.0, 1.0, 0.0, 0.0]);
        let point = [11.5, 3.25];
        let both = first.then(&second).map(point);
        assert_eq!(both, second.map(first.map(point)));
        let there = first.then(&first.inverse().unwrap());
        for (found, expected) in there.0.iter().zip(Affine::IDENTITY.0) {
            assert!((found - expected).abs() < 1e-14, "{there:?}");
        }
        assert_eq!(second.determinant(), 1.0);
    }

    #[test]
    fn a_map_without_an_inverse_has_none() {
        for matrix in [
            [1.0, 2.0, 0.0, 2.0, 4.0, 0.0],
            [0.0; 6],
            [1.0, 0.0, f64::INFINITY, 0.0, 1.0, 0.0],
            [1.0, 0.0, f64::NAN, 0.0, 1.0, 0.0],
            [1e-300, 0.0, 1e300, 0.0, 1e-300, 0.0],
        ] {
            assert_eq!(Affine(matrix).inverse(), None, "{matrix:?}");
        }
    }

    #[test]
    fn an_empty_rectangle_erases_nothing() {
        let area = |right, bottom| Rectangle {
            left: 2,
            top: 3,
            right,
            bottom,
        };
        assert_eq!(Warp::erase(area(2, 9)), Warp::Identity);
        assert_eq!(Warp::erase(area(9, 0)), Warp::Identity);
        assert_eq!(Warp::erase(area(3, 4)), Warp::Erase(area(3, 4)));
    }
}
