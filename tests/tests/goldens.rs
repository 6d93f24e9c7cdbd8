//! Every built-in op gives the same bytes as Pillow, at every SIMD level and in every way to call it.
//!
//! `goldens/ops.txt` has a line per case, written with Pillow 13.0.0 by `oracle/make_goldens.py`. After a
//! change to that script, run `cargo xtask parity --write-goldens`.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use faa_op::{Channels, OpSet, Scratch};
use faa_ops_builtin::SimdLevel;
use faa_tests::assert_contains;
use faa_tests::pictures::{Source, digest, mode_of};
use faa_tests::ways::{Picture, Way, builtin_ops_by_level};
use image::ColorType;

const GOLDENS: &str = include_str!("../goldens/ops.txt");

/// The maximum number of failures that are reported: enough to see what they have in common.
const MAX_FAILURES: usize = 10;

/// A line of the file.
struct Case {
    op: &'static str,
    value: f64,
    seed: u64,
    source: Source,
    digest: &'static str,
}

fn parse(line: &'static str) -> Option<Case> {
    let words: Vec<&str> = line.split(' ').collect();
    let [op, value, seed, ref source @ .., digest] = words[..] else {
        return None;
    };
    let [width, height, mode, kind, image_seed] = *source else {
        return None;
    };
    Some(Case {
        op,
        value: value.parse().ok()?,
        seed: seed.parse().ok()?,
        source: Source::parse(kind, image_seed, width, height, mode)?,
        digest,
    })
}

fn cases() -> Vec<Case> {
    let lines = GOLDENS.lines().filter(|line| !line.starts_with('#'));
    let case = |line| parse(line).unwrap_or_else(|| panic!("not a case: {line}"));
    lines.map(case).collect()
}

#[test]
fn there_are_goldens_for_every_op() {
    let cases = cases();
    let stated = "README.md and tests/README.md state the number";
    assert_eq!(cases.len(), 4_314, "{stated}");
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.op).collect();
    let (_, ops) = builtin_ops_by_level().swap_remove(0);
    let ours: BTreeSet<&str> = ops.iter().map(|op| op.spec().name()).collect();
    assert_eq!(covered, ours);
}

#[test]
fn every_case_gives_pillow_s_bytes() {
    let mut cases = cases();
    // Larger images come first, so that no thread ends long after the others.
    let area = |case: &Case| Reverse(case.source.width * case.source.height);
    cases.sort_by_cached_key(|case| (area(case), case.source.to_string()));
    let groups: Vec<_> = cases.chunk_by(|a, b| a.source == b.source).collect();
    let levels = builtin_ops_by_level();
    let (next, checked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(cases) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = check_group(cases, &levels);
                    failures.lock().unwrap().extend(found);
                    checked.fetch_add(cases.len(), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(checked.into_inner(), cases.len());
    let failures = failures.into_inner().unwrap();
    if !failures.is_empty() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("goldens-that-differ");
        let saved = &failures[..failures.len().min(MAX_FAILURES)];
        let texts: Vec<String> = saved.iter().map(|failure| failure.save(&folder)).collect();
        panic!(
            "{} results differ from Pillow's; the first are\n{}\nSource and result are saved in \
             {}. If oracle/make_goldens.py was changed, run cargo xtask parity --write-goldens",
            failures.len(),
            texts.join("\n"),
            folder.display()
        );
    }
}

/// A result that differs.
struct Failure {
    text: String,
    source: Picture,
    result: Option<Picture>,
}

/// Checks the cases of one source image.
fn check_group(cases: &[Case], levels: &[(SimdLevel, OpSet)]) -> Vec<Failure> {
    let source = cases[0].source;
    let (image, partner) = (source.picture(), source.partner(0));
    let mut scratch = Scratch::new();
    let mut failures = Vec::new();
    for case in cases {
        // Hashing is the slowest part, so results that equal a correct one are not hashed.
        let mut correct: Option<Picture> = None;
        for (level, ops) in levels {
            let Some(op) = ops.get(case.op) else {
                // `there_are_goldens_for_every_op` fails then.
                continue;
            };
            let partner = op.spec().needs_partner().then_some(&partner);
            for way in Way::ALL {
                let (op, value, scratch) = (op.as_ref(), case.value, &mut scratch);
                let result = way.apply(op, *level, &image, value, case.seed, partner, scratch);
                let problem = match &result {
                    Ok(result) if correct.as_ref() == Some(result) => continue,
                    Ok(result) if digest(&result.samples) == case.digest => {
                        correct = Some(result.clone());
                        continue;
                    }
                    Ok(_) => "differs".to_owned(),
                    Err(error) => error.to_string(),
                };
                failures.push(Failure {
                    text: format!("{} {way:?} {level}: {problem}", case.in_words()),
                    source: image.clone(),
                    result: result.ok(),
                });
                if failures.len() >= MAX_FAILURES {
                    return failures;
                }
            }
        }
    }
    failures
}

impl Case {
    fn in_words(&self) -> String {
        let (op, value, seed) = (self.op, self.value, self.seed);
        format!("{op} {value:?} seed {seed} on {},", self.source)
    }
}

impl Failure {
    /// Saves the images, and describes the failure.
    fn save(&self, folder: &Path) -> String {
        fs::create_dir_all(folder).unwrap();
        // A name that begins with the op and has only characters that every file system allows.
        let name: String = self.text.split([':', ',']).take(2).collect();
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        save_png(&folder.join(format!("{name}-source.png")), &self.source);
        if let Some(result) = &self.result {
            save_png(&folder.join(format!("{name}-result.png")), result);
        }
        format!("  {}\n    {name}-*.png", self.text)
    }
}

fn save_png(path: &Path, picture: &Picture) {
    let color = match picture.channels {
        Channels::L => ColorType::L8,
        Channels::Rgb => ColorType::Rgb8,
        Channels::Rgba => ColorType::Rgba8,
    };
    let (width, height) = (picture.width as u32, picture.height as u32);
    image::save_buffer(path, &picture.samples, width, height, color)
        .unwrap_or_else(|error| panic!("cannot save {}: {error}", path.display()));
}

#[test]
fn a_wrong_digest_is_detected_and_its_images_are_saved() {
    let mut case = cases().swap_remove(0);
    case.digest = "0000000000000000";
    let (op, source) = (case.op, case.source);
    let failures = check_group(&[case], &builtin_ops_by_level());
    assert!(failures.len() >= Way::ALL.len());
    let folder = tempfile::tempdir().unwrap();
    let text = failures[0].save(folder.path());
    assert_contains(&text, &[op, mode_of(source.channels)]);
    let name = text.lines().last().unwrap().trim();
    let name = name.replace("*.png", "result.png");
    let saved = image::open(folder.path().join(name)).unwrap();
    assert_eq!(saved.width() as usize, source.width);
}
