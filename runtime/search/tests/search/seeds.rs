//! The number of seeds of final trainings, if the configuration leaves it open.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use faa_search::files::with_checksum;
use faa_search::{Event, RunConfig};

use crate::fake_backend::{FakeBackend, config, run, run_on};

fn automatic() -> RunConfig {
    let mut config = config();
    config.final_trainings.seeds = None;
    config
}

/// A backend that trains this many images per second.
fn backend(rate: f64) -> FakeBackend {
    FakeBackend {
        rate: Some(rate),
        ..FakeBackend::default()
    }
}

/// Runs to the end, and returns the number of final trainings that were planned, of which each augmentation
/// has a number of seeds, and the reason for that.
fn planned(folder: &Path, config: &RunConfig, rate: f64) -> ([usize; 2], Option<String>) {
    let (summary, events) = run_on(folder, config, &mut [backend(rate)]);
    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0]);
    };
    let seeds = summary.unwrap().final_trainings[0].errors.len();
    let reason = plan.seed_count.map(|it| it.to_string());
    ([plan.final_trainings, seeds], reason)
}

/// Five augmentations, three seeds and two epochs of 60 images are 1,800 images.
#[test]
fn there_are_three_seeds_if_they_are_estimated_at_less_than_an_hour() {
    for (rate, counts, reason) in [
        (
            1.0,
            [15, 3],
            "3 seeds per final training, because all of them with 3 seeds were estimated at 30 min, under an hour",
        ),
        (
            0.5,
            [5, 1],
            "1 seed per final training, because all of them with 3 seeds were estimated at 60 min, over an hour",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let expected = (counts, Some(reason.to_owned()));
        assert_eq!(planned(folder.path(), &automatic(), rate), expected);
        let recorded = fs::read_to_string(folder.path().join("seeds.json")).unwrap();
        assert!(
            recorded.contains(&format!("\"seeds\": {},", counts[1])),
            "{recorded}"
        );
    }
}

/// On another machine, and also before the first training has begun.
#[test]
fn the_number_is_chosen_once() {
    for (first, second, counts) in [(100.0, 0.01, [15, 3]), (0.01, 100.0, [5, 1])] {
        for budget in [1, 62] {
            let folder = tempfile::tempdir().unwrap();
            let mut stopped = backend(first);
            stopped.budget = Some(budget);
            run(folder.path(), &automatic(), &mut stopped).unwrap_err();
            let (found, reason) = planned(folder.path(), &automatic(), second);
            assert_eq!(found, counts, "{reason:?}");
        }
    }
}

#[test]
fn a_number_that_is_given_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.final_trainings.seeds = NonZeroUsize::new(2);
    assert_eq!(planned(folder.path(), &config, 1e-9), ([10, 2], None));
    assert!(!folder.path().join("seeds.json").exists());
}

#[test]
fn nothing_is_chosen_without_final_trainings() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = automatic();
    config.final_trainings.augmentations.clear();
    run(folder.path(), &config, &mut backend(1.0)).unwrap();
    assert!(!folder.path().join("seeds.json").exists());
}

#[test]
fn a_number_that_is_never_chosen_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &automatic(), &mut backend(1.0)).unwrap();
    let huge = with_checksum(r#"{"seeds": 1000000000000, "estimated_seconds": 1.0}"#);
    fs::write(folder.path().join("seeds.json"), huge).unwrap();
    let error = run(folder.path(), &automatic(), &mut backend(1.0)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("seeds.json, line 1, is damaged"),
        "{message}"
    );
}
