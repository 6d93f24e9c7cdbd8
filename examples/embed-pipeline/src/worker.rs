use std::sync::Arc;
use std::sync::atomic::Ordering;

use faa_op::{Channels, DrawKey, ImageMut};
use faa_policy::Workspace;

use crate::decode::Decoder;
use crate::error::shown;
use crate::loader::{Epoch, Shared};
use crate::{Batch, LoadError, Skipped};

/// What one thread needs to make batches, all of which is used again for every image.
pub(crate) struct Worker<'a> {
    shared: &'a Arc<Shared>,
    decoder: Decoder,
    workspace: Workspace<'static>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>) -> Self {
        Self {
            shared,
            decoder: Decoder::new(shared.options.size),
            workspace: Workspace::new(),
        }
    }

    /// The images at these indices of the folder, as a batch.
    pub(crate) fn batch(&mut self, epoch: &Epoch, indices: &[usize]) -> Result<Batch, LoadError> {
        let mut batch = Batch::new(self.shared);
        for &index in indices {
            // Nobody will look at the batch.
            if epoch.stopped.load(Ordering::Relaxed) {
                break;
            }
            self.add(epoch.number, index, &mut batch)?;
        }
        batch
            .images
            .truncate(batch.labels.len() * self.shared.options.image_length());
        Ok(batch)
    }

    fn add(&mut self, epoch: u32, index: usize, batch: &mut Batch) -> Result<(), LoadError> {
        let shared = self.shared;
        let source = &shared.folder.files[index];
        let pixels = match self.decoder.read(&source.path) {
            Ok(pixels) => pixels,
            Err(error) => {
                let (path, reason) = (source.path.clone(), error.to_string());
                batch.skipped.push(Skipped { path, reason });
                return Ok(());
            }
        };
        let key = DrawKey::new(shared.options.seed, epoch, index as u64);
        let side = shared.options.size as usize;
        let mut image = ImageMut::new(pixels, side, side, Channels::Rgb)
            .expect("the decoder's square has this size");
        let applied = shared.executor.apply(&mut image, key, &mut self.workspace);
        applied.map_err(|error| {
            LoadError::because(format!("cannot augment {}", shown(&source.path)), error)
        })?;
        let length = shared.options.image_length();
        let floats = &mut batch.images[batch.labels.len() * length..][..length];
        shared.normaliser.planes(image.as_ref(), floats);
        batch.labels.push(source.label);
        batch.indices.push(index);
        Ok(())
    }
}
