//! `faa_tests::fuzz::coco`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faa_tests::fuzz::coco(bytes));
