//! The fuzz targets over their corpora, and over bytes that look like them: what a nightly run searches,
//! an ordinary one repeats.

use std::fs;
use std::path::Path;

use crate::entries;
use crate::harness::{Random, scaled, seed};

/// Runs `target` over every file of its corpus, and over random bytes.
fn run(name: &str, target: fn(&[u8]), random_runs: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut corpus = Vec::new();
    for file in files {
        corpus.push(fs::read(file.expect("a file").path()).expect("it can be read"));
    }
    assert!(!corpus.is_empty(), "{name} has no corpus");
    corpus.iter().for_each(|data| target(data));
    let mut random = Random::new(seed());
    for _ in 0..random_runs {
        let mut data = corpus[random.index(corpus.len())].clone();
        for _ in 0..1 + random.index(4) {
            let at = random.index(data.len() + 1);
            match random.index(3) {
                0 if at < data.len() => data[at] = random.next() as u8,
                1 => data.truncate(at),
                _ => {
                    let more = random.index(12);
                    data.splice(at..at, random.bytes(more));
                }
            }
        }
        target(&data);
    }
    println!("{name}: {} files, {random_runs} variants of them", corpus.len());
}

#[test]
fn fuzz_page_finds_nothing_in_its_corpus() {
    run("page", entries::page, scaled(20_000, 1_000_000));
}

#[test]
fn fuzz_log_finds_nothing_in_its_corpus() {
    run("log", entries::log, scaled(5_000, 300_000));
}

#[test]
fn fuzz_file_finds_nothing_in_its_corpus() {
    run("file", entries::file, scaled(500, 50_000));
}

#[test]
fn fuzz_operations_finds_nothing_in_its_corpus() {
    run("operations", entries::operations, scaled(200, 20_000));
}
