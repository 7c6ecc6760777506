//! See `rshelve_fuzz::texts::packing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rshelve_fuzz::texts::packing(data));
