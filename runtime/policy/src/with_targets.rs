//! Draws that are applied to an image and to what moves along with it.

use faa_op::{DrawKey, ImageMut, ImageRef, OpErrorKind, OpSet, Size};

use crate::draw::Draw;
use crate::{ApplyError, Executor, Plan, ReplayError, ReplayErrorKind, Targets, Workspace};

impl Executor {
    /// Applies the policy to an image and to its targets, all in place and with one draw: that of
    /// [`Executor::apply`] with the same key.
    ///
    /// Once a workspace has grown to the largest image and mask, nothing is allocated.
    ///
    /// # Errors
    ///
    /// [`OpErrorKind::UnknownWarp`] if an op of the policy, drawn or not, does not say where it moves pixels,
    /// and [`OpErrorKind::MaskSize`] if a mask differs from the image in size: nothing has changed then. Those
    /// of `apply`, after which the image and the images of the targets may hold anything, and the other targets
    /// have not changed.
    pub fn apply_with_targets(
        &self,
        image: &mut ImageMut<'_>,
        targets: &mut Targets<'_, '_>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        self.record(image.size(), targets, key, workspace)?;
        self.apply(image, key, workspace)?;
        self.apply_recorded(targets, key, workspace)
    }

    /// Overwrites `image` with what [`Executor::apply_with_targets`] makes of `source`, an image of the same
    /// shape. The targets are changed in place.
    ///
    /// # Errors
    ///
    /// Those of `apply_with_targets`, and [`OpErrorKind::SourceShape`] if the shapes differ.
    pub fn apply_to_with_targets(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        targets: &mut Targets<'_, '_>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        self.record(image.size(), targets, key, workspace)?;
        self.apply_to(source, image, key, workspace)?;
        self.apply_recorded(targets, key, workspace)
    }

    fn record(
        &self,
        size: Size,
        targets: &Targets<'_, '_>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        if let Some(op) = self.op_without_warp() {
            return Err(ApplyError::new(Some(op), OpErrorKind::UnknownWarp));
        }
        check_masks(size, targets)?;
        let draw = Draw::new(&self.rule, key, workspace.partner_count());
        workspace.movement.record(draw, size)
    }

    fn apply_recorded(
        &self,
        targets: &mut Targets<'_, '_>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        for image in &mut *targets.images {
            self.apply(image, key, workspace)?;
        }
        workspace.movement.apply(targets);
        Ok(())
    }
}

impl Plan {
    /// Applies the plan to an image and to its targets, all in place: the same as from
    /// [`Executor::apply_with_targets`] of the executor that made it, given the same of everything.
    ///
    /// # Errors
    ///
    /// Those of [`Plan::replay`], and as [`ReplayErrorKind::Apply`] those of `apply_with_targets`.
    pub fn replay_with_targets(
        &self,
        ops: &OpSet,
        image: &mut ImageMut<'_>,
        targets: &mut Targets<'_, '_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        self.record(ops, image.size(), targets, workspace)?;
        self.replay(ops, image, workspace)?;
        self.replay_recorded(ops, targets, workspace)
    }

    /// Overwrites `image` with what [`Plan::replay_with_targets`] makes of `source`, an image of the same shape.
    /// The targets are changed in place.
    ///
    /// # Errors
    ///
    /// Those of `replay_with_targets`, and [`OpErrorKind::SourceShape`] if the shapes differ.
    pub fn replay_to_with_targets(
        &self,
        ops: &OpSet,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        targets: &mut Targets<'_, '_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        self.record(ops, image.size(), targets, workspace)?;
        self.replay_to(ops, source, image, workspace)?;
        self.replay_recorded(ops, targets, workspace)
    }

    fn record(
        &self,
        ops: &OpSet,
        size: Size,
        targets: &Targets<'_, '_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        let steps = self.resolve(ops, workspace.partner_count())?;
        let recorded = check_masks(size, targets)
            .and_then(|()| workspace.movement.record(steps.into_iter(), size));
        Ok(recorded.map_err(ReplayErrorKind::Apply)?)
    }

    fn replay_recorded(
        &self,
        ops: &OpSet,
        targets: &mut Targets<'_, '_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        for image in &mut *targets.images {
            self.replay(ops, image, workspace)?;
        }
        workspace.movement.apply(targets);
        Ok(())
    }
}

fn check_masks(size: Size, targets: &Targets<'_, '_>) -> Result<(), ApplyError> {
    if targets.masks.iter().any(|mask| mask.size() != size) {
        return Err(ApplyError::new(None, OpErrorKind::MaskSize));
    }
    Ok(())
}
