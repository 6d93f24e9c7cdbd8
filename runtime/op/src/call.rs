use alloc::vec::Vec;

use crate::{ImageRef, Stream};

/// What an op is given in addition to the image and the value.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The source of all of the op's randomness.
    pub seed: u64,
    /// The image that an op [with a partner](crate::OpSpec::with_partner) mixes in, of the same shape
    /// as the image itself.
    pub partner: Option<ImageRef<'a>>,
    /// Working memory, kept from call to call so that nothing is allocated in the steady state.
    pub scratch: &'a mut Scratch,
}

impl<'a> Call<'a> {
    /// A call with a seed and working memory, and without a partner.
    pub fn new(seed: u64, scratch: &'a mut Scratch) -> Self {
        Self {
            seed,
            partner: None,
            scratch,
        }
    }

    /// The same call with a partner image.
    #[must_use]
    pub fn with_partner(mut self, partner: ImageRef<'a>) -> Self {
        self.partner = Some(partner);
        self
    }

    /// The random stream that belongs to this call's seed.
    pub fn stream(&self) -> Stream {
        Stream::for_op(self.seed)
    }
}

/// Working memory that grows to the largest size asked for and is then reused.
#[derive(Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    /// Empty working memory; it allocates on first use.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// `length` bytes of unspecified content.
    pub fn bytes(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        &mut self.bytes[..length]
    }

    /// A copy of `source`, for ops that read pixels which they have already overwritten.
    pub fn copy_of(&mut self, source: &[u8]) -> &[u8] {
        let copy = self.bytes(source.len());
        copy.copy_from_slice(source);
        copy
    }
}
