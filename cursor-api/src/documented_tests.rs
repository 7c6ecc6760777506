//! Every public item is documented, and with an example: what `missing_docs` does not ask for.

use std::path::{Path, PathBuf};

/// The files whose types this crate shows as its own, below the engine's folder.
const SHOWN: [&str; 5] =
    ["base/error.rs", "base/options.rs", "io/fork.rs", "salvage/report.rs", "verify/report.rs"];

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, files),
            false => files.push(path),
        }
    }
}

/// What a line declares for everybody, if it is something that an example can show.
fn declared(line: &str) -> Option<&str> {
    let item = line.trim_start().strip_prefix("pub ")?;
    let item = item.strip_prefix("const fn ").or(item.strip_prefix("fn ")).or_else(|| {
        ["const ", "struct ", "enum ", "trait ", "type ", "use rshelve_core::"]
            .iter()
            .find_map(|kind| item.strip_prefix(kind))
    })?;
    item.split(['(', '<', ':', ' ', '{', ';', '=']).next()
}

/// The items of a file without an example; `types` are asked for one too, not only what they can do.
fn without_example(path: &Path, types: bool) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut missing = Vec::new();
    let mut docs = String::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(name) = declared(line).filter(|_| types || line.starts_with(' ')) {
            let is_shown = docs.contains("```") || docs.contains("_example!(");
            if !is_shown && !docs.contains("doc(hidden)") {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
        // A blank line parts what is written of one item from what is written of the next.
        match trimmed.is_empty() || declared(line).is_some() {
            true => docs.clear(),
            false => docs.push_str(trimmed),
        }
    }
    missing
}

#[test]
fn every_public_item_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    files_below(&root.join("src"), &mut files);
    files.retain(|path| {
        !path.ends_with("main.rs") && !path.components().any(|c| c.as_os_str() == "bin")
    });
    let mut missing: Vec<_> = files.iter().flat_map(|path| without_example(path, true)).collect();
    for file in SHOWN {
        missing.extend(without_example(&root.join("../core/src").join(file), false));
    }
    assert!(files.len() > 30, "{} files were read", files.len());
    assert!(missing.is_empty(), "without an example:\n{}", missing.join("\n"));
}
