use faa_op::{DrawKey, ImageMut, ImageRef, OpError, OpSet};

use crate::draw::Draw;
use crate::points::one_pass_pays;
use crate::resolve::Resolved;
use crate::steps::Target;
use crate::workspace::Pool;
use crate::{ApplyError, Partners, Plan, Policy, PolicyError, Workspace};

/// A policy, ready to be applied: ops looked up and values computed. `Send + Sync`.
///
/// **Draws.** The stream of an image ([`Stream::for_image`](faa_op::Stream::for_image)) is read in
/// this order:
///
/// 1. With sub-policies, which of them ([`Stream::below`](faa_op::Stream::below) their number);
///    then for each of its steps whether it is applied
///    ([`Stream::chance`](faa_op::Stream::chance) of its probability), and where it is, what
///    stands under 3.
/// 2. With a sampler, `count` times: the op (`below` the number of ops); where the op has a value
///    and no bin is stated, the bin (`below` the number of bins); and what stands under 3.
/// 3. Where the value is mirrored, whether it is now (a chance of ½); the op's seed
///    ([`Stream::next_u64`](faa_op::Stream::next_u64)); and for an op that mixes, its partner
///    (`below` the number of partners; below 1 where there are none).
///
/// **Passes.** Neighbouring ops that have tables ([`Op::point`](faa_op::Op::point)) are applied in
/// one pass where that is faster: to images of 64×64 RGB pixels or more, and with the feature
/// `builtin` on CPUs that look up 64 bytes at once (AVX-512 VBMI). It gives the bytes of one op after
/// the other.
///
/// **Memory.** Once workspaces have grown to the largest image, nothing is allocated for an image.
pub struct Executor {
    rule: Resolved,
    mixing: Option<String>,
    pool: Pool,
}

impl Executor {
    /// Makes a policy ready, with the built-in ops alone.
    ///
    /// # Errors
    ///
    /// As [`Executor::new`].
    #[cfg(feature = "builtin")]
    pub fn builtin(policy: &Policy) -> Result<Self, PolicyError> {
        Self::new(policy, &faa_ops_builtin::builtin_ops())
    }

    /// Makes a policy ready, with the ops of a set.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::check`].
    pub fn new(policy: &Policy, ops: &OpSet) -> Result<Self, PolicyError> {
        let rule = policy.resolve(ops)?;
        Ok(Self {
            mixing: rule.mixing_op().map(ToOwned::to_owned),
            rule,
            pool: Pool::default(),
        })
    }

    /// The first op of the policy that mixes in a partner image, by name. Where there is one, the
    /// executor must be given partners to apply anything.
    pub fn mixing_op(&self) -> Option<&str> {
        self.mixing.as_deref()
    }

    /// The same executor, with images that mixing ops may blend in.
    pub fn with_partners<'a>(&'a self, partners: &'a dyn Partners) -> Paired<'a> {
        Paired {
            executor: self,
            partners: Some(partners),
        }
    }

    /// What [`Executor::apply`] will do with this key, without doing it.
    ///
    /// Where an op mixes, ask [`Paired::plan`] instead: without partners, `apply` refuses.
    pub fn plan(&self, key: DrawKey) -> Plan {
        self.alone().plan(key)
    }

    /// Applies the policy to one image, in place.
    ///
    /// # Errors
    ///
    /// The first op that fails; the image may then hold anything. Where any op of the policy mixes,
    /// drawn or not, [`OpError::NoPartner`].
    pub fn apply(
        &self,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        self.alone().apply(image, key, workspace)
    }

    /// Overwrites `image` with what [`Executor::apply`] makes of `source`, an image of the same
    /// shape: the same bytes as a copy followed by `apply`, for less than a copy where the first op
    /// can read the source itself.
    ///
    /// # Errors
    ///
    /// [`OpError::SourceShape`] where the shapes differ, and those of `apply`.
    pub fn apply_to(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        self.alone().apply_to(source, image, key, workspace)
    }

    /// Applies the policy to many images, each with the key beside it; in parallel, on the current
    /// rayon pool, with the feature `rayon`. The result does not depend on order or threads.
    ///
    /// # Errors
    ///
    /// One of the failures; the images may then hold anything.
    pub fn apply_batch(&self, batch: &mut [(DrawKey, ImageMut<'_>)]) -> Result<(), ApplyError> {
        self.alone().apply_batch(batch)
    }

    fn alone(&self) -> Paired<'_> {
        Paired {
            executor: self,
            partners: None,
        }
    }
}

/// An [`Executor`] with the images that mixing ops may blend in.
#[derive(Clone, Copy)]
pub struct Paired<'a> {
    executor: &'a Executor,
    partners: Option<&'a dyn Partners>,
}

impl Paired<'_> {
    /// What [`Paired::apply`] will do with this key, without doing it.
    pub fn plan(&self, key: DrawKey) -> Plan {
        let draw = self.draw(key);
        Plan {
            sub_policy: draw.sub_policy(),
            steps: draw.map(|drawn| drawn.planned()).collect(),
        }
    }

    /// As [`Executor::apply`].
    ///
    /// # Errors
    ///
    /// The first op that fails; the image may then hold anything. [`OpError::NoPartner`] where an
    /// op of the policy mixes and the set is empty; [`OpError::PartnerShape`] where the drawn
    /// partner has another shape than the image.
    pub fn apply(
        &self,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        self.run(None, image, key, workspace)
    }

    /// As [`Executor::apply_to`].
    ///
    /// # Errors
    ///
    /// [`OpError::SourceShape`] where the shapes differ, and those of [`Paired::apply`].
    pub fn apply_to(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        if !image.has_shape_of(source) {
            return Err(ApplyError::without_op(OpError::SourceShape));
        }
        self.run(Some(source), image, key, workspace)
    }

    /// As [`Executor::apply_batch`].
    ///
    /// # Errors
    ///
    /// One of the failures; the images may then hold anything.
    pub fn apply_batch(&self, batch: &mut [(DrawKey, ImageMut<'_>)]) -> Result<(), ApplyError> {
        let pool = &self.executor.pool;
        #[cfg(feature = "rayon")]
        {
            use rayon::prelude::*;
            batch.par_iter_mut().try_for_each_init(
                || pool.take(),
                |own, (key, image)| self.apply(image, *key, own),
            )
        }
        #[cfg(not(feature = "rayon"))]
        {
            let mut own = pool.take();
            batch
                .iter_mut()
                .try_for_each(|(key, image)| self.apply(image, *key, &mut own))
        }
    }

    fn run(
        &self,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        if let Some(op) = &self.executor.mixing
            && self.count() == 0
        {
            return Err(ApplyError::of_op(op, OpError::NoPartner));
        }
        let one_pass = one_pass_pays(image.samples().len());
        let target = Target {
            source,
            image,
            partners: self.partners,
            scratch: &mut workspace.scratch,
            one_pass,
        };
        target.apply(self.draw(key))
    }

    fn draw(&self, key: DrawKey) -> Draw<'_> {
        Draw::new(&self.executor.rule, key, self.count())
    }

    fn count(&self) -> u64 {
        self.partners.map_or(0, Partners::count)
    }
}
