use faa_op::OpSet;
use faa_policy::{Sampler, SamplerOp, SamplerValues};

use super::findings::{Audit, OpAudit, Safety};

/// TrivialAugment's number of strengths.
const BINS: u32 = 31;

/// TrivialAugment (Müller and Hutter 2021) over the safe ops and ranges: each image draws one op, and one
/// of 31 values of its safe range. As in TrivialAugment, `Identity` is one of the ops.
///
/// Ops that mix in a partner image are left out, so that the policy can be applied without a set of them.
pub fn sampler(audit: &Audit, ops: &OpSet) -> Sampler {
    let stands_alone = |op: &&OpAudit| ops.get(&op.op).is_some_and(|it| !it.spec().needs_partner());
    let is_safe = |op: &&OpAudit| op.safety != Safety::Unsafe && op.op != IDENTITY;
    let safe = audit.ops.iter().filter(is_safe).filter(stands_alone);
    let identity = SamplerOp::new(IDENTITY, None);
    let all = std::iter::once(identity).chain(safe.map(sampler_op));
    Sampler::new(1, BINS, None, all.collect())
}

const IDENTITY: &str = "Identity";

fn sampler_op(audit: &OpAudit) -> SamplerOp {
    let values = audit.start.zip(audit.safe).map(|(start, [low, high])| {
        match high - start == start - low {
            // As TrivialAugment states it: a distance from the centre, in both directions.
            true => SamplerValues::new(start, high, Some(start)),
            false => SamplerValues::new(low, high, None),
        }
    });
    SamplerOp::new(&audit.op, values)
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;
    use crate::config::Tolerance;

    fn op(op: &str, start: Option<f64>, safe: Option<[f64; 2]>, safety: Safety) -> OpAudit {
        OpAudit {
            op: op.to_owned(),
            unit: String::new(),
            start,
            safety,
            safe,
            points: Vec::new(),
        }
    }

    #[test]
    fn safe_ops_and_ranges_are_drawn_and_others_are_not() {
        let audit = Audit {
            images: 1,
            accuracy: 1.0,
            loss: 0.0,
            tolerance: Tolerance::new(0.05, 0.1),
            ops: vec![
                op("Rotate", Some(0.0), Some([-18.0, 18.0]), Safety::Partly),
                op("Brightness", Some(1.0), Some([0.5, 1.9]), Safety::Partly),
                op("Invert", None, None, Safety::Unsafe),
                op("Equalize", None, None, Safety::Safe),
                op("Solarize", Some(256.0), None, Safety::Unsafe),
                op("SamplePairing", Some(0.0), Some([0.0, 0.4]), Safety::Safe),
            ],
        };
        let found = sampler(&audit, &builtin_ops());
        let values = |low, high, centre| Some(SamplerValues::new(low, high, centre));
        let expected = [
            SamplerOp::new("Identity", None),
            SamplerOp::new("Rotate", values(0.0, 18.0, Some(0.0))),
            SamplerOp::new("Brightness", values(0.5, 1.9, None)),
            SamplerOp::new("Equalize", None),
        ];
        assert_eq!(found.ops, expected);
        assert_eq!((found.count, found.bins, found.bin), (1, 31, None));
    }
}
