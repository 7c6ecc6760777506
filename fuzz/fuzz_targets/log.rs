//! See `rshelve_fuzz::entries::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rshelve_fuzz::entries::log(data));
