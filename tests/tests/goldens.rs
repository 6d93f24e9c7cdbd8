//! Every built-in op gives the same bytes as Pillow, at every SIMD level and in every way to call it.
//!
//! `goldens/ops.txt` has a line per case, written with Pillow 13.0.0 by `oracle/make_goldens.py`. After a
//! change to that script, run `cargo xtask parity --write-goldens`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use faa_op::{Channels, OpSet, Scratch};
use faa_ops_builtin::SimdLevel;
use faa_tests::pictures::{Kind, channels_of, digest, mode_of, partner, picture};
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

/// A source image's parameters; larger images are sorted first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    area: std::cmp::Reverse<usize>,
    width: usize,
    height: usize,
    mode: &'static str,
    kind: Kind,
    seed: u64,
}

fn parse(line: &'static str) -> Option<Case> {
    let words: Vec<&str> = line.split(' ').collect();
    let [
        op,
        value,
        seed,
        width,
        height,
        mode,
        kind,
        image_seed,
        digest,
    ] = words[..]
    else {
        return None;
    };
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    channels_of(mode)?;
    Some(Case {
        op,
        value: value.parse().ok()?,
        seed: seed.parse().ok()?,
        source: Source {
            area: std::cmp::Reverse(width * height),
            width,
            height,
            mode,
            kind: Kind::from_name(kind)?,
            seed: image_seed.parse().ok()?,
        },
        digest,
    })
}

fn cases() -> Vec<Case> {
    GOLDENS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| parse(line).unwrap_or_else(|| panic!("not a case: {line}")))
        .collect()
}

impl Source {
    fn channels(&self) -> Channels {
        channels_of(self.mode).expect("parse has checked it")
    }

    fn picture(&self) -> Picture {
        self.with_samples(picture(
            self.kind,
            self.seed,
            self.width,
            self.height,
            self.channels(),
        ))
    }

    fn partner(&self) -> Picture {
        self.with_samples(partner(
            self.seed,
            0,
            self.width,
            self.height,
            self.channels(),
        ))
    }

    fn with_samples(&self, samples: Vec<u8>) -> Picture {
        Picture {
            samples,
            width: self.width,
            height: self.height,
            channels: self.channels(),
        }
    }
}

#[test]
fn there_are_goldens_for_every_op() {
    let cases = cases();
    assert!(cases.len() >= 2000, "only {} cases", cases.len());
    let covered: BTreeSet<&str> = cases.iter().map(|case| case.op).collect();
    let (_, ops) = builtin_ops_by_level().swap_remove(0);
    let ours: BTreeSet<&str> = ops.iter().map(|op| op.spec().name()).collect();
    assert_eq!(covered, ours);
}

#[test]
fn every_case_gives_pillow_s_bytes() {
    let cases = cases();
    let mut by_source: BTreeMap<Source, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        by_source.entry(case.source).or_default().push(case);
    }
    let groups: Vec<_> = by_source.into_iter().collect();
    let levels = builtin_ops_by_level();
    let (next, checked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((source, cases)) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = check_group(source, cases, &levels);
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
fn check_group(source: &Source, cases: &[&Case], levels: &[(SimdLevel, OpSet)]) -> Vec<Failure> {
    let image = source.picture();
    let partner = source.partner();
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
                let op = op.as_ref();
                let result = way.apply(
                    op,
                    *level,
                    &image,
                    case.value,
                    case.seed,
                    partner,
                    &mut scratch,
                );
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
        let Source {
            width,
            height,
            mode,
            kind,
            seed,
            ..
        } = self.source;
        let (op, value, op_seed) = (self.op, self.value, self.seed);
        format!("{op} {value:?} seed {op_seed} on {width}x{height} {mode} {kind} {seed},")
    }
}

impl Failure {
    /// Saves the images, and describes the failure.
    fn save(&self, folder: &Path) -> String {
        fs::create_dir_all(folder).unwrap();
        // A name that begins with the op and has only characters that every file system allows.
        let name: String = self
            .text
            .split([':', ','])
            .take(2)
            .collect::<String>()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
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
    let failures = check_group(&case.source, &[&case], &builtin_ops_by_level());
    assert!(failures.len() >= Way::ALL.len());
    let folder = tempfile::tempdir().unwrap();
    let text = failures[0].save(folder.path());
    assert!(
        text.contains(case.op) && text.contains(mode_of(case.source.channels())),
        "{text}"
    );
    let name = text
        .lines()
        .last()
        .unwrap()
        .trim()
        .replace("*.png", "result.png");
    let saved = image::open(folder.path().join(name)).unwrap();
    assert_eq!(saved.width() as usize, case.source.width);
}
