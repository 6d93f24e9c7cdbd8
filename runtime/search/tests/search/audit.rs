//! Audits: what is found, what is not, and what becomes of it.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, SamplerOp, SamplerValues};
use faa_search::audit::{Audit, OpAudit, Safety, configure};
use faa_search::backend::StopFlag;
use faa_search::config::{AuditConfig, Augmentation, Preset, Tolerance};
use faa_search::files::read_json;
use faa_search::folds::Labels;
use faa_search::{Event, Run, RunConfig, RunDirectory, RunErrorKind};

use crate::fake_backend::{FakeBackend, labels, policy_of, run, run_on};

/// An audit of these ops, which holds out half of the 60 images.
pub(crate) fn config(ops: &[&str]) -> RunConfig {
    let [count, draws] = [9, 2].map(|it| NonZeroUsize::new(it).unwrap());
    let names: Vec<String> = ops.iter().map(|op| (*op).to_owned()).collect();
    let ops = configure(&names, &builtin_ops(), count, draws).unwrap();
    let audit = AuditConfig::new(ops, 0.5, Tolerance::new(0.1, 0.2));
    let mut config = RunConfig::for_audit(Preset::Demo, "glyphs", audit);
    config.common.training.epochs = 2.try_into().unwrap();
    config.common.training.warmup_epochs = 1;
    config.common.training.batch = NonZeroUsize::MIN;
    config.final_trainings.epochs = None;
    config.final_trainings.seeds = NonZeroUsize::new(1);
    config
}

fn audit_in(run: &Path) -> Audit {
    read_json(&run.join("audit.json")).unwrap().unwrap()
}

/// What an audit of one op finds.
fn audited(op: &str) -> OpAudit {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &config(&[op]), &mut FakeBackend::default()).unwrap();
    audit_in(folder.path()).ops.remove(0)
}

#[test]
fn a_class_that_an_op_breaks_is_found_with_what_it_becomes() {
    let flip = audited("FlipX");
    assert_eq!(flip.safety, Safety::Unsafe);
    let worst = flip.points[0].worst.as_ref().unwrap();
    assert_eq!((worst.class.as_str(), worst.images), ("left", 10));
    let mistake = worst.mistaken_for.as_ref().unwrap();
    assert_eq!(mistake.class, "right");
    // An image of the class.
    assert_eq!(mistake.image % 3, 0);
    assert_eq!(flip.sentence(), "unsafe: `left` becomes `right`");
    assert_eq!(audited("Invert").safety, Safety::Unsafe);
}

/// Every op makes new mistakes in one image of twenty.
#[test]
fn an_op_that_only_makes_noise_is_not_called_unsafe() {
    for op in [
        "FlipY",
        "Equalize",
        "Sharpness",
        "TranslateX",
        "Solarize",
        "Cutout",
    ] {
        let found = audited(op);
        assert_eq!(found.safety, Safety::Safe, "{op}: {found:?}");
    }
}

/// Flips break all images of a class, but those are of one video.
#[test]
fn images_of_one_group_are_one_observation() {
    let folder = tempfile::tempdir().unwrap();
    let (config, labels, ops) = (config(&["FlipX"]), labels(), builtin_ops());
    // Of classes 1 and 2, every image is a group; class 0, "left", has a group per side of the split.
    let group = |(image, label): (u32, &u32)| match label {
        0 => image % 2,
        _ => image + 2,
    };
    let groups: Vec<u32> = (0..).zip(&labels).map(group).collect();
    let directory = RunDirectory::open(folder.path(), &config, 1).unwrap();
    let mut backend = FakeBackend::default();
    let labels = Labels::new(&labels, &groups);
    let backends = std::slice::from_mut(&mut backend);
    let run = Run::new(&config, labels, &ops, backends, &directory);
    run.run(&StopFlag::new(), &mut |_| ()).unwrap();
    let log = fs::read_to_string(folder.path().join("audit/points.jsonl")).unwrap();
    let (one_group, single) = (r#""images":10,"sizes":100"#, r#""images":10,"sizes":10,"#);
    assert!(log.contains(one_group) && log.contains(single), "{log}");
    let flip = audit_in(folder.path()).ops.remove(0);
    let worst = flip.points[0].worst.as_ref().unwrap();
    assert_ne!(worst.class, "left");
}

#[test]
fn directions_may_differ() {
    let rotate = audited("Rotate");
    assert_eq!(rotate.safety, Safety::Partly);
    assert_eq!(rotate.safe, Some([-53.0, 19.0]));
    assert_eq!(rotate.safe_values(), "−53 to 19°");
    let expected = "safe from −53 to 19°; beyond, `right` becomes `straight`";
    assert_eq!(rotate.sentence(), expected);
}

#[test]
fn the_policy_has_the_safe_ops_and_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&["Rotate", "FlipX", "FlipY", "ShearX", "SamplePairing"]);
    config.final_trainings.augmentations = vec![Augmentation::Cutout, Augmentation::Policy];
    let mut backend = FakeBackend::default();
    let (summary, events) = run_on(folder.path(), &config, std::slice::from_mut(&mut backend));
    let summary = summary.unwrap();
    assert_eq!(summary.final_trainings.len(), 2);
    assert_eq!(summary.audit, Some(folder.path().join("audit.json")));

    let policy = Policy::parse(policy_of(folder.path()).as_bytes()).unwrap();
    policy.check(&builtin_ops()).unwrap();
    let values = |low, high, centre| Some(SamplerValues::new(low, high, centre));
    let expected = [
        SamplerOp::new("Identity", None),
        SamplerOp::new("Rotate", values(-53.0, 19.0, None)),
        SamplerOp::new("FlipY", None),
        SamplerOp::new("ShearX", values(0.0, 0.99, Some(0.0))),
    ];
    assert_eq!(policy.sampler().unwrap().ops, expected);
    let source: String = policy.provenance.get("source").unwrap();
    assert!(
        source.starts_with("audit of ops on glyphs, seed 0"),
        "{source}"
    );
    let recorded: RunConfig = policy.provenance.get("config").unwrap();
    assert_eq!(recorded, config);

    let points = config.audit.as_ref().unwrap().points().count();
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|it| wanted(it)).count();
    assert_eq!(count(|it| matches!(it, Event::PointDone { .. })), points);
    let done = events.iter().find_map(|event| match event {
        Event::AuditDone(audit) => Some(audit),
        _ => None,
    });
    assert_eq!(**done.unwrap(), audit_in(folder.path()));
    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    assert_eq!(plan.points, points);
    // The network and two final ones; two draws of each value of SamplePairing.
    assert_eq!(plan.images_to_train, 2 * 30 + 2 * 2 * 60);
    assert_eq!(plan.images_to_classify, (points + 8) * 30);
    // The network is trained without flips and without a policy.
    assert_eq!(backend.trained[0], (30, false, 4));
}

#[test]
fn an_audit_stopped_anywhere_has_the_same_findings_and_repeats_nothing() {
    let config = config(&["Rotate", "FlipX"]);
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), &config, &mut FakeBackend::default()).unwrap();
    // In the training, at the first and the last points.
    for budget in [1, 3, 4, 10, 18] {
        let folder = tempfile::tempdir().unwrap();
        let mut first = FakeBackend {
            budget: Some(budget),
            ..FakeBackend::default()
        };
        let stopped = run(folder.path(), &config, &mut first).unwrap_err();
        assert_eq!(stopped.kind(), RunErrorKind::Stopped, "{budget}");
        let mut second = FakeBackend::default();
        run(folder.path(), &config, &mut second).unwrap();
        let done = (first.epochs + second.epochs, first.scored + second.scored);
        assert_eq!(done, (2, 17), "after {budget}");
        for file in ["audit.json", "policy.json"] {
            let read = |run: &Path| fs::read(run.join(file)).unwrap();
            assert!(
                read(folder.path()) == read(whole.path()),
                "{file}, {budget}"
            );
        }
    }
}

/// The network is not needed once everything is measured.
#[test]
fn a_finished_audit_is_reported_again_without_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["FlipX"]);
    let first = run(folder.path(), &config, &mut FakeBackend::default()).unwrap();
    fs::remove_file(folder.path().join("audit/network.safetensors")).unwrap();
    let mut backend = FakeBackend::default();
    assert_eq!(run(folder.path(), &config, &mut backend).unwrap(), first);
    assert_eq!((backend.epochs, backend.scored), (0, 0));
}

#[test]
fn a_given_network_is_copied_and_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (given, out) = (folder.path().join("given"), folder.path().join("run"));
    fs::write(&given, "1").unwrap();
    let mut config = config(&["FlipX", "Invert"]);
    let audit = config.audit.as_mut().unwrap();
    (audit.network, audit.held_out) = (Some(given.clone()), 1.0);
    let mut first = FakeBackend {
        budget: Some(2),
        ..FakeBackend::default()
    };
    run(&out, &config, &mut first).unwrap_err();
    // What becomes of the file does not matter any more.
    fs::write(&given, "other").unwrap();
    let mut second = FakeBackend::default();
    run(&out, &config, &mut second).unwrap();
    assert_eq!((first.epochs + second.epochs, second.scored), (0, 1));
    assert_eq!(audit_in(&out).images, 60);

    let other = folder.path().join("other");
    let error = run(&other, &config, &mut FakeBackend::default()).unwrap_err();
    assert_eq!(error.to_string(), "reading the network failed");
}

#[test]
fn points_of_a_different_audit_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["FlipX", "FlipY"]);
    run(folder.path(), &config, &mut FakeBackend::default()).unwrap();
    let log = folder.path().join("audit/points.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let second = text.split_inclusive('\n').nth(1).unwrap();
    fs::write(&log, second).unwrap();
    let error = run(folder.path(), &config, &mut FakeBackend::default()).unwrap_err();
    let expected = "points.jsonl, line 1, is not a point of this audit";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn impossible_audits_are_named() {
    type Change<'a> = &'a dyn Fn(&mut AuditConfig);
    let cases: [(&str, Change<'_>); 3] = [
        ("leaves no images to train a network on", &|it| {
            it.held_out = 1.0;
        }),
        ("the values of `FlipX` cannot be audited", &|it| {
            it.ops[0].values.push(1.0);
        }),
        ("no op is named `Flip`", &|it| it.ops[0].op = "Flip".into()),
    ];
    for (expected, change) in cases {
        let mut config = config(&["FlipX"]);
        change(config.audit.as_mut().unwrap());
        let error = config.check(&builtin_ops()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut wide = config(&["FlipX"]);
    wide.search = RunConfig::for_search(Preset::Demo, "glyphs").search;
    let error = wide.check(&builtin_ops()).unwrap_err().to_string();
    assert!(
        error.contains("omit the search and the given policy"),
        "{error}"
    );
}
