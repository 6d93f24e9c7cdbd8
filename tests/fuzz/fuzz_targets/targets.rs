//! `faa_tests::fuzz::targets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faa_tests::fuzz::targets(bytes));
