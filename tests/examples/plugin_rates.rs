//! Measures ops as plugins and compiled in, and prints tables in Markdown.
//!
//! ```sh
//! cargo run --release -p faa-tests --example plugin_rates
//! ```
//!
//! Like `faa-runtime bench`, it cycles through RGB images and writes each result into a separate
//! buffer. It takes the fastest of several rounds, in which all builds take turns, because the speed of
//! machines varies.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, Scratch, Stream};
use faa_plugin::{Host, HostConfig, Plugin};
use faa_tests::plugins::{RUST_EXAMPLES, library_of, module_of, native_permission, new_plugin};

/// The source that `plugin new` writes.
#[path = "../../runtime/cli/template/lib.rs"]
#[allow(unreachable_pub, reason = "it is the root of a crate")]
mod vignette;

/// The number of different images.
const IMAGES: usize = 16;
/// The number of rounds, of which the fastest counts.
const ROUNDS: u32 = 500;
/// The least duration of a round of one build: short, so that some rounds of a busy machine are not interrupted.
const ROUND: Duration = Duration::from_micros(500);
/// The duration of a measurement on several threads.
const ON_THREADS: Duration = Duration::from_millis(300);

/// An op that does nothing, so that its time is the host's overhead.
const NOTHING: &str = r#"(module
    (@custom "faa.abi" "\01\00\00\00")
    (memory (export "memory") 8)
    (data (i32.const 16) "{\"ops\":[{\"name\":\"Nothing\"}]}")
    (func (export "faa_spec") (result i64) (i64.const 0x00000010_0000001c))
    (func (export "faa_reserve") (param i32) (result i32) (i32.const 1024))
    (func (export "faa_apply") (param i32 i32 i32 i32 i32 f64 i64) (result i32) (i32.const 0)))"#;

type AnyOp = Arc<dyn Op>;

/// Computes a result from a source.
type Workload<'a> = &'a dyn Fn(&[u8], &mut [u8]);

fn main() {
    let host = Host::new(HostConfig::default()).expect("WebAssembly plugins can run");
    println!("## The same source in three builds\n");
    let any_nans = {
        let mut config = HostConfig::default();
        config.canonical_nans = false;
        Host::new(config).expect("WebAssembly plugins can run")
    };
    println!(
        "| op | size | compiled in | native library | WebAssembly | any NaNs | allowed | × compiled in |"
    );
    println!("| :-- | --: | --: | --: | --: | --: | --: | --: |");
    for Example {
        name,
        value,
        own,
        module,
        library,
        ..
    } in examples()
    {
        let [module, any_nans] =
            [&host, &any_nans].map(|host| host.load_file(&module).expect("the plugin loads"));
        let library = host
            .load_path(&library, native_permission())
            .expect("the plugin loads");
        for size in [32, 224] {
            let pictures = pictures(size);
            let builds = [
                own.clone(),
                op_of(&library, name),
                op_of(&module, name),
                op_of(&any_nans, name),
            ];
            let workloads: [Workload<'_>; 5] = [
                &|source, result| apply(&*builds[0], value, size, source, result),
                &|source, result| apply(&*builds[1], value, size, source, result),
                &|source, result| apply(&*builds[2], value, size, source, result),
                &|source, result| apply(&*builds[3], value, size, source, result),
                &|source, result| result.copy_from_slice(source),
            ];
            let [own, library, module, any_nans, copy] = times(&workloads, &pictures);
            // At 32×32, the target is that of the host's overhead, which is measured below.
            let allowed = match size {
                224 => format!("{:.0}", 1.5 * own + 2.0 * copy),
                _ => String::new(),
            };
            println!(
                "| {name} | {size} | {own:.0} | {library:.0} | **{module:.0}** | {any_nans:.0} | {allowed} | {:.2} |",
                module / own
            );
        }
    }
    println!("\nNanoseconds per image, on one thread.\n");

    println!("## Overhead of the host\n");
    let nothing: AnyOp = {
        let module = wat::parse_str(NOTHING).expect("it is valid");
        host.load(&module).expect("the plugin loads").ops()[0].clone()
    };
    for size in [1, 32, 224] {
        let pictures = pictures(size);
        let workloads: [Workload<'_>; 2] = [
            &|source, result| apply(&*nothing, 0.0, size, source, result),
            &|source, result| result.copy_from_slice(source),
        ];
        let [call, copy] = times(&workloads, &pictures);
        println!(
            "- {size}×{size}: {call:.0} ns for an op that does nothing, while a copy takes {copy:.0} ns"
        );
    }

    println!("\n## On several threads\n");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    for Example {
        name,
        value,
        module,
        ..
    } in examples()
    {
        let module = host.load_file(&module).expect("the plugin loads");
        let op = op_of(&module, name);
        let [one, all] = [1, cores].map(|threads| rate(&op, value, threads));
        let percent = 100.0 * all / one / cores as f64;
        println!(
            "- {name} at 224×224: {one:.0} images/s on one thread, {all:.0} on {cores}, {percent:.0} % of linear"
        );
    }

    println!("\n## Loading\n");
    for (example, file) in RUST_EXAMPLES
        .map(|example| (example, module_of(example)))
        .into_iter()
        .chain([("vignette", new_plugin(&[]))])
    {
        let kilobytes = std::fs::metadata(&file).map_or(0, |file| file.len() / 1000);
        let folder = tempfile::tempdir().expect("temporary folders can be created");
        let load = |cached: bool| {
            let mut config = HostConfig::default();
            config.cache = cached.then(|| folder.path().join("plugins"));
            let host = Host::new(config).expect("WebAssembly plugins can run");
            let start = Instant::now();
            host.load_file(&file).expect("the plugin loads");
            start.elapsed().as_secs_f64() * 1e3
        };
        let best = |cached: bool| (0..7).map(|_| load(cached)).fold(f64::INFINITY, f64::min);
        let (cold, cached) = (best(false), best(true));
        println!("- {example}, {kilobytes} kB: {cold:.1} ms, {cached:.1} ms from the cache");
    }
}

fn op_of(plugin: &Plugin, name: &str) -> AnyOp {
    let op = plugin.ops().iter().find(|op| op.spec().name() == name);
    op.expect("it has the op").clone()
}

/// An op in all its builds.
struct Example {
    name: &'static str,
    value: f64,
    /// Compiled in.
    own: AnyOp,
    module: PathBuf,
    library: PathBuf,
}

/// Ops of the example plugins, and the one of a crate that `plugin new` creates.
fn examples() -> [Example; 5] {
    let of = |example, name, value, own| Example {
        name,
        value,
        own,
        module: module_of(example),
        library: library_of(example),
    };
    [
        Example {
            name: "Vignette",
            value: 0.5,
            own: Arc::new(vignette::Vignette::default()),
            module: new_plugin(&[]),
            library: new_plugin(&["--native"]),
        },
        of("fade", "Fade", 0.7, Arc::new(plugin_fade::Fade::default())),
        of(
            "weather",
            "Fog",
            0.5,
            Arc::new(plugin_weather::Fog::default()),
        ),
        of(
            "weather",
            "Rain",
            0.3,
            Arc::new(plugin_weather::Rain::default()),
        ),
        of(
            "elastic",
            "Elastic",
            0.1,
            Arc::new(plugin_elastic::Elastic::default()),
        ),
    ]
}

fn apply(op: &dyn Op, value: f64, size: usize, source: &[u8], result: &mut [u8]) {
    thread_local! {
        static SCRATCH: std::cell::RefCell<Scratch> = const { std::cell::RefCell::new(Scratch::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let source = ImageRef::new(source, size, size, Channels::Rgb).expect("it has that shape");
        let mut image =
            ImageMut::new(result, size, size, Channels::Rgb).expect("it has that shape");
        op.apply_from(source, &mut image, value, &mut Call::new(5, scratch))
            .expect("it works");
    });
}

/// Nanoseconds per image of each workload.
fn times<const N: usize>(workloads: &[Workload<'_>; N], pictures: &[Vec<u8>]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    let mut result = pictures[0].clone();
    for _ in 0..ROUNDS {
        for (workload, best) in workloads.iter().zip(&mut best) {
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < ROUND {
                for picture in pictures {
                    workload(picture, &mut result);
                    black_box(&mut result);
                }
                count += pictures.len();
            }
            *best = best.min(start.elapsed().as_secs_f64() * 1e9 / count as f64);
        }
    }
    best
}

/// Images per second of all threads together.
fn rate(op: &AnyOp, value: f64, threads: usize) -> f64 {
    let size = 224;
    let pictures = pictures(size);
    let round = || {
        let (start, mut count) = (Instant::now(), 0);
        let mut result = pictures[0].clone();
        while start.elapsed() < ON_THREADS {
            for picture in &pictures {
                apply(&**op, value, size, picture, &mut result);
            }
            count += pictures.len();
        }
        count as f64 / start.elapsed().as_secs_f64()
    };
    let all = || {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(round)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("it ends"))
                .sum()
        })
    };
    (0..3).map(|_| all()).fold(0.0, f64::max)
}

fn pictures(size: usize) -> Vec<Vec<u8>> {
    let mut stream = Stream::for_op(3);
    let mut picture = || {
        let slope = 1 + stream.below(5) as usize;
        let samples = size * size * 3;
        (0..samples)
            .map(|index| (40 + index * slope / size % 160) as u8)
            .collect()
    };
    (0..IMAGES).map(|_| picture()).collect()
}
