//! How long each op takes, at every level of vector instructions, from a source to a result in
//! a different buffer: `cargo bench -p faa-ops-builtin [-- FILTER]`.
//!
//! The targets are in `BENCHMARKS.md` beside this folder, together with the rates of other libraries.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use faa_op::{Call, Channels, ImageMut, ImageRef, Op, Scratch};
use faa_ops_builtin::{SimdLevel, builtin_ops_at};

const SIZES: [usize; 2] = [32, 224];

fn ops(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("{size}x{size}"));
        group.throughput(Throughput::Elements((size * size) as u64));
        for level in SimdLevel::available() {
            for op in builtin_ops_at(level).iter() {
                let id = BenchmarkId::new(op.spec().name(), level);
                group.bench_function(id, |bencher| {
                    let mut work = Work::new(size);
                    bencher.iter(|| work.once(op.as_ref()));
                });
            }
        }
    }
}

/// One image, and what it takes to apply ops to it.
struct Work {
    size: usize,
    source: Vec<u8>,
    partner: Vec<u8>,
    result: Vec<u8>,
    scratch: Scratch,
}

impl Work {
    fn new(size: usize) -> Self {
        let sample = |index: usize| (40 + (index / 7 + index / (3 * size)) % 160) as u8;
        let source: Vec<u8> = (0..size * size * 3).map(sample).collect();
        Self {
            size,
            partner: source.iter().rev().copied().collect(),
            result: source.clone(),
            source,
            scratch: Scratch::new(),
        }
    }

    fn once(&mut self, op: &dyn Op) {
        let (size, rgb) = (self.size, Channels::Rgb);
        let view = |samples| ImageRef::new(samples, size, size, rgb).expect("it has that shape");
        let (source, partner) = (view(&self.source), view(&self.partner));
        let mut image =
            ImageMut::new(&mut self.result, size, size, rgb).expect("it has that shape");
        let range = op.spec().value_range();
        let value = range.map_or(0.0, |range| range.value_at(0.75));
        let mut call = Call::new(1, &mut self.scratch).with_partner(partner);
        op.apply_from(source, &mut image, value, &mut call)
            .expect("built-in ops take any image");
        black_box(image.samples());
    }
}

criterion_group!(benches, ops);
criterion_main!(benches);
