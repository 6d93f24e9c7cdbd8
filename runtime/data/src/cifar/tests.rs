use std::num::NonZeroUsize;
use std::slice;

use tempfile::TempDir;

use super::*;
use crate::spec::DataSpec;

/// A data set under construction, in a folder that goes away with it.
struct Folder(TempDir);

impl Folder {
    /// CIFAR-10 with one record in every file, labelled by the index of the file.
    fn of_10() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (label, file) in (1..).zip(CIFAR_10.train) {
            folder.write(file, &record(&[label], [label, 0, 100]));
        }
        folder.write("test_batch.bin", &record(&[9], [9, 9, 9]));
        folder
    }

    /// CIFAR-100 with two records for training and one for testing.
    fn of_100() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let train = [record(&[19, 99], [1, 2, 3]), record(&[0, 7], [4, 5, 6])];
        folder
            .write("train.bin", &train.concat())
            .write("test.bin", &record(&[3, 42], [7, 8, 9]));
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> &Self {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn load_10(&self) -> Result<Dataset, DataError> {
        let spec = DataSpec::Cifar10(self.0.path().into());
        Dataset::load(&spec, &LoadOptions::default())
    }

    fn preview_10(&self, count: usize) -> Result<Preview, DataError> {
        let spec = DataSpec::Cifar10(self.0.path().into());
        let count = NonZeroUsize::new(count).unwrap();
        Dataset::preview(&spec, &LoadOptions::default(), count)
    }

    fn load_100(&self) -> Result<Dataset, DataError> {
        let spec = DataSpec::Cifar100(self.0.path().into());
        Dataset::load(&spec, &LoadOptions::default())
    }

    /// Checks that CIFAR-10 is refused with words about a file.
    #[track_caller]
    fn refused_10(&self, file: &str, words: &str) {
        let text = self.load_10().unwrap_err().to_string();
        let expected = format!("{} {words}", self.path(file).display());
        assert!(text.contains(&expected), "{text}");
    }
}

/// A record whose channels have one value each.
fn record(labels: &[u8], colour: [u8; 3]) -> Vec<u8> {
    let planes = colour.map(|value| vec![value; PLANE]).concat();
    [labels, planes.as_slice()].concat()
}

#[test]
fn records_are_read_in_order() {
    let data = Folder::of_10().load_10().unwrap();
    assert_eq!(data.classes, CIFAR_10.known);
    assert_eq!((data.width, data.height), (32, 32));
    assert_eq!(data.train.labels, [1, 2, 3, 4, 5]);
    assert_eq!(data.test.labels, [9]);
    let pixels = |colour: [u8; 3]| colour.repeat(PLANE);
    for (label, (image, _)) in (1..).zip(data.train.iter()) {
        assert_eq!(image, pixels([label, 0, 100]));
    }
    assert_eq!(data.test.image(0), pixels([9, 9, 9]));

    let data = Folder::of_100().load_100().unwrap();
    assert_eq!((data.classes.len(), data.classes[42].as_str()), (100, "42"));
    assert_eq!(data.train.labels, [99, 7]);
    assert_eq!(data.test.labels, [42]);
    assert_eq!(data.train.image(1), pixels([4, 5, 6]));
}

#[test]
fn channels_are_interleaved_row_by_row() {
    let planes: Vec<u8> = (0..3 * PLANE).map(|index| (index % 251) as u8).collect();
    let folder = Folder::of_10();
    folder.write("data_batch_1.bin", &[&[0], planes.as_slice()].concat());
    let data = folder.load_10().unwrap();
    for (index, pixel) in data.train.image(0).chunks(3).enumerate() {
        let expected = [0, 1, 2].map(|channel| planes[channel * PLANE + index]);
        assert_eq!(pixel, expected, "{index}");
    }
}

#[test]
fn images_can_be_brought_to_a_size() {
    let folder = Folder::of_10();
    let spec = DataSpec::Cifar10(folder.0.path().into());
    let at = |size| Dataset::load(&spec, &LoadOptions::sized(Some(size)));
    assert_eq!(at(32).unwrap(), folder.load_10().unwrap());
    for size in [1, 8, 40] {
        let data = at(size).unwrap();
        assert_eq!((data.width, data.height), (size as usize, size as usize));
        let pixels = [3_u8, 0, 100].repeat((size * size) as usize);
        assert_eq!(data.train.image(2), pixels);
    }
    assert_eq!(at(0).unwrap_err().kind(), DataErrorKind::Usage);
}

#[test]
fn classes_are_named_by_the_file_beside_them() {
    let folder = Folder::of_10();
    let names = ["a", "b", "c d", "e", "f", "g", "h", "i", "j", "k"];
    folder.write("batches.meta.txt", (names.join("\r\n") + "\n\n").as_bytes());
    assert_eq!(folder.load_10().unwrap().classes, names);

    let file = "batches.meta.txt";
    folder.write(file, b"a\nb\n");
    folder.refused_10(file, "names 2 classes instead of 10");
    folder.write(file, b"\xff\n");
    folder.refused_10(file, "cannot be read");
    folder.write(file, &[b'\n'; (64 << 10) + 1]);
    folder.refused_10(file, "cannot be read: it is larger than 64 KiB");
    fs::remove_file(folder.path(file)).unwrap();
    fs::create_dir(folder.path(file)).unwrap();
    folder.refused_10(file, "cannot be read: it is not a regular file");

    let folder = Folder::of_100();
    let names: Vec<_> = (0..100).map(|class| format!("class {class}")).collect();
    folder.write("fine_label_names.txt", names.join("\n").as_bytes());
    assert_eq!(folder.load_100().unwrap().classes, names);
}

#[test]
fn the_folder_of_the_archive_is_entered() {
    let outer = Folder(tempfile::tempdir().unwrap());
    let files = CIFAR_10.train.iter().chain(slice::from_ref(&CIFAR_10.test));
    for (shade, file) in (0..).zip(files) {
        let file = format!("cifar-10-batches-bin/{file}");
        outer.write(&file, &record(&[5], [shade; 3]));
    }
    assert_eq!(outer.load_10().unwrap().train.labels, [5; 5]);

    fs::remove_file(outer.path("cifar-10-batches-bin/data_batch_3.bin")).unwrap();
    outer.refused_10("cifar-10-batches-bin", "has no data_batch_3.bin;");
}

#[test]
fn missing_files_are_named() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let text = folder.load_10().unwrap_err().to_string();
    for part in [
        "data_batch_1.bin, data_batch_2.bin",
        "test_batch.bin",
        "binary version",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let text = folder.load_100().unwrap_err().to_string();
    for part in ["train.bin, test.bin", "CIFAR-100", "binary version"] {
        assert!(text.contains(part), "{text}");
    }
    // The other version's files do not do.
    assert!(Folder::of_10().load_100().is_err());
}

#[test]
fn files_are_made_of_whole_records() {
    let whole = record(&[0], [0, 0, 0]);
    for length in [0, 1, 3_072, 3_074, 6_145] {
        let folder = Folder::of_10();
        folder.write("data_batch_4.bin", &whole.repeat(2)[..length]);
        let record = "must have one or more whole records of 3073 bytes";
        folder.refused_10(
            "data_batch_4.bin",
            &format!("has {length} bytes, but {record}"),
        );
    }
}

#[test]
fn files_that_are_copies_of_each_other_are_refused() {
    for copy in ["data_batch_4.bin", "test_batch.bin"] {
        let folder = Folder::of_10();
        fs::copy(folder.path("data_batch_2.bin"), folder.path(copy)).unwrap();
        let original = folder.path("data_batch_2.bin");
        let words = format!("has the same content as {};", original.display());
        folder.refused_10(copy, &words);
    }
}

#[test]
fn files_cut_off_at_a_record_are_a_warning() {
    let folder = Folder::of_100();
    let warning = |folder: &Folder| folder.load_100().unwrap().warnings;
    let words = "is not all of CIFAR-100: train.bin has 2 images instead of 50000, \
                 test.bin has 1 images instead of 10000";
    let path = folder.0.path().display().to_string();
    assert_eq!(warning(&folder), [format!("{path} {words}")]);
    let record = record(&[0, 7], [4, 5, 6]);
    folder.write("test.bin", &record.repeat(10_000));
    assert_eq!(
        warning(&folder),
        [format!("{path} {}", words.split(", ").next().unwrap())]
    );
    folder.write("train.bin", &record.repeat(50_000));
    assert!(warning(&folder).is_empty());
}

#[test]
fn labels_are_in_range() {
    let folder = Folder::of_10();
    let records = [record(&[9], [0; 3]), record(&[10], [0; 3])];
    folder.write("data_batch_2.bin", &records.concat());
    let words = "has the label 10 in record 2, and 9 is the highest";
    folder.refused_10("data_batch_2.bin", words);

    for (labels, kind, label) in [([20, 0], "coarse label", 20), ([0, 100], "fine label", 100)] {
        let folder = Folder::of_100();
        folder.write("test.bin", &record(&labels, [0; 3]));
        let text = folder.load_100().unwrap_err().to_string();
        let words = format!(
            "has the {kind} {label} in record 1, and {} is the highest",
            label - 1
        );
        assert!(text.contains(&words), "{text}");
    }
}

#[test]
fn long_files_are_read_in_parts() {
    let count = 2 * AT_ONCE + 1;
    let mut records: Vec<u8> = (0..count)
        .flat_map(|number| record(&[(number % 10) as u8], [(number % 251) as u8, 0, 0]))
        .collect();
    let folder = Folder::of_10();
    folder.write("data_batch_1.bin", &records);
    let data = folder.load_10().unwrap();
    assert_eq!(data.train.len(), count + 4);
    for (number, (image, label)) in data.train.iter().take(count).enumerate() {
        assert_eq!(image[0], (number % 251) as u8);
        assert_eq!(label, (number % 10) as u32);
    }

    let last = records.len() - 3_073;
    records[last] = 10;
    folder.write("data_batch_1.bin", &records);
    folder.refused_10("data_batch_1.bin", "has the label 10 in record 2001,");
}

#[test]
fn a_preview_reads_the_chosen_records_only() {
    let folder = Folder::of_10();
    let records: Vec<u8> = (0..5)
        .flat_map(|number| record(&[number], [number, 1, 2]))
        .collect();
    folder.write("data_batch_2.bin", &records);
    // Of the nine records, those with the indices 0, 3 and 6.
    let preview = folder.preview_10(3).unwrap();
    assert_eq!(preview.train_images, 9);
    assert_eq!(preview.dataset.train.labels, [1, 2, 3]);
    assert_eq!(preview.dataset.train.image(1)[..3], [2, 1, 2]);
    assert!(preview.dataset.test.is_empty());
    let whole = folder.load_10().unwrap();
    assert_eq!(folder.preview_10(99).unwrap().dataset.train, whole.train);

    // A label that is out of range is met only where its record is read.
    folder.write("data_batch_1.bin", &record(&[10], [0; 3]));
    assert!(folder.preview_10(3).is_err());
    folder.write("data_batch_1.bin", &record(&[1], [0; 3]));
    folder.write("data_batch_5.bin", &record(&[10], [0; 3]));
    assert!(folder.preview_10(3).is_ok());
}

#[test]
fn files_beyond_memory_are_refused_however_small_the_images() {
    // 8 GiB of pixels and a little more.
    assert_eq!(images_refused(2_796_203, 1), 2_796_208);
}

#[test]
fn sets_beyond_memory_are_refused_before_they_are_read() {
    // 171 images of 4096² pixels take 8.6 GB.
    assert_eq!(images_refused(171, 4_096), 176);
}

/// How many images a data set with `records` in its first file has when it is refused as too large.
/// That file takes no room on most disks.
fn images_refused(records: u64, size: u32) -> usize {
    let folder = Folder::of_10();
    let file = File::create(folder.path("data_batch_1.bin")).unwrap();
    file.set_len(records * 3_073).unwrap();
    let spec = DataSpec::Cifar10(folder.0.path().into());
    let error = Dataset::load(&spec, &LoadOptions::sized(Some(size))).unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::TooLarge);
    let text = error.to_string();
    text.split(' ').next().unwrap().parse().unwrap()
}
