//! Pages of small runs that are written by hand.

mod comparisons;
mod halving;
mod rescoring;

use std::fs;
use std::num::NonZeroUsize;

use faa_policy::{Policy, Step, Strength, SubPolicy};
use faa_search::config::{Augmentation, Preset, RunConfig};
use faa_search::directory::FORMAT;
use faa_search::files::with_checksum;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A run directory under construction.
pub(super) struct Run(pub(super) TempDir);

impl Run {
    /// A search that has just begun, with two folds of 30 trials and a top n of five.
    pub(super) fn new(data: &str) -> Self {
        Self::of(&search(data))
    }

    fn of(config: &RunConfig) -> Self {
        let json = json!({
            "format": FORMAT, "version": "0.0.0", "config": config, "data_digest": "0"
        });
        Self(tempfile::tempdir().unwrap()).put("run.json", &json.to_string())
    }

    /// Writes a file, with checksums where it is whole JSON. Of a log, a last line without its end is kept.
    pub(super) fn put(self, name: &str, text: &str) -> Self {
        let with_checksum = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(_)) => with_checksum(line),
            _ => line.to_owned(),
        };
        let text = match name.ends_with(".jsonl") {
            true => text.split_inclusive('\n').map(with_checksum).collect(),
            false if name == "policy.json" => text.to_owned(),
            false => with_checksum(text),
        };
        let file = self.0.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self
    }

    /// A finished fold whose trials apply their steps with this probability.
    fn fold(self, fold: usize, probability: f64) -> Self {
        let evaluation = r#"{"error": 0.125, "loss": 0.5}"#;
        self.put(&format!("fold-{fold}/epochs.jsonl"), &epochs())
            .put(&format!("fold-{fold}/evaluation.json"), evaluation)
            .put(&format!("fold-{fold}/trials.jsonl"), &trials(probability))
    }

    fn policy(self, probability: f64) -> Self {
        let policy = Policy::of_sub_policies("found", candidate(probability));
        self.put("policy.json", &policy.to_json())
    }

    fn final_training(self, training: &str, error: f64) -> Self {
        let evaluation = json!({"error": error, "loss": 1.0}).to_string();
        self.put(&format!("final/{training}/epochs.jsonl"), &epochs())
            .put(&format!("final/{training}/evaluation.json"), &evaluation)
    }

    fn page(&self) -> String {
        let options = ReportOptions {
            images: Some(2),
            ..ReportOptions::default()
        };
        let out = write(self.0.path(), &options).unwrap();
        assert_eq!(out, self.0.path().join("report.html"));
        fs::read_to_string(out).unwrap()
    }
}

fn search(data: &str) -> RunConfig {
    let mut config = RunConfig::for_search(Preset::Demo, data);
    config.common.training.epochs = 3.try_into().unwrap();
    let search = config.search.as_mut().unwrap();
    search.ops = ["Invert", "Rotate"].map(str::to_owned).to_vec();
    search.trials = 30.try_into().unwrap();
    search.top_n = 5.try_into().unwrap();
    let baselines = [
        Augmentation::None,
        Augmentation::Cutout,
        Augmentation::Random,
    ];
    config.final_trainings.augmentations = [&baselines[..], &[Augmentation::Policy]].concat();
    config.final_trainings.seeds = NonZeroUsize::new(1);
    config
}

fn lines(count: usize, line: impl Fn(usize) -> Value) -> String {
    (0..count)
        .map(|number| line(number).to_string() + "\n")
        .collect()
}

fn epochs() -> String {
    let epoch = |epoch: usize| {
        json!({"epoch": epoch, "loss": 2.0 - epoch as f64 / 2.0, "error": 0.5,
            "learning_rate": 0.1, "seconds": 40.0, "images": 32})
    };
    lines(3, epoch)
}

fn candidate(probability: f64) -> Vec<SubPolicy> {
    let step = |op, magnitude| Step::new(op, probability, Strength::Magnitude(magnitude));
    vec![
        vec![step("Invert", 0.5), step("Rotate", 0.9)],
        vec![step("Rotate", 0.1), step("Invert", 0.2)],
    ]
}

fn trials(probability: f64) -> String {
    let short = |step: &Step| match step.strength {
        Strength::Magnitude(magnitude) => json!([step.op, step.probability, magnitude]),
        _ => Value::Null,
    };
    let candidate: Vec<Vec<Value>> = (candidate(probability).iter())
        .map(|steps| steps.iter().map(short).collect())
        .collect();
    let trial = |trial: usize| {
        let reward = 0.5 + (trial * 7 % 30) as f64 / 100.0;
        json!({"round": 0, "trial": trial, "reward": reward, "any": reward, "mean": 0.4,
            "loss": 1.0, "seconds": 2.0, "candidate": candidate})
    };
    lines(30, trial)
}

/// Two classes of plain images, enough of them that what policies do to them is not a matter of luck.
fn data_set() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, images) in [("train", 16), ("test", 1)] {
        for (class, shade) in [("cat", 60), ("dog", 90)] {
            let folder = folder.path().join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for image in 0..images {
                let pixels = RgbImage::from_pixel(8, 8, Rgb([shade; 3]));
                pixels.save(folder.join(format!("{image}.png"))).unwrap();
            }
        }
    }
    folder
}

fn whole(data: &TempDir, probability: f64) -> Run {
    Run::new(&format!("folder:{}", data.path().display()))
        .fold(0, probability)
        .fold(1, probability)
        .policy(probability)
        .put("summary.json", "{}")
        .final_training("none-0", 0.4)
        .final_training("cutout-0", 0.375)
        .final_training("random-0", 0.3)
        .final_training("policy-0", 0.25)
}

fn assert_has(page: &str, all: &[&str]) {
    for text in all {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
}

#[test]
fn a_whole_run_has_every_section() {
    let data = data_set();
    let page = whole(&data, 0.9).page();
    for id in "configuration training reward ops policy images final_trainings".split(' ') {
        assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert_has(
        &page,
        &[
            "finished",
            "60 of 60 trials, 4 of 4 final trainings",
            // The last of thirty trials by reward is number 17: 7 · 17 = 119 ≡ 29.
            "<dd>0.7900<small>fold 0, round 0, trial 17</small></dd>",
            "policy 25.00\u{a0}%<small>none 40.00\u{a0}%, cutout 37.50\u{a0}%, random 30.00\u{a0}%</small>",
            "No sign of a collapse to the identity",
            "2 images, 2 columns",
            "error 12.5\u{a0}%, loss 0.500 nats",
            // Two folds and four final trainings of 3 × 40 s, 60 trials of 2 s.
            "14 min 0 s<small>summed over jobs: fold trainings 4 min 0 s, trials 2 min 0 s, \
             final trainings 8 min 0 s</small>",
            // Trial 17 is among the first 20 of a round, which are random.
            "Best of 20 random candidates: 0.7900 expected (beyond 20 random trials there is no \
             estimate).",
            Augmentation::Policy.description(),
        ],
    );
    // Two originals, and two sub-policies of each.
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 6);
    let rest = page.replacen("http-equiv", "", 1);
    for external in ["<script", "<link", "http", "url(", "@import"] {
        assert!(!rest.contains(external), "{external}");
    }
    for undefined in ["\"NaN", "MNaN", " NaN", "\"inf", "Minf", " inf "] {
        assert!(!page.contains(undefined), "{undefined}");
    }
}

#[test]
fn a_page_changes_nothing_and_is_the_same_again() {
    let data = data_set();
    let run = whole(&data, 0.9);
    let log = run.0.path().join("fold-0/trials.jsonl");
    let before = fs::read(&log).unwrap();
    assert_eq!(run.page(), run.page());
    assert_eq!(fs::read(&log).unwrap(), before);
}

#[test]
fn a_search_that_learnt_to_do_nothing_is_found_out() {
    let data = data_set();
    let page = whole(&data, 0.04).page();
    // (1 − 0.04)² against ¼.
    assert_has(
        &page,
        &[
            "⚠ The search has moved towards doing nothing",
            "92.2\u{a0}%",
            "25.0\u{a0}%: more than 1.5 times as often",
            ": less than 50\u{a0}% of that",
        ],
    );
    assert!(!page.contains("No sign"));
}

#[test]
fn a_run_that_has_just_begun_says_so() {
    let page = Run::new("glyphs").page();
    assert_has(
        &page,
        &[
            "unfinished",
            "0 of 60 trials, 0 of 4 final trainings",
            "No fold has been begun yet",
            "No trial has been made yet",
            "There is no policy yet",
            "No images are shown: there is no policy yet",
            "No final training has finished yet",
        ],
    );
}

#[test]
fn the_hardware_of_a_run_is_shown() {
    let absent = Run::new("glyphs").page();
    assert!(!absent.contains("Hardware"));
    let of = |build: &str, device: &str| {
        let environment = json!({"build": build, "device": device, "threads": 2, "jobs": 1,
            "scoring": "bf16", "training": "float32", "processor": "<b>Xeon</b> & co",
            "libtorch": "2.11.0"});
        format!("{environment}\n")
    };
    let line = |device| of("a", device);
    let continued = "This run was continued on different hardware";
    let rebuilt = "This run was continued by a different build";
    let one = Run::new("glyphs")
        .put("environment.jsonl", &line("cpu"))
        .page();
    assert_has(
        &one,
        &["Hardware", "&lt;b&gt;Xeon&lt;/b&gt; &amp; co", "bf16"],
    );
    assert!(!one.contains("<b>") && !one.contains(continued));
    let lines = format!("{}{}", line("cpu"), line("cuda"));
    let two = Run::new("glyphs").put("environment.jsonl", &lines).page();
    assert_has(&two, &["<td>cpu</td><td>cuda</td>", continued]);
    assert!(!two.contains(rebuilt));
    let lines = format!("{}{}", line("cpu"), of("b", "cpu"));
    let builds = Run::new("glyphs").put("environment.jsonl", &lines).page();
    assert_has(&builds, &["<td>a</td><td>b</td>", rebuilt]);
    assert!(!builds.contains(continued));
}

#[test]
fn an_unfinished_search_shows_what_it_would_merge() {
    let torn = format!("{}{{\"round\":0,\"tri", trials(0.9));
    let run = Run::new("folder:/no/such/folder")
        .fold(0, 0.9)
        .put("fold-0/trials.jsonl", &torn);
    assert_has(
        &run.page(),
        &[
            "30 of 60 trials",
            "The search has not written its policy yet",
            "10 sub-policies; each image draws one",
            "No images are shown: /no/such/folder is not a folder",
            "By how much pixels change was not measured: /no/such/folder",
            "Too few candidates to tell",
        ],
    );
}

#[test]
fn what_comes_from_a_run_is_escaped() {
    let evil = "<script>alert(\"1\")</script>";
    let trials = trials(0.9).replace("Rotate", "<script>");
    let policy = Policy::of_sub_policies(evil, candidate(0.9)).to_json();
    let run = Run::new(&format!("folder:{evil}"))
        .fold(0, 0.9)
        .put("fold-0/trials.jsonl", &trials)
        .put("policy.json", &policy.replace("Rotate", "<script>"))
        .final_training("<script>-0", 0.5);
    let page = run.page();
    assert!(!page.contains("<script"), "{page}");
    assert_has(
        &page,
        &["&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"],
    );
}

#[test]
fn a_fold_that_diverged_is_pointed_out() {
    let run = Run::new("folder:/no/such/folder").fold(0, 0.9).put(
        "fold-1/diverged.json",
        r#"{"epoch": 12, "learning_rate": 0.1}"#,
    );
    assert_has(
        &run.page(),
        &[
            "⚠ The training of fold 1 diverged",
            "The loss became infinite or NaN in epoch 13, at learning rate 0.1.",
            "The fold has no trials and adds nothing to the policy",
            "The training of this fold diverged",
        ],
    );
}

#[test]
fn a_training_has_the_sections_that_it_needs() {
    let sampler = r#"{"format": "faa-policy", "version": 1, "name": "trivial", "sampler":
        {"count": 1, "bins": 31, "ops": [{"op": "Invert"}, {"op": "Rotate"}]}}"#;
    let data = data_set();
    let data = format!("folder:{}", data.path().display());
    let mut config = RunConfig::for_training(Preset::Demo, &data);
    config.final_trainings.augmentations = vec![Augmentation::Cutout, Augmentation::Policy];
    config.final_trainings.seeds = NonZeroUsize::new(2);
    config.final_trainings.policy = Some(Policy::parse(sampler.as_bytes()).unwrap());
    let run = Run::of(&config)
        .put("policy.json", sampler)
        .final_training("policy-0", 0.25)
        .final_training("policy-1", 0.26);
    let page = run.page();
    assert_has(
        &page,
        &[
            "<h1>Training on folder:",
            "2 of 4 final trainings",
            "Each image draws 1 op one by one, uniformly from 2",
            "25.50 ± 0.71\u{a0}%",
            "0 of 2",
            "draw 7",
            "see the policy below",
        ],
    );
    for absent in ["id=\"training\"", "id=\"reward\"", "id=\"ops\""] {
        assert!(!page.contains(absent), "{absent}");
    }
}

/// Only a search is measured, which takes more images than are shown.
#[test]
fn a_training_decodes_only_the_images_that_it_shows() {
    let data = data_set();
    // The images that are shown are the first of each class.
    for class in ["cat", "dog"] {
        fs::write(data.path().join(format!("train/{class}/1.png")), "broken").unwrap();
    }
    assert_has(
        &whole(&data, 0.9).page(),
        &["No images are shown: ", "1.png"],
    );
    let mut config =
        RunConfig::for_training(Preset::Demo, &format!("folder:{}", data.path().display()));
    config.final_trainings.augmentations = vec![Augmentation::Policy];
    let page = Run::of(&config).policy(0.9).page();
    assert_has(&page, &["2 images, 2 columns"]);
}

#[test]
fn what_is_not_used_of_a_data_set_is_on_the_page() {
    let data = data_set();
    fs::write(data.path().join("train/labels.csv"), "?").unwrap();
    let page = whole(&data, 0.9).page();
    assert_has(
        &page,
        &["Warning: ", "which are not used (1): labels.csv.</p>"],
    );
}

#[test]
fn the_data_set_of_an_untrusted_run_is_read_only_on_request() {
    let data = data_set();
    let run = whole(&data, 0.9).put("origin", "not a digest");
    let out = write(run.0.path(), &ReportOptions::default()).unwrap();
    let page = fs::read_to_string(out).unwrap();
    assert!(!page.contains("<img"), "{page}");
    let words = format!(
        "images of folder:{} are read only on request",
        data.path().display()
    );
    assert_has(&page, &["No images are shown: ", &words, "not measured: "]);
    assert!(run.page().contains("<img"));
    let generated = Run::new("glyphs").fold(0, 0.9);
    let out = write(generated.0.path(), &ReportOptions::default()).unwrap();
    assert_has(&fs::read_to_string(out).unwrap(), &["6 images, 8 columns"]);
}

#[test]
fn only_an_earlier_report_is_replaced_unless_asked_to() {
    let run = Run::new("glyphs");
    let page = run.page();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let write_over = |content: &str, overwrite| {
        fs::write(&file, content).unwrap();
        let options = ReportOptions {
            out: Some(file.clone()),
            overwrite,
            ..ReportOptions::default()
        };
        let written = write(run.0.path(), &options).map(drop);
        (written, fs::read_to_string(&file).unwrap())
    };
    for (content, overwrite) in [("", false), (page.as_str(), false), ("my thesis", true)] {
        let (written, after) = write_over(content, overwrite);
        assert!(written.is_ok() && after == page, "{written:?}");
    }
    for content in ["my thesis", "<!DOCTYPE html><html>", "\0\u{7f}"] {
        let (written, after) = write_over(content, false);
        let error = written.unwrap_err();
        assert!(
            matches!(error.kind(), ReportErrorKind::Exists(_)),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("page.html exists and is not a report")
        );
        assert_eq!(after, content);
    }
    let options = ReportOptions {
        out: Some(folder.path().to_owned()),
        overwrite: true,
        ..ReportOptions::default()
    };
    let error = text::reason(write(run.0.path(), &options).unwrap_err());
    assert!(error.contains("it exists and is not a file"), "{error}");
}

#[test]
fn the_content_security_policy_allows_nothing_but_the_page_itself() {
    let data = data_set();
    let page = whole(&data, 0.9).page();
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
                  style-src 'sha256-";
    let (before, rest) = page.split_once(policy).unwrap();
    // It holds from where it is on.
    assert!(!before.contains("<style") && !before.contains("<img"));
    let (hash, rest) = rest
        .split_once("'; base-uri 'none'; form-action 'none'\">")
        .unwrap();
    let (_, rest) = rest.split_once("<style>").unwrap();
    let (style, body) = rest.split_once("</style>").unwrap();
    assert_eq!(hash, BASE64_STANDARD.encode(Sha256::digest(style)));
    // Styles and handlers in attributes would be ignored.
    for attribute in [" style=", " onload=", " onclick=", "<style"] {
        assert!(!body.contains(attribute), "{attribute}");
    }
}

#[test]
fn a_data_set_that_has_changed_or_cannot_be_verified_is_pointed_out() {
    let data = data_set();
    let run = whole(&data, 0.9);
    let unverified = "These images were not verified against the run’s digest";
    assert_has(&run.page(), &[unverified]);
    fs::remove_file(data.path().join("train/cat/0.png")).unwrap();
    let changed = "the data set has changed: its training split has 31 images, and an epoch of the run had 32";
    let page = run.page();
    assert_has(&page, &[&format!("No images are shown: {changed}")]);
    assert!(!page.contains("<img"));

    // An epoch in batches of 16 leaves out 15 of 31 images.
    let mut config = search(&format!("folder:{}", data.path().display()));
    config.common.training.batch = 16.try_into().unwrap();
    for (images, shown) in [(32, false), (16, true)] {
        let epoch = epochs().replace("\"images\":32", &format!("\"images\":{images}"));
        let page = Run::of(&config)
            .fold(0, 0.9)
            .policy(0.9)
            .put("final/none-0/epochs.jsonl", &epoch)
            .page();
        assert_eq!(page.contains("<img"), shown, "{images}");
    }

    let generated = Run::new("glyphs").fold(0, 0.9).page();
    assert!(generated.contains("<img") && !generated.contains(unverified));
}

#[test]
fn counts_that_no_search_has_do_no_harm() {
    let mut config = search("glyphs");
    let huge = usize::MAX.try_into().unwrap();
    config.common.training.epochs = huge;
    let search = config.search.as_mut().unwrap();
    (search.trials, search.rounds, search.top_n) = (huge, huge, huge);
    (search.ops_per_sub_policy, search.sampler.start_up_trials) = (huge, usize::MAX);
    config.final_trainings.epochs = Some(huge);
    config.final_trainings.seeds = Some(huge);
    let page = Run::of(&config)
        .fold(0, 0.9)
        .put(
            "final/policy-0/evaluation.json",
            r#"{"error": 0.25, "loss": 1.0}"#,
        )
        .page();
    assert_has(&page, &["the configuration has no valid search space"]);
}

#[test]
fn the_page_can_be_written_elsewhere_and_without_images() {
    let data = data_set();
    let run = whole(&data, 0.9);
    let options = ReportOptions {
        out: Some(data.path().join("page.html")),
        images: Some(0),
        ..ReportOptions::default()
    };
    let out = write(run.0.path(), &options).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert_has(
        &page,
        &[
            "No images are shown: no images were requested",
            "? Ops are not applied much less often than by chance; how much they change images was \
             not measured",
        ],
    );
    assert!(!page.contains("✓"));
    assert!(!run.0.path().join("report.html").exists());
}
