use std::fmt;

use faa_op::{DrawKey, ImageMut, ImageRef, OpErrorKind, OpSet, Scratch};

use crate::draw::Draw;
use crate::one_pass::one_pass_pays;
use crate::resolve::Resolved;
use crate::steps::Target;
use crate::{ApplyError, Partners, Plan, PlannedStep, Policy, PolicyError, Workspace};

/// A policy, ready to be applied: ops are looked up and values computed. `Send + Sync`.
///
/// **Draws.** The stream of an image ([`Stream::for_image`](faa_op::Stream::for_image)) is read in
/// this order:
///
/// 1. With sub-policies, which of them ([`Stream::below`](faa_op::Stream::below) their number);
///    then for each of its steps whether it is applied
///    ([`Stream::chance`](faa_op::Stream::chance) of its probability), and if so, what item 3
///    says.
/// 2. With a sampler, `count` times: the op (`below` the number of ops); if the op has a value and
///    no bin is stated, the bin (`below` the number of bins); and what item 3 says.
/// 3. If the op's values are mirrored, whether this one is (a chance of ½); the op's seed
///    ([`Stream::next_u64`](faa_op::Stream::next_u64)); and for an op that needs a partner, which
///    one (`below` the number of partners; below 1 if there are none).
///
/// **Passes.** Neighbouring ops that have tables ([`Op::lookup_tables`](faa_op::Op::lookup_tables)) are applied in
/// one pass if that is faster: to images of 64×64 RGB pixels or more, and with the feature
/// `builtin` on CPUs that look up 64 bytes at once (AVX-512 VBMI). It gives the bytes of one op after
/// the other.
///
/// **Memory.** Once a [`Workspace`] has grown to the largest image, nothing is allocated for an image.
pub struct Executor {
    pub(crate) rule: Resolved,
    partner_op: Option<String>,
    op_without_warp: Option<String>,
    /// Whether there may be passes over several ops at once.
    fuses: bool,
}

impl Executor {
    /// Prepares a policy that uses only built-in ops.
    ///
    /// # Errors
    ///
    /// As [`Executor::new`].
    #[cfg(feature = "builtin")]
    pub fn builtin(policy: &Policy) -> Result<Self, PolicyError> {
        Self::new(policy, &faa_ops_builtin::builtin_ops())
    }

    /// Prepares a policy that uses the ops of a set.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`].
    pub fn new(policy: &Policy, ops: &OpSet) -> Result<Self, PolicyError> {
        let rule = policy.resolve(ops)?;
        Ok(Self {
            partner_op: rule.partner_op().map(ToOwned::to_owned),
            op_without_warp: rule.op_without_warp().map(ToOwned::to_owned),
            rule,
            fuses: true,
        })
    }

    /// The executor as it is on a CPU with no more than these vector instructions, for measurements. The
    /// ops are limited separately, when they are created
    /// ([`builtin_ops_at`](faa_ops_builtin::builtin_ops_at)).
    #[cfg(feature = "builtin")]
    pub fn limited_to(self, level: faa_ops_builtin::SimdLevel) -> Self {
        Self {
            fuses: level.looks_up_fast(),
            ..self
        }
    }

    /// The name of the first op in the policy that needs a partner image. If there is one, nothing can
    /// be applied without partners: see [`Workspace::with_partners`].
    pub fn partner_op(&self) -> Option<&str> {
        self.partner_op.as_deref()
    }

    /// The name of the first op in the policy that does not say where it moves pixels
    /// ([`Op::warp`](faa_op::Op::warp)). If there is one, masks, boxes and keypoints are refused.
    pub fn op_without_warp(&self) -> Option<&str> {
        self.op_without_warp.as_deref()
    }

    /// What [`Executor::apply`] will do with this key and this workspace, without doing it.
    ///
    /// The plan depends on how many partners the workspace has, not on what they show.
    pub fn plan(&self, key: DrawKey, workspace: &Workspace<'_>) -> Plan {
        let draw = Draw::new(&self.rule, key, workspace.partner_count());
        Plan {
            sub_policy: draw.sub_policy(),
            steps: draw.map(|drawn| PlannedStep::of(&drawn)).collect(),
        }
    }

    /// Applies the policy to one image, in place.
    ///
    /// # Errors
    ///
    /// The first op that fails; the image may then hold anything. [`OpErrorKind::NoPartner`] if any op
    /// of the policy needs a partner, drawn or not, and the workspace has none;
    /// [`OpErrorKind::PartnerShape`] if the drawn partner differs from the image in size or channels.
    pub fn apply(
        &self,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        self.run(None, image, key, workspace.partners, &mut workspace.scratch)
    }

    /// Overwrites `image` with what [`Executor::apply`] makes of `source`, an image of the same
    /// shape: the same bytes as a copy followed by `apply`, without the copy if the first op reads
    /// the source itself.
    ///
    /// # Errors
    ///
    /// [`OpErrorKind::SourceShape`] if the shapes differ, and those of `apply`.
    pub fn apply_to(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        if !image.has_shape_of(source) {
            return Err(ApplyError::new(None, OpErrorKind::SourceShape));
        }
        let (partners, scratch) = (workspace.partners, &mut workspace.scratch);
        self.run(Some(source), image, key, partners, scratch)
    }

    /// Applies the policy to many images, each with its key, in place; with the feature `rayon` in
    /// parallel, on the current pool. The result does not depend on order or threads.
    ///
    /// # Errors
    ///
    /// One of the failures, as in `apply`; the images may then hold anything.
    pub fn apply_batch(
        &self,
        batch: &mut [(DrawKey, ImageMut<'_>)],
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        #[cfg(feature = "rayon")]
        {
            use rayon::prelude::*;
            let (pool, partners) = (&workspace.pool, workspace.partners);
            batch.par_iter_mut().try_for_each_init(
                || pool.take(),
                |own, (key, image)| self.run(None, image, *key, partners, &mut own.scratch),
            )
        }
        #[cfg(not(feature = "rayon"))]
        batch
            .iter_mut()
            .try_for_each(|(key, image)| self.apply(image, *key, workspace))
    }

    fn run(
        &self,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        partners: Option<&dyn Partners>,
        scratch: &mut Scratch,
    ) -> Result<(), ApplyError> {
        let count = partners.map_or(0, Partners::count);
        if let Some(op) = self.partner_op()
            && count == 0
        {
            return Err(ApplyError::new(Some(op), OpErrorKind::NoPartner));
        }
        let target = Target {
            source,
            one_pass: self.fuses && one_pass_pays(image.samples().len()),
            image,
            partners,
            scratch,
        };
        target.apply(Draw::new(&self.rule, key, count))
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("partner_op", &self.partner_op)
            .field("op_without_warp", &self.op_without_warp)
            .finish_non_exhaustive()
    }
}
