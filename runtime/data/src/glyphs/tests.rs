use std::num::NonZeroUsize;

use super::*;
use crate::dataset::Split;
use crate::spec::DataSpec;

/// Both sets: whether it is the shifted one, its images' side, and the number of training images.
const SETS: [(bool, usize, usize); 2] = [(false, 16, 500), (true, 32, 1_000)];

fn glyphs(shifted: bool, seed: u64) -> Dataset {
    let spec = DataSpec::Glyphs { shifted, seed };
    Dataset::load(&spec, &LoadOptions::default()).unwrap()
}

fn digest(bytes: &[u8]) -> u64 {
    faa_system::fnv1a(bytes.iter().copied())
}

/// A change to any of these numbers makes a different data set, whose results cannot be compared
/// with earlier ones; the changelog has to say so.
#[test]
fn the_pictures_are_the_same_everywhere_and_always() {
    let digests = [
        (false, 0x1396_fff6_7528_4efb, 0xe6e5_d6dc_5feb_8073),
        (true, 0xe751_3a3e_d00c_1335, 0x7268_672a_3e51_ba5a),
    ];
    for (shifted, train, test) in digests {
        let data = glyphs(shifted, 0);
        assert_eq!(digest(&data.train.pixels), train, "shifted: {shifted}");
        assert_eq!(digest(&data.test.pixels), test, "shifted: {shifted}");
        assert_eq!(data, glyphs(shifted, 0));
    }
}

#[test]
fn classes_are_balanced_and_take_turns() {
    for (shifted, side, train_images) in SETS {
        let data = glyphs(shifted, 3);
        assert_eq!(data.classes.len(), 10);
        assert_eq!((data.width, data.height), (side, side));
        assert_eq!((data.train.len(), data.test.len()), (train_images, 2000));
        for split in [&data.train, &data.test] {
            assert_eq!(split.pixels.len(), split.len() * side * side * 3);
            for (turn, labels) in split.labels.chunks(10).enumerate() {
                assert_eq!(labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "turn {turn}");
            }
        }
    }
}

#[test]
fn no_picture_occurs_twice_in_splits_or_seeds() {
    for (shifted, _, train_images) in SETS {
        let (one, other) = (glyphs(shifted, 0), glyphs(shifted, 1));
        let splits = [&one.train, &one.test, &other.train, &other.test];
        let mut pictures: Vec<_> = splits.iter().flat_map(|split| split.iter()).collect();
        pictures.sort_unstable();
        pictures.dedup_by_key(|(picture, _)| *picture);
        assert_eq!(pictures.len(), 2 * (train_images + 2_000));
    }
}

#[test]
fn the_test_split_varies_more_in_its_light_in_the_shifted_set_only() {
    let ratio = |shifted| {
        let data = glyphs(shifted, 0);
        // How far apart a picture's values are goes with the light on it and with its contrast.
        let deviations = |split: &Split| -> Vec<f64> {
            let of = |(picture, _): (&[u8], u32)| deviation(picture.iter().map(|&v| f64::from(v)));
            split.iter().map(of).collect()
        };
        let [train, test] = [&data.train, &data.test]
            .map(deviations)
            .map(|all| deviation(all.into_iter()));
        test / train
    };
    assert!(ratio(true) > 1.2, "{}", ratio(true));
    assert!((0.9..1.1).contains(&ratio(false)), "{}", ratio(false));
}

/// What the set is made for: mirroring changes no label, and `Invert` swaps colours.
#[test]
fn a_class_has_the_hue_of_its_name() {
    let data = glyphs(false, 0);
    // The mean colour of a class, relative to that of all images.
    let mean = |wanted: &dyn Fn(&str) -> bool| -> [f64; 3] {
        let of_class = |label: u32| wanted(&data.classes[label as usize]);
        let images = data.test.iter().filter(|&(_, label)| of_class(label));
        let mut sum = [0.0; 3];
        let mut pixels = 0.0;
        for (picture, _) in images {
            for pixel in picture.as_chunks::<3>().0 {
                pixels += 1.0;
                for (sum, &value) in sum.iter_mut().zip(pixel) {
                    *sum += f64::from(value);
                }
            }
        }
        sum.map(|sum| sum / pixels)
    };
    let all = mean(&|_| true);
    let tint = |name: &str| {
        let class = mean(&|class: &str| class.starts_with(name));
        let tint = [0, 1, 2].map(|channel| class[channel] - all[channel]);
        // How much light fell on the class by chance is no part of its hue.
        let light = tint.iter().sum::<f64>() / 3.0;
        tint.map(|channel| channel - light)
    };
    let [red, cyan] = ["red", "cyan"].map(tint);
    assert!(red[0] > 5.0 && red[1] < 0.0 && red[2] < 0.0, "{red:?}");
    assert!(cyan[0] < -5.0 && cyan[1] > 0.0 && cyan[2] > 0.0, "{cyan:?}");
    let [orange, blue] = ["orange", "blue"].map(tint);
    assert!(orange[0] > 0.0 && orange[2] < -5.0, "{orange:?}");
    assert!(blue[0] < 0.0 && blue[2] > 5.0, "{blue:?}");
}

fn deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let count = values.len() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares = values.map(|value| (value - mean) * (value - mean));
    (squares.sum::<f64>() / count).sqrt()
}

#[test]
fn only_their_own_size_can_be_asked_for() {
    for (shifted, side, _) in SETS {
        let load = |size| {
            let spec = DataSpec::Glyphs { shifted, seed: 0 };
            Dataset::load(&spec, &LoadOptions::sized(Some(size)))
        };
        assert_eq!(load(side as u32).unwrap().width, side);
        let refused = load(64).unwrap_err().to_string();
        let expected =
            "`--image-size 64` is not possible for this data set; its images are drawn at";
        assert_eq!(
            refused,
            format!("{expected} {side}×{side}; omit the option")
        );
    }
}

#[test]
fn a_preview_draws_the_chosen_images_only() {
    let spec = DataSpec::Glyphs {
        shifted: true,
        seed: 1,
    };
    let count = NonZeroUsize::new(3).unwrap();
    let preview = Dataset::preview(&spec, &LoadOptions::default(), count).unwrap();
    let whole = glyphs(true, 1);
    assert_eq!(preview.train_images, 1_000);
    let Dataset { train, test, .. } = preview.dataset;
    for (chosen, index) in [0, 333, 666].into_iter().enumerate() {
        assert_eq!(train.image(chosen), whole.train.image(index));
        assert_eq!(train.labels[chosen], whole.train.labels[index]);
    }
    assert_eq!((train.len(), test.len()), (3, 0));
}
