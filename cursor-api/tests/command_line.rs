//! The command line: what it prints and how it exits.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rshelve::{Connection, DatabaseOptions, TableOptions};

fn run(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rshelve"));
    command.args(arguments).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// A database of a few pages, and where its folder is.
fn database() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("spam");
    let connection = Connection::open(&path, DatabaseOptions::default()).expect("new");
    let table = connection.create_table("eggs", &TableOptions::default()).expect("a table");
    for number in 0..1000_u32 {
        table.insert(&number.to_be_bytes(), &[7; 100]).expect("room");
    }
    drop(table);
    connection.close().expect("room");
    (folder, path)
}

#[test]
fn verify_and_salvage_exit_by_what_they_find() {
    let (folder, path) = database();
    let clean = run(&[Path::new("verify"), &path]);
    assert_eq!(clean.status.code(), Some(0), "{}", text(&clean));
    assert!(text(&clean).contains("table \"eggs\": 1000 rows"), "{}", text(&clean));
    // A page in the middle of the file.
    let mut bytes = fs::read(&path).expect("it is there");
    let middle = bytes.len() / 2;
    // More than the padding behind a block.
    bytes[middle..middle + 520].iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(&path, bytes).expect("room");
    let damaged = run(&[Path::new("verify"), &path]);
    assert_eq!(damaged.status.code(), Some(1), "{}", text(&damaged));
    assert!(text(&damaged).contains("checksum of a leaf block"), "{}", text(&damaged));
    let new = folder.path().join("new");
    let salvaged = run(&[Path::new("salvage"), &path, &new]);
    assert_eq!(salvaged.status.code(), Some(1), "{}", text(&salvaged));
    assert!(text(&salvaged).contains("known to be lost"), "{}", text(&salvaged));
    let clean = run(&[Path::new("verify"), &new]);
    assert_eq!(clean.status.code(), Some(0), "{}", text(&clean));
    let again = run(&[Path::new("salvage"), &path, &new]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again));
}

#[test]
fn nonsense_is_told_apart_from_damage() {
    let (folder, path) = database();
    let missing = folder.path().join("missing");
    for arguments in [&[Path::new("verify"), &missing][..], &[Path::new("frobnicate"), &path], &[]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    }
    assert!(!missing.exists());
    let help = run(&[Path::new("--help")]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help).contains("usage"));
}

#[test]
fn reclaim_tells_what_it_freed() {
    let (_folder, path) = database();
    let done = run(&[Path::new("reclaim"), &path]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done));
    assert!(text(&done).contains(": 0 bytes freed"), "{}", text(&done));
    let missing = run(&[Path::new("reclaim"), &path.with_extension("not")]);
    assert_eq!(missing.status.code(), Some(2), "{}", text(&missing));
}
