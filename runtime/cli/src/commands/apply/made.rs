//! What is written for an input, and what became of its boxes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::sources::CocoRow;

/// The files that are written for an input.
pub(super) struct Output {
    pub(super) image: PathBuf,
    /// Of YOLO; COCO has one file for all.
    pub(super) boxes: Option<PathBuf>,
    pub(super) mask: Option<PathBuf>,
}

/// What was made of an input.
pub(super) struct Made {
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
    /// What became of each box, in each draw.
    pub(super) boxes: Vec<Value>,
    /// The image's entry and annotations in COCO's file.
    pub(super) coco: Option<CocoRow>,
}

/// What was made of all inputs, by their indices, besides their files.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) boxes: BTreeMap<u64, Vec<Value>>,
    pub(super) rows: BTreeMap<u64, CocoRow>,
}

impl Notes {
    /// Keeps the rest of what was made of an input, and returns its files.
    pub(super) fn take(&mut self, index: u64, made: Made) -> Vec<(PathBuf, Vec<u8>)> {
        self.boxes.insert(index, made.boxes);
        self.rows.extend(made.coco.map(|row| (index, row)));
        made.files
    }
}

impl Output {
    pub(super) fn files(&self) -> Vec<&PathBuf> {
        let labels = self.boxes.iter().chain(&self.mask);
        [&self.image].into_iter().chain(labels).collect()
    }
}

/// How many boxes were kept, and which were not, in words; `draws` has what became of each in each draw.
pub(super) fn survivors(draws: &[Value]) -> String {
    /// How many boxes are named.
    const MAX_NAMED: usize = 10;

    let boxes = draws
        .iter()
        .flat_map(|draw| draw.as_array().into_iter().flatten());
    let (kept, dropped): (Vec<_>, Vec<_>) = boxes.partition(|it| it["kept"] == true);
    let (count, of) = (kept.len(), kept.len() + dropped.len());
    let words = format!("kept {count} of {of} boxes");
    let [Value::Array(single)] = draws else {
        return format!("{words} in {} draws", draws.len());
    };
    let lost = single
        .iter()
        .enumerate()
        .filter(|(_, it)| it["kept"] == false);
    let names = lost.map(|(index, it)| match &it["id"] {
        Value::Null => format!("number {}", index + 1),
        id => format!("id {id}"),
    });
    let names: Vec<String> = names.take(MAX_NAMED + 1).collect();
    match names.len() {
        0 => words,
        1..=MAX_NAMED => format!("{words}; dropped: {}", names.join(", ")),
        _ => format!("{words}; dropped: {}, …", names[..MAX_NAMED].join(", ")),
    }
}
