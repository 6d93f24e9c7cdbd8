//! What a page says about the noise of rewards, and what networks of folds were trained with.

use faa_search::config::FoldAugment;
use serde_json::json;

use super::{Run, assert_has, lines, search};

#[test]
fn candidates_that_were_scored_again_show_what_their_rewards_were_worth() {
    // All lose a hundredth, so that their order stays, but the best loses more and is not selected.
    let rescoring = |trial: usize| {
        let first = 0.5 + (trial * 7 % 30) as f64 / 100.0;
        let second = first - if trial == 17 { 0.25 } else { 0.01 };
        json!({"round": 0, "trial": trial, "first": first, "reward": second, "any": second,
            "mean": 0.4, "loss": 1.0, "seconds": 2.0})
    };
    let rescorings = lines(30, rescoring);
    let page = Run::new("folder:/no/such/folder")
        .fold(0, 0.9)
        .put("fold-0/rescorings.jsonl", &rescorings)
        .page();
    assert_has(
        &page,
        &[
            "✓ Reward reliability: 0.8",
            "reward ranks candidates reliably",
            "on fold 0 (20 candidates)",
            "The 3 × 5 candidates with the highest rewards",
            "round 0, trial 17: 0.7900, then 0.5400",
            // 0.79 to 0.65 on average, and 0.24 more are lost by one of fifteen.
            "finalists: 15</th><td>0.7200</td><td>0.6940</td><td>0.0260</td>",
            // 0.79 to 0.75.
            "best N by the first reward: 5</th><td>0.7700</td><td>0.7120</td><td>0.0580</td>",
            // 0.78 to 0.74.
            "selected: 5</th><td>0.7600</td><td>0.7500</td><td>0.0100</td>",
            "random: 20</th>",
        ],
    );
    let constant = lines(30, |trial| {
        let mut constant = rescoring(trial);
        constant["reward"] = json!(0.5);
        constant
    });
    let page = Run::new("folder:/no/such/folder")
        .fold(0, 0.9)
        .put("fold-0/rescorings.jsonl", &constant)
        .page();
    assert_has(&page, &["The reliability of the reward was not measured"]);
    // Second scorings without trials, or of others, do no harm.
    let page = Run::new("folder:/no/such/folder")
        .put("fold-0/rescorings.jsonl", &rescorings)
        .page();
    assert_has(&page, &["No trial has been made yet"]);
}

#[test]
fn what_the_networks_of_folds_are_trained_with_is_said() {
    let mut config = search("glyphs");
    assert_has(&Run::of(&config).page(), &["Cutout) without a policy."]);
    config.search.as_mut().unwrap().fold_augment = FoldAugment::Uniform;
    let words = "Cutout) after a random sub-policy for every image and epoch.";
    assert_has(&Run::of(&config).page(), &[words]);
}
