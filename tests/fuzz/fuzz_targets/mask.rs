//! `faa_tests::fuzz::mask`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faa_tests::fuzz::mask(bytes));
