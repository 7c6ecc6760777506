//! Holds the source to `ARCHITECTURE.md`: imports run downward through its layer table, `unsafe`
//! stands only where the table says, every file says what it is, and no file grows past reading.
//!
//! The rules are plain functions from text to complaints, so that each is also shown a text that
//! breaks it: a check that cannot fail would hold nothing.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines that a file may have.
const FILE_LINES_MAX: usize = 800;

#[test]
fn imports_run_downward_through_the_layer_table() {
    let layers = Layers::of_architecture();
    let complaints: Vec<_> = core_files()
        .iter()
        .flat_map(|file| import_complaints(&layers, &file.relative, &file.text))
        .collect();
    assert_none(&complaints);
}

#[test]
fn unsafe_stands_only_where_the_layer_table_says() {
    let layers = Layers::of_architecture();
    let complaints: Vec<_> = core_files()
        .iter()
        .flat_map(|file| unsafe_complaints(&layers, &file.relative, &file.text))
        .collect();
    assert_none(&complaints);
}

#[test]
fn faces_and_tools_forbid_unsafe() {
    let root = repository();
    for file in ["cursor-api/src/lib.rs", "pyshelve/src/lib.rs"] {
        let text = fs::read_to_string(root.join(file)).expect("a crate root");
        assert!(forbids_unsafe(&text), "{file} lacks #![forbid(unsafe_code)]");
    }
}

#[test]
fn every_file_says_what_it_is_and_fits_in_one_sitting() {
    let root = repository();
    let mut complaints = Vec::new();
    for folder in ["core", "cursor-api", "pyshelve", "loom-tests", "shuttle-tests", "benches"] {
        for file in rust_files(&root.join(folder), &root) {
            complaints.extend(shape_complaints(&file.relative, &file.text));
        }
    }
    assert_none(&complaints);
}

#[test]
fn layer_table_is_ordered_bottom_up() {
    let layers = Layers::of_architecture();
    assert!(layers.rows.len() > 10, "the layer table was not found whole: {:?}", layers.names());
    for (index, (name, row)) in layers.rows.iter().enumerate() {
        for import in &row.may_import {
            let place = layers.names().iter().position(|other| other == import);
            assert!(
                place.is_some_and(|place| place < index),
                "`{name}` may import `{import}`, which is not a row above it"
            );
        }
    }
}

#[test]
fn rules_complain_about_what_breaks_them() {
    let layers = Layers::parse(
        "| layer | what it knows | may import | unsafe |\n|---|---|---|---|\n\
         | `sync` | a | - | yes |\n| `base` | b | `sync` | no |\n| `io` | c | `base` | `map.rs` |\n",
    );
    let imports = |file: &str, text: &str| import_complaints(&layers, file, text).len();
    assert_eq!(imports("base/a.rs", "use crate::sync::Arc;"), 0);
    assert_eq!(imports("base/a.rs", "use crate::base::error::Error;"), 0);
    assert_eq!(imports("base/a.rs", "use crate::Error;"), 0);
    assert_eq!(imports("base/a.rs", "//! See [`crate::io::File`]."), 0);
    assert_eq!(imports("base/a.rs", "use crate::io::File;"), 1);
    assert_eq!(imports("base/a.rs", "pub(crate) use crate::io::{File, Storage};"), 1);
    assert_eq!(imports("base/a.rs", "use crate::{sync::Arc, io::{File, Storage}};"), 1);
    assert_eq!(imports("base/a.rs", "fn f(x: &crate::io::File) {}"), 1);
    assert_eq!(imports("base/a.rs", "use super::super::io::File;"), 1);
    assert_eq!(imports("base/mod.rs", "use super::io::File;"), 1);
    assert_eq!(imports("base/a.rs", "mod tests {\n    use super::super::b::C;\n}"), 0);
    assert_eq!(imports("io/a.rs", "use crate::sync::Arc;"), 1, "only what its row lists");
    assert_eq!(imports("io/a.rs", "use crate::nowhere::Thing;"), 1);
    assert_eq!(imports("nowhere/a.rs", ""), 1, "a folder that the table does not know");

    let unsafes = |file: &str, text: &str| unsafe_complaints(&layers, file, text).len();
    assert_eq!(unsafes("sync/mod.rs", "unsafe { f() }"), 0);
    assert_eq!(unsafes("base/mod.rs", "//! Text.\n#![forbid(unsafe_code)]"), 0);
    assert_eq!(unsafes("base/mod.rs", "//! Text.\n// #![forbid(unsafe_code)]"), 1);
    assert_eq!(unsafes("io/map.rs", "unsafe { f() }"), 0);
    assert_eq!(unsafes("io/mod.rs", "unsafe { f() }"), 1);
    assert_eq!(unsafes("io/mod.rs", "// unsafe is in map.rs\n#![deny(unsafe_code)]"), 0);

    assert_eq!(shape_complaints("a.rs", "//! Text.\n").len(), 0);
    assert_eq!(shape_complaints("a.rs", "fn f() {}\n").len(), 1);
    assert_eq!(shape_complaints("a.rs", &format!("//! Text.\n{}", "\n".repeat(800))).len(), 1);
}

/// One row of the layer table.
struct Layer {
    may_import: Vec<String>,
    may_be_unsafe: Unsafe,
}

/// Where in a layer `unsafe` may stand.
enum Unsafe {
    Nowhere,
    Anywhere,
    In(Vec<String>),
}

/// The layer table, bottom first.
struct Layers {
    rows: Vec<(String, Layer)>,
}

impl Layers {
    fn of_architecture() -> Self {
        let page = repository().join("ARCHITECTURE.md");
        Self::parse(&fs::read_to_string(page).expect("ARCHITECTURE.md beside the crates"))
    }

    /// Reads the table whose first column is headed "layer".
    fn parse(page: &str) -> Self {
        let table = page.lines().skip_while(|line| !line.starts_with("| layer |")).skip(2);
        let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, _knows, imports, unsafes] = cells[..] else {
                panic!("a row of the layer table with other than four cells: {line}")
            };
            let may_be_unsafe = match unsafes {
                "yes" => Unsafe::Anywhere,
                "no" => Unsafe::Nowhere,
                files => Unsafe::In(backticked(files)),
            };
            let layer = Layer { may_import: backticked(imports), may_be_unsafe };
            (backticked(name).concat(), layer)
        });
        Self { rows: rows.collect() }
    }

    fn names(&self) -> Vec<&str> {
        self.rows.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get(&self, name: &str) -> Option<&Layer> {
        self.rows.iter().find(|(other, _)| other == name).map(|(_, row)| row)
    }
}

/// What `file` (relative to `core/src`) imports against the table.
fn import_complaints(layers: &Layers, file: &str, text: &str) -> Vec<String> {
    let Some((layer, _)) = file.split_once('/') else {
        return Vec::new(); // The crate's root names every layer.
    };
    let Some(row) = layers.get(layer) else {
        return vec![format!("{file}: the layer table has no row for `{layer}`")];
    };
    let mut complaints = Vec::new();
    for (number, statement) in statements(text) {
        for target in crate_targets(&statement) {
            let root_item = target.starts_with(char::is_uppercase);
            if !root_item && target != layer && !row.may_import.contains(&target) {
                complaints.push(format!("{file}:{number}: `{layer}` may not import `{target}`"));
            }
        }
        if climbs_out(file, &statement) {
            complaints.push(format!("{file}:{number}: `super` leads out of the layer"));
        }
    }
    complaints
}

/// Whether a run of `super::` reaches the crate's root, past what a nested test module explains.
fn climbs_out(file: &str, statement: &str) -> bool {
    let supers = statement.matches("super::").count();
    let chain = "super::".repeat(supers);
    let depth = file.split('/').count() - usize::from(file.ends_with("/mod.rs"));
    let nested = usize::from(statement.starts_with(' '));
    supers > 0 && statement.contains(&chain) && supers >= depth + nested
}

/// The first names behind every `crate::` of a statement.
fn crate_targets(statement: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for (place, _) in statement.match_indices("crate::") {
        let before = statement[..place].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue; // The tail of another name.
        }
        let rest = &statement[place + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => targets.extend(group_heads(group)),
            None => targets.push(identifier(rest)),
        }
    }
    targets
}

/// The first names of `a::b, c::{d, e}, f}...`.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut at_head) = (Vec::new(), 0_u32, true);
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_head = true,
            c if at_head && !c.is_whitespace() => {
                heads.push(identifier(&group[place..]));
                at_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The code of a file, comments left out, `use` groups of several lines joined; each with the
/// number of its first line.
fn statements(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut open): (Vec<(usize, String)>, bool) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        match found.last_mut() {
            Some((_, statement)) if open => statement.push_str(code),
            _ => {
                let words = code.trim_start();
                open = words.starts_with("use ")
                    || (words.starts_with("pub") && words.contains(" use "));
                found.push((index + 1, code.to_owned()));
            }
        }
        open = open && !code.contains(';');
    }
    found
}

/// What `file` (relative to `core/src`) does with `unsafe` against the table.
fn unsafe_complaints(layers: &Layers, file: &str, text: &str) -> Vec<String> {
    let Some((layer, inner)) = file.split_once('/') else {
        return Vec::new();
    };
    match layers.get(layer).map(|row| &row.may_be_unsafe) {
        Some(Unsafe::Anywhere) | None => Vec::new(),
        Some(Unsafe::Nowhere) if inner != "mod.rs" || forbids_unsafe(text) => Vec::new(),
        Some(Unsafe::Nowhere) => vec![format!("{file} lacks #![forbid(unsafe_code)]")],
        Some(Unsafe::In(files)) if files.iter().any(|name| name == inner) => Vec::new(),
        Some(Unsafe::In(_)) => statements(text)
            .iter()
            .filter(|(_, code)| has_word(code, "unsafe"))
            .map(|(number, _)| format!("{file}:{number}: unsafe outside its files"))
            .collect(),
    }
}

fn forbids_unsafe(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("#![forbid(unsafe_code)]"))
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word)
}

/// What a file lacks in shape.
fn shape_complaints(file: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{file} does not open with //!"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        complaints.push(format!("{file} has {lines} lines; split it at {FILE_LINES_MAX}"));
    }
    complaints
}

fn backticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A source file and its path with forward slashes, relative to a root.
struct Source {
    relative: String,
    text: String,
}

fn core_files() -> Vec<Source> {
    let root = repository().join("core/src");
    let files = rust_files(&root, &root);
    assert!(files.len() > 5, "the source of core was not found");
    files
}

/// Every `.rs` file below `folder`, build output left out, by path.
fn rust_files(folder: &Path, root: &Path) -> Vec<Source> {
    let (mut pending, mut files) = (vec![folder.to_owned()], BTreeMap::new());
    while let Some(folder) = pending.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue; // A part that this tree does not have.
        };
        for entry in entries {
            let path = entry.expect("a folder entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                pending.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                files.insert(relative(&path, root), text);
            }
        }
    }
    files.into_iter().map(|(relative, text)| Source { relative, text }).collect()
}

fn relative(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).expect("a path below the root");
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("core's parent").to_owned()
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
