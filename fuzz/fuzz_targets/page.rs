//! See `rshelve_fuzz::entries::page`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rshelve_fuzz::entries::page(data));
