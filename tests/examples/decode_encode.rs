//! Measures decoding and encoding of images alone, on all cores, for comparison with `faa-runtime augment`.
//!
//! ```sh
//! cargo run --release -p faa-tests --example decode_encode -- DIR COPIES png|jpeg [OUT]
//! ```
//!
//! Every file of the folder, as for `--data folder:DIR`, is read and decoded once, and encoded as often as
//! there are copies, as by `augment`. Nothing is written, or plain files in the new folder `OUT`, which shows what
//! the file system costs. Prints the encoded files per second.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;
use std::{env, fs};

use faa_data::{DataSpec, ImageFiles};
use image::ImageFormat;
use image::codecs::jpeg::JpegEncoder;

fn main() {
    let usage = "give a folder, a number of copies, and png or jpeg";
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (folder, copies, format, out) = match &arguments[..] {
        [folder, copies, format] => (folder, copies, format, None),
        [folder, copies, format, out] => (folder, copies, format, Some(Path::new(out))),
        _ => panic!("{usage}"),
    };
    if let Some(out) = out {
        fs::create_dir(out).expect("a new folder");
    }
    let copies: usize = copies.parse().expect(usage);
    let files = ImageFiles::list(&DataSpec::Folder(PathBuf::from(folder))).expect("a data set");
    let count = files.files().len();
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = thread::available_parallelism()
        .expect("the number of cores")
        .get();
    let start = Instant::now();
    let work = || {
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= count {
                return;
            }
            let content = files.fetch(position).expect("a file");
            let image = files.files()[position].decode(&content).expect("an image");
            for copy in 0..copies {
                let mut encoded = Cursor::new(Vec::new());
                let done = match format.as_str() {
                    "jpeg" => {
                        image.write_with_encoder(JpegEncoder::new_with_quality(&mut encoded, 90))
                    }
                    _ => image.write_to(&mut encoded, ImageFormat::Png),
                };
                done.expect("it can be encoded");
                let encoded = encoded.into_inner();
                bytes.fetch_add(encoded.len(), Ordering::Relaxed);
                if let Some(out) = out {
                    let path = out.join(format!("{position}-{copy}.{format}"));
                    fs::write(path, encoded).expect("it can be written");
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let rate = (count * copies) as f64 / seconds;
    let mib = bytes.into_inner() >> 20;
    println!("{count} images, {copies} copies, {mib} MiB: {rate:.0} files/s in {seconds:.2} s");
}
