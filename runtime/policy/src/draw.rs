use std::iter::Enumerate;
use std::slice;

use faa_op::{DrawKey, Op, Stream};

use crate::resolve::{Fusing, Resolved, ResolvedOp, ResolvedSampler, ResolvedStep};

/// The ops that are applied to one image, drawn one after the other; nothing is allocated.
pub(crate) struct Draw<'a> {
    stream: Stream,
    partners: u64,
    sub_policy: Option<usize>,
    remaining: Remaining<'a>,
}

enum Remaining<'a> {
    Steps(Enumerate<slice::Iter<'a, ResolvedStep>>),
    Samples(&'a ResolvedSampler, u32),
}

/// An op and everything that it is applied with.
pub(crate) struct Drawn<'a> {
    /// The step of the sub-policy, or the entry of the sampler's list.
    pub(crate) index: usize,
    pub(crate) op: &'a dyn Op,
    pub(crate) value: f64,
    pub(crate) seed: u64,
    pub(crate) partner: Option<u64>,
    pub(crate) fusing: Fusing,
}

impl<'a> Draw<'a> {
    /// Begins the draw of one image. A set without partners counts as one of one image, so that
    /// what else is drawn does not depend on there being one.
    pub(crate) fn new(rule: &'a Resolved, key: DrawKey, partners: u64) -> Self {
        let mut stream = Stream::for_image(key);
        let (sub_policy, remaining) = match rule {
            Resolved::SubPolicies(all) => {
                let drawn = stream.below(all.len() as u64) as usize;
                (Some(drawn), Remaining::Steps(all[drawn].iter().enumerate()))
            }
            Resolved::Sampler(sampler) => (None, Remaining::Samples(sampler, sampler.count)),
        };
        Self {
            stream,
            partners: partners.max(1),
            sub_policy,
            remaining,
        }
    }

    pub(crate) fn sub_policy(&self) -> Option<usize> {
        self.sub_policy
    }

    /// What all ops draw, in the order that the executor documents.
    fn finish(
        &mut self,
        index: usize,
        op: &'a dyn Op,
        (value, centre): (f64, Option<f64>),
        fusing: Fusing,
    ) -> Drawn<'a> {
        let stream = &mut self.stream;
        let value = match centre {
            Some(centre) if stream.chance(0.5) => 2.0 * centre - value,
            _ => value,
        };
        let seed = stream.next_u64();
        let partner = (op.spec().needs_partner()).then(|| stream.below(self.partners));
        Drawn {
            index,
            op,
            value,
            seed,
            partner,
            fusing,
        }
    }
}

impl<'a> Iterator for Draw<'a> {
    type Item = Drawn<'a>;

    fn next(&mut self) -> Option<Drawn<'a>> {
        let stream = &mut self.stream;
        match &mut self.remaining {
            Remaining::Steps(steps) => {
                let (index, step) = steps.find(|(_, step)| stream.chance(step.probability))?;
                let value = (step.value, step.centre);
                Some(self.finish(index, step.op.as_ref(), value, step.fusing))
            }
            Remaining::Samples(sampler, count) => {
                *count = count.checked_sub(1)?;
                let index = stream.below(sampler.ops.len() as u64) as usize;
                let ResolvedOp { op, values, fusing } = &sampler.ops[index];
                let value = values.map_or((0.0, None), |values| {
                    let bin = sampler
                        .bin
                        .unwrap_or_else(|| stream.below(sampler.bins.into()) as u32);
                    (values.value_at(bin, sampler.bins), values.centre)
                });
                Some(self.finish(index, op.as_ref(), value, *fusing))
            }
        }
    }
}
