//! Images that an op breaks: what the network took for another class, beside the original.

use std::collections::BTreeMap;

use faa_data::{DataSpec, Dataset, LoadOptions};
use faa_op::{Channels, ImageMut, ImageRef, OpSet};
use faa_policy::Workspace;
use faa_search::audit::{
    Mistake, OpAudit, augmentation_seed, policy_at, without_base_augmentation,
};
use faa_search::pipeline::Pipeline;

use super::pictures::data_uri;
use super::record::Record;
use super::text::reason;

/// An image without an op and with it, as data URIs.
pub(super) struct Broken {
    pub(super) original: String,
    pub(super) augmented: String,
}

/// For each op, the first image that it breaks at the value that says most about it. Ops that mix in a
/// partner image have none, because the partners are not loaded.
///
/// # Errors
///
/// Why the images are not available, in words.
pub(super) fn find(record: &Record, ops: &OpSet) -> Result<BTreeMap<String, Broken>, String> {
    let findings = record.audit.as_ref().and_then(|it| it.findings.as_ref());
    let findings = findings.ok_or("the audit is not finished")?;
    let wanted: Vec<(&OpAudit, Option<f64>, &Mistake)> = (findings.ops.iter())
        .filter(|op| stands_alone(op, ops))
        .filter_map(|op| {
            let point = op.most_telling()?;
            let mistake = point.worst.as_ref()?.mistaken_for.as_ref()?;
            Some((op, point.value, mistake))
        })
        .collect();
    let mut images: Vec<usize> = wanted.iter().map(|(_, _, mistake)| mistake.image).collect();
    images.sort_unstable();
    images.dedup();
    let spec = record.data().parse::<DataSpec>().map_err(reason)?;
    let options = LoadOptions::sized(record.config().common.image_size);
    let picked = Dataset::pick(&spec, &options, &images).map_err(|error| error.to_string())?;
    let dataset = picked.dataset;
    if dataset.train.len() != images.len() {
        return Err("the data set has changed: it has fewer images".to_owned());
    }
    let broken = wanted.into_iter().map(|(op, value, mistake)| {
        let index = images.partition_point(|image| *image < mistake.image);
        let augmented = augmented(record, ops, &dataset, (&op.op, value), mistake, index)?;
        let broken = Broken {
            original: data_uri(&dataset, dataset.train.image(index).to_vec())?,
            augmented: data_uri(&dataset, augmented)?,
        };
        Ok((op.op.clone(), broken))
    });
    broken.collect()
}

fn stands_alone(audit: &OpAudit, ops: &OpSet) -> bool {
    let op = ops.get(&audit.op);
    op.is_some_and(|it| !it.spec().needs_partner())
}

/// The image as the network has seen it: its draws depend on its index in the whole training split.
fn augmented(
    record: &Record,
    ops: &OpSet,
    dataset: &Dataset,
    (op, value): (&str, Option<f64>),
    mistake: &Mistake,
    index: usize,
) -> Result<Vec<u8>, String> {
    let common = &record.config().common;
    let training = without_base_augmentation(&common.training);
    let seed = augmentation_seed(common.seed);
    let pipeline = Pipeline::new(Some(&policy_at(op, value)), &training, ops, [0; 3], seed);
    let (width, height) = (dataset.width, dataset.height);
    let mut samples = vec![0; width * height * 3];
    let source = ImageRef::new(dataset.train.image(index), width, height, Channels::Rgb);
    let image = ImageMut::new(&mut samples, width, height, Channels::Rgb);
    let (source, mut image) = (source.map_err(reason)?, image.map_err(reason)?);
    let (draw, number) = (mistake.draw, mistake.image as u64);
    let workspace = &mut Workspace::new();
    let applied = (pipeline.map_err(reason)?).apply_to(source, &mut image, draw, number, workspace);
    applied.map_err(reason)?;
    Ok(samples)
}
