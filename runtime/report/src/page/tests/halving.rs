//! Pages of runs that search by short trainings.

use faa_ops_builtin::builtin_ops;
use faa_search::audit::configure;
use faa_search::config::{AuditConfig, Tolerance};

use super::*;

/// Halving of eight policies of two ops in two rungs. Rotating costs.
fn halved() -> Run {
    let mut config = RunConfig::for_halving(Preset::Demo, "glyphs");
    config.search = None;
    let halving = config.halving.as_mut().unwrap();
    halving
        .ops
        .retain(|it| ["Rotate", "Equalize"].contains(&it.op.as_str()));
    halving.entrants = 8.try_into().unwrap();
    let mut run = Run::of(&config);
    let mut log = String::new();
    let train = |run: Run, rung: usize, entrant: usize, seed: usize, error: f64| {
        let training = format!("halving/rung-{rung}/{entrant}-{seed}");
        let evaluation = json!({"error": error, "loss": 4.0 * error}).to_string();
        run.put(&format!("{training}/epochs.jsonl"), &epochs())
            .put(&format!("{training}/evaluation.json"), &evaluation)
    };
    let error = |entrant: usize| 0.2 + 0.1 * (entrant % 2) as f64 + 0.001 * entrant as f64;
    for entrant in 0..8 {
        let steps = [4 * (entrant % 2), entrant / 2 % 2];
        let line = json!({"rung": 0, "entrant": entrant, "origin": if entrant < 4 { "random" } else { "model" },
            "point": {"count": 1 + entrant / 4, "steps": steps}});
        log += &format!("{line}\n");
        run = train(run, 0, entrant, 0, error(entrant));
    }
    for rung in [0, 1] {
        if rung == 1 {
            let line = json!({"rung": 1, "entrant": 2, "origin": "random", "point": {"count": 1, "steps": [0, 1]}});
            log += &format!("{line}\n");
            run = train(run, 1, 2, 0, 0.2);
            run = train(run, 1, 2, 1, 0.22);
        }
        for (entrant, name, error) in [(8, "base", 0.15), (9, "trivialaugment", 0.3)] {
            let line = json!({"rung": rung, "entrant": entrant, "origin": {"fixed": name}});
            log += &format!("{line}\n");
            for seed in 0..=rung {
                run = train(run, rung, entrant, seed, error + 0.02 * seed as f64);
            }
        }
    }
    run.put("halving/entrants.jsonl", &log)
}

#[test]
fn halving_is_drawn_and_explained() {
    let identity = r#"{"format": "faa-policy", "version": 1, "name": "found", "sampler":
        {"count": 1, "bins": 31, "ops": [{"op": "Identity"}]}}"#;
    let unfinished = halved();
    assert_has(
        &unfinished.page(),
        &["There is no policy yet: it is chosen when the last rung has been trained"],
    );
    let page = unfinished.put("policy.json", identity).page();
    assert_has(
        &page,
        &[
            "<h2>Successive halving</h2>",
            "No policy had a lower validation loss than the base augmentation alone",
            "All others are worse by more than noise (95\u{a0}%).",
            ">trivialaugment</text>",
            "Rotate up to 135 degrees costs ",
            "points of validation error compared with off.</li>",
            "<td>worse</td>",
            "0.6400 ± 0.0566",
            "Lowest validation loss",
            "base; 0 others equal within noise",
            "16 short trainings",
        ],
    );
    // Losses of 0.6 to 1.2 nats, and two columns.
    assert!(page.contains("class=\"line second dashed\""), "{page}");
    assert!(!page.contains("id=\"reward\""), "{page}");
}

#[test]
fn a_single_seed_does_not_tell_what_is_noise() {
    let run = halved();
    // Without the second seeds of the last rung.
    for entrant in [2, 8, 9] {
        let training = run.0.path().join(format!("halving/rung-1/{entrant}-1"));
        fs::remove_dir_all(training).unwrap();
    }
    let identity = r#"{"format": "faa-policy", "version": 1, "name": "found", "sampler":
        {"count": 1, "bins": 31, "ops": [{"op": "Identity"}]}}"#;
    let page = run.put("policy.json", identity).page();
    let why = "a single seed does not tell which differences are noise";
    let best = format!("It may be the best by chance: {why}.");
    assert_has(
        &page,
        &[&format!("base; {why}"), &best, "<td>not known</td>"],
    );
    assert!(!page.contains("equal within noise"), "{page}");
}

#[test]
fn an_audit_is_a_part_of_the_search() {
    let mut config = RunConfig::for_halving(Preset::Demo, "glyphs");
    let one = std::num::NonZeroUsize::MIN;
    let ops = configure(&["FlipX".to_owned()], &builtin_ops(), one, one).unwrap();
    config.audit = Some(AuditConfig::new(ops, 0.25, Tolerance::default()));
    let page = Run::of(&config).page();
    assert_has(&page, &["<h1>Search on glyphs</h1>", "0 of 1 measurements"]);
    let place = |heading: &str| page.find(&format!("<h2>{heading}</h2>")).unwrap();
    let audit = place("Which ops are safe");
    assert!(place("Configuration and provenance") < audit && audit < place("Successive halving"));
}

/// Points that do not fit the configuration, and numbers that no run has.
#[test]
fn records_of_halving_that_no_run_has_do_no_harm() {
    let mut config = RunConfig::for_halving(Preset::Demo, "glyphs");
    let halving = config.halving.as_mut().unwrap();
    let huge = usize::MAX.try_into().unwrap();
    (halving.entrants, halving.rungs, halving.seeds) = (huge, huge, huge);
    let max = usize::MAX;
    let log = [
        json!({"rung": max, "entrant": max, "origin": "random", "point": {"count": 0, "steps": []}}),
        json!({"rung": 0, "entrant": 1, "origin": "model", "point": {"count": 9, "steps": vec![9; 20]}}),
        json!({"rung": 0, "entrant": 1, "origin": {"fixed": "<script>"}}),
    ];
    let log: String = log.iter().map(|line| format!("{line}\n")).collect();
    let evaluation = r#"{"error": 0.25, "loss": 1.0}"#;
    let page = Run::of(&config)
        .put("halving/entrants.jsonl", &log)
        .put(
            &format!("halving/rung-{max}/{max}-{max}/evaluation.json"),
            evaluation,
        )
        .put("halving/rung-0/1-0/evaluation.json", evaluation)
        .page();
    assert_has(
        &page,
        &["There are too few trainings to tell what each op does."],
    );
    assert!(!page.contains("<script>"));
}
