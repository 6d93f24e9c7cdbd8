//! `faa_tests::fuzz::image`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faa_tests::fuzz::image(bytes));
