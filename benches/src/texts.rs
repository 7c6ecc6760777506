//! Keys from the texts of this machine: the lines and the words of Python's standard library, else of
//! Rust's; and addresses, which are made up.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::Random;
use crate::store::Outcome;

/// LMDB takes no longer key.
const KEY_BYTES_MAX: usize = 511;
/// Bytes of text that are read for each key that is wanted: most lines and words come again.
const BYTES_READ_EACH: usize = 256;
/// A list of words where there is one.
const WORDS: &str = "/usr/share/dict/words";

/// Keys of one kind, and its name.
pub type Keys = (&'static str, Vec<Vec<u8>>);

/// Every kind of keys, up to `count` distinct ones of each.
///
/// # Errors
/// When this machine has no texts.
pub fn all(count: usize, seed: u64) -> Outcome<[Keys; 3]> {
    let sources = sources(count * BYTES_READ_EACH)?;
    let lines = sources.iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
    let lines = chosen(lines, count, seed);
    let words = match fs::read(WORDS) {
        Ok(list) => chosen(words(&list), count, seed),
        Err(_) => chosen(sources.iter().flat_map(|text| words(text)), count, seed),
    };
    Ok([("source lines", lines), ("words", words), ("addresses", addresses(count, seed))])
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| word.len() > 1)
}

/// The distinct ones; so many of them, any.
fn chosen<'t>(keys: impl Iterator<Item = &'t [u8]>, count: usize, seed: u64) -> Vec<Vec<u8>> {
    let distinct: HashSet<_> =
        keys.filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()) && key[0] > 0).collect();
    let mut keys: Vec<_> = distinct.into_iter().collect();
    // First in order, since a set has none that would be the same again.
    keys.sort_unstable();
    shuffle(&mut keys, seed);
    keys.truncate(count);
    keys.into_iter().map(<[u8]>::to_vec).collect()
}

/// Addresses that have 60 to 90 bytes in common with their neighbours.
fn addresses(count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut address = |index: usize| {
        let (year, month) = (1995 + index % 31, 1 + index / 31 % 12);
        let shelf = random.below(20);
        format!(
            "https://www.library.example.org/catalogue/collections/{year}/{month:02}/\
             shelf-{shelf:02}/reading-room/items/{index:010}/view?format=full&language=en"
        )
        .into_bytes()
    };
    (0..count).map(&mut address).collect()
}

/// Puts `keys` in the order that follows from `seed`.
pub fn shuffle<T>(keys: &mut [T], seed: u64) {
    let mut random = Random(seed);
    for index in (1..keys.len()).rev() {
        keys.swap(index, random.below(index as u64 + 1) as usize);
    }
}

/// The files of a standard library, in the order of their paths, until they have `bytes_max`.
fn sources(bytes_max: usize) -> Outcome<Vec<Vec<u8>>> {
    let python = ["-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"];
    let places = [(told("python3", &python), "py"), (told("rustc", &["--print", "sysroot"]), "rs")];
    for (folder, ending) in places {
        let mut files = Vec::new();
        if let Some(folder) = folder {
            collect(&folder, ending, &mut files)?;
        }
        if !files.is_empty() {
            files.sort_unstable();
            let (mut texts, mut left) = (Vec::new(), bytes_max);
            for file in files {
                let text = fs::read(file)?;
                left = left.saturating_sub(text.len());
                texts.push(text);
                if left == 0 {
                    break;
                }
            }
            return Ok(texts);
        }
    }
    Err("there is neither Python's standard library nor Rust's, whose lines would be keys".into())
}

fn told(program: &str, arguments: &[&str]) -> Option<PathBuf> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(line.trim())).filter(|path| output.status.success() && path.is_dir())
}

fn collect(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        // What was installed beside it is not the standard library, and differs everywhere.
        if kind.is_dir() && entry.file_name() != "site-packages" {
            collect(&path, ending, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|found| found == ending) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_the_same_again() {
        let [first, again] = [1, 1].map(|seed| all(500, seed).expect("texts"));
        assert_eq!(first, again);
        for (name, keys) in first {
            let distinct: HashSet<_> = keys.iter().collect();
            assert_eq!((keys.len(), distinct.len()), (500, 500), "{name}");
        }
    }
}
