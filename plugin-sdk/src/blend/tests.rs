use alloc::vec::Vec;

use super::*;

const CHANNELS: [Channels; 3] = [Channels::L, Channels::Rgb, Channels::Rgba];

/// `(level · (255 − weight) + color · weight) / 255` in floats, whose halves do not occur: 255 is odd.
fn expected(level: u8, color: u8, weight: u8) -> u8 {
    let [level, color, weight] = [level, color, weight].map(f64::from);
    ((level * (255.0 - weight) + color * weight) / 255.0 + 0.5) as u8
}

#[test]
fn levels_are_rounded_to_the_nearest() {
    for level in 0..=255 {
        for color in 0..=255 {
            for weight in 0..=255 {
                let found = blend_level(level, color, weight);
                assert_eq!(
                    found,
                    expected(level, color, weight),
                    "{level} {color} {weight}"
                );
            }
        }
    }
}

/// Blends an image by one weight or by those of its pixels, and compares each sample with [`blend_level`].
fn check(width: usize, height: usize, channels: Channels, color: [u8; 3], weights: &[u8]) {
    let count = channels.count();
    let sample = |index: usize| (index * 37 % 251 + index / 251) as u8;
    let source: Vec<u8> = (0..width * height * count).map(sample).collect();
    for even in [true, false] {
        let mut samples = source.clone();
        let mut image = ImageMut::new(&mut samples, width, height, channels).unwrap();
        match even {
            true => blend(&mut image, color, weights[0]),
            false => blend_weighted(&mut image, color, weights),
        }
        for (index, (&found, &level)) in samples.iter().zip(&source).enumerate() {
            let weight = weights[if even { 0 } else { index / count }];
            let color = color.get(index % count);
            let expected = color.map_or(level, |&color| blend_level(level, color, weight));
            assert_eq!(
                found, expected,
                "{index} of {width}×{height} {channels:?} {even}"
            );
        }
    }
}

#[test]
fn samples_of_whole_vectors_and_remainders_are_blended() {
    for channels in CHANNELS {
        for (width, height) in [(1, 1), (3, 1), (16, 1), (17, 1), (5, 7), (48, 2), (31, 33)] {
            let weights: Vec<u8> = (0..width * height)
                .map(|it| (it * 89 + it / 7) as u8)
                .collect();
            check(width, height, channels, [200, 0, 77], &weights);
            check(width, height, channels, [255, 128, 1], &weights);
        }
    }
}

#[test]
fn every_level_is_blended_by_every_weight() {
    let weights: Vec<u8> = (0..=255).flat_map(|weight| [weight; 256]).collect();
    let levels: Vec<u8> = (0..256).flat_map(|_| 0..=255).collect();
    for color in [0, 128, 225, 255] {
        let mut samples = levels.clone();
        let mut image = ImageMut::new(&mut samples, 256, 256, Channels::L).unwrap();
        blend_weighted(&mut image, [color, 1, 2], &weights);
        for (index, &found) in samples.iter().enumerate() {
            assert_eq!(found, blend_level(levels[index], color, weights[index]));
        }
    }
}

#[test]
#[should_panic(expected = "there is one weight for each pixel")]
fn weights_that_are_missing_are_noticed() {
    let mut samples = [0; 4];
    let mut image = ImageMut::new(&mut samples, 2, 2, Channels::L).unwrap();
    blend_weighted(&mut image, [0; 3], &[0; 3]);
}
