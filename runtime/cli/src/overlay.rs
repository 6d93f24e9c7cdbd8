//! Boxes, outlines, keypoints and masks, drawn on pictures.

use faa_data::{LabelMask, MaskLabels, Object};
use image::{Rgb, RgbImage};

/// How much of the colour of a label or a shape is mixed into the picture, of 256.
const TINT: u32 = 112;

/// Draws on a picture that is `scale` times as wide and as high as the one that these are of. Labels that are 0
/// are not drawn, and the fill is grey, if it is a different one.
pub(crate) fn draw<'o>(
    picture: &mut RgbImage,
    scale: [f64; 2],
    objects: impl Iterator<Item = &'o Object> + Clone,
    mask: Option<(&LabelMask, u16)>,
) {
    if let Some((mask, fill)) = mask {
        let label = |x: u32, y: u32| {
            let at = (y * mask.width + x) as usize;
            match &mask.labels {
                MaskLabels::U8(labels) => u16::from(labels[at]),
                MaskLabels::U16(labels) => labels[at],
            }
        };
        let (width, height) = (mask.width, mask.height);
        tint(picture, |[x, y]| {
            let x = ((x / scale[0]) as u32).min(width - 1);
            let label = label(x, ((y / scale[1]) as u32).min(height - 1));
            match label {
                0 => None,
                _ if label == fill => Some(GREY),
                _ => Some(colour(u64::from(label))),
            }
        });
    }
    for object in objects.clone() {
        let colour = colour(object.class);
        if let Some(region) = &object.region {
            let (width, pixels) = (region.width() as usize, region.pixels());
            tint(picture, |[x, y]| {
                let at = (y / scale[1]) as usize * width + ((x / scale[0]) as usize).min(width - 1);
                (pixels.get(at) == Some(&1)).then_some(colour)
            });
        }
        for outline in &object.outlines {
            let corners: Vec<_> = outline.iter().map(|it| scaled(*it, scale)).collect();
            tint(picture, |point| {
                is_inside(point, &corners).then_some(colour)
            });
            let next = corners.iter().cycle().skip(1);
            for (from, to) in corners.iter().zip(next) {
                line(picture, *from, *to, colour);
            }
        }
    }
    // Boxes and points are on top of all shapes.
    for object in objects {
        let colour = colour(object.class);
        if let Some([left, top, right, bottom]) = object.bounds {
            let corners = [[left, top], [right, bottom]].map(|it| scaled(it, scale));
            frame(picture, corners, colour);
        }
        for point in object.keypoints.iter().filter(|it| it.visibility > 0) {
            let [x, y] = scaled(point.position, scale).map(|at| at.floor() as i64);
            for (radius, colour) in [(2, BLACK), (1, colour)] {
                for (x, y) in (x - radius..=x + radius)
                    .flat_map(|x| (y - radius..=y + radius).map(move |y| (x, y)))
                {
                    put(picture, x, y, colour);
                }
            }
        }
    }
}

const GREY: [u8; 3] = [128; 3];
const BLACK: [u8; 3] = [0; 3];

/// Bright colours that differ for neighbouring numbers: hues that are a golden angle apart.
fn colour(class: u64) -> [u8; 3] {
    const GOLDEN: f64 = 137.507_764;
    let hue = (class % 3600) as f64 * GOLDEN % 360.0 / 60.0;
    let channel = |offset: f64| {
        let at = (hue + offset) % 6.0;
        let level = at.min(4.0 - at).clamp(0.0, 1.0);
        (255.0 * (1.0 - 0.9 * level)) as u8
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

fn scaled(point: [f64; 2], scale: [f64; 2]) -> [f64; 2] {
    // Files may hold any numbers, and lines are drawn pixel by pixel. Pictures are much smaller than this.
    const FAR: f64 = 1e4;
    [0, 1].map(|axis| (point[axis] * scale[axis]).clamp(-FAR, FAR))
}

/// Mixes a colour into each pixel that has one, by the position of its centre.
fn tint(picture: &mut RgbImage, colour: impl Fn([f64; 2]) -> Option<[u8; 3]>) {
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if let Some(colour) = colour([f64::from(x) + 0.5, f64::from(y) + 0.5]) {
            for (old, new) in pixel.0.iter_mut().zip(colour) {
                *old = ((u32::from(*old) * (256 - TINT) + u32::from(new) * TINT) / 256) as u8;
            }
        }
    }
}

/// Whether a ray from the point crosses the sides an odd number of times.
fn is_inside([x, y]: [f64; 2], corners: &[[f64; 2]]) -> bool {
    let next = corners.iter().cycle().skip(1);
    let crosses = |(from, to): &(&[f64; 2], &[f64; 2])| {
        (from[1] > y) != (to[1] > y)
            && x < from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0])
    };
    corners.iter().zip(next).filter(crosses).count() % 2 == 1
}

/// Two pixels of colour within an edge, and a dark one on both sides, so that it is seen on any picture.
fn frame(picture: &mut RgbImage, [[left, top], [right, bottom]]: [[f64; 2]; 2], colour: [u8; 3]) {
    let [left, top] = [left, top].map(|edge| edge.round() as i64);
    let [right, bottom] = [right, bottom].map(|edge| edge.round() as i64 - 1);
    for (inset, colour) in [(-1, BLACK), (2, BLACK), (0, colour), (1, colour)] {
        let (left, right) = (left + inset, right - inset);
        let (top, bottom) = (top + inset, bottom - inset);
        if left > right || top > bottom {
            continue;
        }
        for x in left..=right {
            put(picture, x, top, colour);
            put(picture, x, bottom, colour);
        }
        for y in top..=bottom {
            put(picture, left, y, colour);
            put(picture, right, y, colour);
        }
    }
}

fn line(picture: &mut RgbImage, from: [f64; 2], to: [f64; 2], colour: [u8; 3]) {
    let [across, down] = [to[0] - from[0], to[1] - from[1]];
    let steps = across.abs().max(down.abs()).ceil().max(1.0);
    for step in 0..=steps as u32 {
        let part = f64::from(step) / steps;
        let [x, y] = [from[0] + part * across, from[1] + part * down];
        put(picture, x.floor() as i64, y.floor() as i64, colour);
    }
}

/// Overwrites a pixel, if it is in the picture.
fn put(picture: &mut RgbImage, x: i64, y: i64, colour: [u8; 3]) {
    let position = u32::try_from(x).ok().zip(u32::try_from(y).ok());
    if let Some(pixel) = position.and_then(|(x, y)| picture.get_pixel_mut_checked(x, y)) {
        *pixel = Rgb(colour);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::iter;

    use super::*;

    #[test]
    fn colours_of_neighbours_differ() {
        let colours: BTreeSet<_> = (0..40).map(colour).collect();
        assert_eq!(colours.len(), 40);
        for class in 0..40 {
            let [a, b] = [colour(class), colour(class + 1)];
            let away: u32 = iter::zip(a, b).map(|(a, b)| u32::from(a.abs_diff(b))).sum();
            assert!(away > 150, "{a:?} {b:?}");
            assert!(a.iter().any(|level| *level > 200), "{a:?} is dark");
        }
    }

    #[test]
    fn what_is_drawn_is_where_it_is() {
        let mut picture = RgbImage::from_pixel(40, 20, Rgb([255; 3]));
        let object = Object {
            class: 1,
            bounds: Some([5.0, 2.0, 15.0, 9.0]),
            outlines: vec![vec![[16.0, 1.0], [19.0, 1.0], [19.0, 4.0]]],
            ..Object::default()
        };
        draw(&mut picture, [2.0, 2.0], iter::once(&object), None);
        let at = |x, y| picture.get_pixel(x, y).0;
        let colour = colour(1);
        for (x, y) in [
            (10, 4),
            (29, 17),
            (10, 17),
            (29, 4),
            (11, 10),
            (20, 5),
            (32, 2),
            (38, 2),
        ] {
            assert_eq!(at(x, y), colour, "{x}, {y}");
        }
        for (x, y) in [(9, 4), (30, 10), (12, 10), (20, 18)] {
            assert_eq!(at(x, y), BLACK, "{x}, {y}");
        }
        assert_eq!(
            (at(20, 10), at(33, 7), at(2, 2)),
            ([255; 3], [255; 3], [255; 3])
        );
        assert!(![[255; 3], colour].contains(&at(36, 4)), "it is tinted");
    }
}
