/// Names one draw: image `index` of epoch `epoch` under `seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrawKey {
    /// The seed of the whole run.
    pub seed: u64,
    /// The pass over the data set; below 2³² − 1, which is set aside for the streams of ops.
    pub epoch: u32,
    /// The image's index in the data set, not in a batch.
    pub index: u64,
}

impl DrawKey {
    /// The key of these three numbers.
    pub const fn new(seed: u64, epoch: u32, index: u64) -> Self {
        Self { seed, epoch, index }
    }

    /// The key of one of several frames of this image, if each is to have a draw of its own: the same epoch and
    /// index, and for the seed the first 64 bits of the stream that has this key's seed as the key, 2³² − 1 for the
    /// epoch and `1 + frame` for the index.
    #[must_use]
    pub fn for_frame(self, frame: u32) -> Self {
        let seed = Stream::at(self.seed, OP_EPOCH, 1 + u64::from(frame)).next_u64();
        Self { seed, ..self }
    }
}

/// A random stream: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as
/// easy as 1, 2, 3* (SC 2011).
///
/// Philox turns a 64-bit key and a 128-bit counter into 128 random bits, so a stream has a position and no
/// history: the stream of a [`DrawKey`] depends on its three numbers alone. The key is the
/// seed, low word first; the counter's words are the block number, the epoch, and the index, low
/// word first. An op's own stream has the op's seed as the key, 2³² − 1 for the epoch and 0 for the
/// index. The words of a block are handed out in order.
///
/// This does not change within version 1 of the policy format; the tests check it against published
/// vectors.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

const OP_EPOCH: u32 = u32::MAX;

impl Stream {
    /// The stream of one image in one epoch.
    pub fn for_image(key: DrawKey) -> Self {
        Self::at(key.seed, key.epoch, key.index)
    }

    /// The stream of one call of an op.
    pub fn for_op(seed: u64) -> Self {
        Self::at(seed, OP_EPOCH, 0)
    }

    fn at(seed: u64, epoch: u32, index: u64) -> Self {
        let [seed_low, seed_high] = words(seed);
        let [index_low, index_high] = words(index);
        Self {
            key: [seed_low, seed_high],
            counter: [0, epoch, index_low, index_high],
            block: [0; 4],
            used: 4,
        }
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.block.len() {
            self.block = philox4x32_10(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        let word = self.block[self.used];
        self.used += 1;
        word
    }

    /// The next 64 bits, the low word drawn first.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | u64::from(self.next_u32()) << 32
    }

    /// A uniform number from [0, 1): the high 53 of 64 bits, divided by 2⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether an event of this probability happens: `unit() < probability`.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A uniform integer from 0 to `count` − 1, without bias: the high half of a 64 × 64-bit
    /// product, drawn again if the low half falls into the uneven rest (Lemire, *Fast random
    /// integer generation in an interval*, 2019, algorithm 5).
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn below(&mut self, count: u64) -> u64 {
        assert!(count > 0, "there is no integer below 0");
        let rest = count.wrapping_neg() % count;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(count);
            if product as u64 >= rest {
                return (product >> 64) as u64;
            }
        }
    }
}

fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let [low0, high0] = words(u64::from(MULTIPLIERS[0]) * u64::from(counter[0]));
        let [low1, high1] = words(u64::from(MULTIPLIERS[1]) * u64::from(counter[2]));
        counter = [
            high1 ^ counter[1] ^ key[0],
            low1,
            high0 ^ counter[3] ^ key[1],
            low0,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// The known answers that the authors publish with their Random123 library.
    #[test]
    fn philox_gives_the_published_answers() {
        // Counter, key and answer, as in their file of known answers.
        for line in [
            "0 0 0 0 0 0 6627e8d5 e169c58d bc57ac4c 9b00dbd8",
            "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd",
            "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1",
        ] {
            let mut words = line
                .split(' ')
                .map(|word| u32::from_str_radix(word, 16).unwrap());
            let mut next = || words.next().unwrap();
            let (counter, key) = ([(); 4].map(|()| next()), [(); 2].map(|()| next()));
            assert_eq!(philox4x32_10(counter, key), [(); 4].map(|()| next()));
        }
    }

    #[test]
    fn a_stream_is_the_blocks_of_its_key_in_order() {
        let key = DrawKey::new(0x0123_4567_89ab_cdef, 7, 0x1_0000_0002);
        let mut stream = Stream::for_image(key);
        for block in 0..3 {
            let words = philox4x32_10([block, 7, 2, 1], [0x89ab_cdef, 0x0123_4567]);
            assert_eq!([(); 4].map(|()| stream.next_u32()), words);
        }
    }

    /// Worked out by a different program.
    #[test]
    fn numbers_are_made_of_words_as_documented() {
        let mut stream = Stream::for_image(DrawKey::new(42, 0, 1));
        let units = [stream.unit(), stream.unit()];
        assert_eq!(units, [0.126_249_854_222_419_3, 0.711_612_737_791_628_1]);
        let integers = [(); 6].map(|()| stream.below(10));
        assert_eq!(integers, [9, 2, 1, 3, 6, 0]);
        // Half of all draws for this count fall into the uneven rest.
        assert_eq!(stream.below((1 << 63) + 1), 5_418_314_175_974_406_166);
    }

    #[test]
    fn each_frame_has_a_draw_of_its_own() {
        let key = DrawKey::new(3, 5, 7);
        let frames: Vec<u64> = [
            key,
            key.for_frame(0),
            key.for_frame(1),
            key.for_frame(u32::MAX),
        ]
        .map(|key| Stream::for_image(key).next_u64())
        .into();
        for (index, draw) in frames.iter().enumerate() {
            assert!(!frames[..index].contains(draw));
        }
        let [low, high, ..] = philox4x32_10([0, OP_EPOCH, 3, 0], [3, 0]);
        let seed = u64::from(low) | u64::from(high) << 32;
        assert_eq!(key.for_frame(2), DrawKey::new(seed, 5, 7));
    }

    #[test]
    fn streams_differ_in_seed_epoch_and_index() {
        let all = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)].map(|(seed, epoch, index)| {
            Stream::for_image(DrawKey::new(seed, epoch, index)).next_u64()
        });
        for (index, draw) in all.iter().enumerate() {
            assert!(!all[..index].contains(draw));
        }
    }

    #[test]
    #[cfg_attr(
        miri,
        ignore = "that many draws take a minute, and none of them is unsafe"
    )]
    fn integers_are_uniform_and_reach_both_ends() {
        let mut stream = Stream::for_op(3);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        // Six standard deviations of a binomial(70000, 1/7) are 556.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 556),
            "{counts:?}"
        );
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn certain_events_happen_and_impossible_ones_do_not() {
        let mut stream = Stream::for_op(9);
        assert!((0..1000).all(|_| stream.chance(1.0) && !stream.chance(0.0)));
    }
}
