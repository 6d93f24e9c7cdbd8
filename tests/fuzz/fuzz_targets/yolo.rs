//! `faa_tests::fuzz::yolo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faa_tests::fuzz::yolo(bytes));
