use std::num::NonZeroUsize;

use super::*;
use crate::dataset::Split;
use crate::spec::DataSpec;

fn glyphs(seed: u64) -> Dataset {
    Dataset::load(&DataSpec::Glyphs { seed }, &LoadOptions::default()).unwrap()
}

fn digest(bytes: &[u8]) -> u64 {
    faa_system::fnv1a(bytes.iter().copied())
}

/// A change to any of these numbers makes a different data set, whose results cannot be compared
/// with earlier ones; the changelog has to say so.
#[test]
fn the_pictures_are_the_same_everywhere_and_always() {
    let data = glyphs(0);
    assert_eq!(digest(&data.train.pixels), 0xe751_3a3e_d00c_1335);
    assert_eq!(digest(&data.test.pixels), 0x7268_672a_3e51_ba5a);
    assert_eq!(data, glyphs(0));
}

#[test]
fn classes_are_balanced_and_take_turns() {
    let data = glyphs(3);
    assert_eq!(data.classes.len(), 10);
    assert_eq!((data.width, data.height), (32, 32));
    assert_eq!((data.train.len(), data.test.len()), (1000, 2000));
    for split in [&data.train, &data.test] {
        assert_eq!(split.pixels.len(), split.len() * 32 * 32 * 3);
        for (turn, labels) in split.labels.chunks(10).enumerate() {
            assert_eq!(labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "turn {turn}");
        }
    }
}

#[test]
fn no_picture_occurs_twice_in_splits_or_seeds() {
    let (one, other) = (glyphs(0), glyphs(1));
    let splits = [&one.train, &one.test, &other.train, &other.test];
    let mut pictures: Vec<_> = splits.iter().flat_map(|split| split.iter()).collect();
    pictures.sort_unstable();
    pictures.dedup_by_key(|(picture, _)| *picture);
    assert_eq!(pictures.len(), 2 * (TRAIN_IMAGES + TEST_IMAGES));
}

#[test]
fn the_test_split_varies_more_in_its_light() {
    let data = glyphs(0);
    // How far apart a picture's values are goes with the light on it and with its contrast.
    let deviations = |split: &Split| -> Vec<f64> {
        let of = |(picture, _): (&[u8], u32)| deviation(picture.iter().map(|&v| f64::from(v)));
        split.iter().map(of).collect()
    };
    let [train, test] = [&data.train, &data.test]
        .map(deviations)
        .map(|all| deviation(all.into_iter()));
    assert!(test > 1.2 * train, "{test} {train}");
}

fn deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let count = values.len() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares = values.map(|value| (value - mean) * (value - mean));
    (squares.sum::<f64>() / count).sqrt()
}

#[test]
fn only_their_own_size_can_be_asked_for() {
    let load = |size| {
        let options = LoadOptions::sized(Some(size));
        Dataset::load(&DataSpec::Glyphs { seed: 0 }, &options)
    };
    assert_eq!(load(32).unwrap().width, 32);
    let refused = load(64).unwrap_err().to_string();
    assert!(
        refused.starts_with("`--image-size 64` is not possible"),
        "{refused}"
    );
}

#[test]
fn a_preview_draws_the_chosen_images_only() {
    let spec = DataSpec::Glyphs { seed: 1 };
    let count = NonZeroUsize::new(3).unwrap();
    let preview = Dataset::preview(&spec, &LoadOptions::default(), count).unwrap();
    let whole = glyphs(1);
    assert_eq!(preview.train_images, TRAIN_IMAGES);
    let Dataset { train, test, .. } = preview.dataset;
    for (chosen, index) in [0, 333, 666].into_iter().enumerate() {
        assert_eq!(train.image(chosen), whole.train.image(index));
        assert_eq!(train.labels[chosen], whole.train.labels[index]);
    }
    assert_eq!((train.len(), test.len()), (3, 0));
}
