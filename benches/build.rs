//! Compiles the few C functions over WiredTiger, where that peer is asked for.
//!
//! `WIREDTIGER_DIR` names an installation other than the system's (with `include/` and `lib/`).

fn main() {
    println!("cargo::rerun-if-changed=src/stores/wiredtiger.c");
    println!("cargo::rerun-if-env-changed=WIREDTIGER_DIR");
    #[cfg(feature = "wiredtiger")]
    build_wiredtiger();
}

#[cfg(feature = "wiredtiger")]
fn build_wiredtiger() {
    let mut build = cc::Build::new();
    if let Some(folder) = std::env::var_os("WIREDTIGER_DIR") {
        let folder = std::path::PathBuf::from(folder);
        build.include(folder.join("include"));
        println!("cargo::rustc-link-search=native={}", folder.join("lib").display());
    }
    build.file("src/stores/wiredtiger.c").compile("rshelve_bench_wiredtiger");
    println!("cargo::rustc-link-lib=wiredtiger");
}
