//! Each row of the contract has a test in Rust and one in Python, and each names its number.

use std::path::Path;

/// What every file below `folder` with this ending says.
fn sources(folder: &Path, ending: &str, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, ending, all);
        } else if path.to_string_lossy().ends_with(ending) {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_row_has_a_test_in_rust_and_in_python() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let contract = std::fs::read_to_string(root.join("docs/cursor-semantics.md")).unwrap();
    let number = |line: &str| line.strip_prefix("| ")?.split_once(" |")?.0.parse::<u32>().ok();
    let rows: Vec<u32> = contract.lines().filter_map(number).collect();
    assert_eq!(rows, (1..=31).collect::<Vec<_>>(), "the rows of docs/cursor-semantics.md");
    let (mut rust, mut python) = (String::new(), String::new());
    sources(&root.join("cursor-api"), ".rs", &mut rust);
    sources(&root.join("pyshelve/tests"), ".py", &mut python);
    for (language, text, word) in [("Rust", rust, "fn row_"), ("Python", python, "def test_row_")] {
        let untested: Vec<_> =
            rows.iter().filter(|row| !text.contains(&format!("{word}{row:02}_"))).collect();
        assert!(untested.is_empty(), "rows without a test in {language}: {untested:?}");
    }
}
