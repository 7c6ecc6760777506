//! See `rshelve_fuzz::texts::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rshelve_fuzz::texts::config(data));
