//! The fuzz targets over texts and packed rows: over their corpora, and over what looks like them. What a
//! nightly run searches, an ordinary one repeats.

use std::fs;
use std::path::Path;

#[path = "../../core/tests/shared/random.rs"]
mod random;
#[path = "../../fuzz/src/texts.rs"]
mod texts;

use random::{Random, scaled, seed};
use rshelve::config::TableSettings;
use rshelve::packing::Format;

/// Letters and numbers that mean something to one of the readers.
const TELLING: &[u8] = b",=:\"\\()[]{} \n\0\x01\x80\xffbBhHiIlLqQrsStuxX.0129KMGTPB-";

/// Runs `target` over every file of its corpus, and over variants of these.
fn run(name: &str, target: fn(&[u8]), variants: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let corpus: Vec<_> =
        files.map(|file| fs::read(file.expect("a file").path()).expect("it can be read")).collect();
    assert!(!corpus.is_empty(), "{name} has no corpus");
    corpus.iter().for_each(|data| target(data));
    let mut random = Random::new(seed());
    for _ in 0..variants {
        let mut data = corpus[random.below(corpus.len() as u64) as usize].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(data.len() as u64 + 1) as usize;
            let telling = TELLING[random.below(TELLING.len() as u64) as usize];
            match random.below(4) {
                0 if at < data.len() => data[at] = random.next() as u8,
                1 => data.truncate(at),
                2 => data.insert(at, telling),
                _ => {
                    let end = (at + random.below(12) as usize).min(data.len());
                    data.extend_from_within(at..end);
                }
            }
        }
        target(&data);
    }
    println!("{name}: {} files, {variants} variants of them", corpus.len());
}

#[test]
fn fuzz_config_finds_nothing_in_its_corpus() {
    run("config", texts::config, scaled(5_000, 1_000_000));
}

#[test]
fn fuzz_packing_finds_nothing_in_its_corpus() {
    run("packing", texts::packing, scaled(50_000, 5_000_000));
}

/// Once it kept `a)b` without its quotes: the table's formats were gone when the file was opened again.
#[test]
fn table_metadata_keeps_words_that_need_quotes() {
    for text in [
        r#"key_format=S,app_metadata="a)b""#,
        r#"key_format=S,app_metadata=(a="b,c",d=(e,f=[g]),"h\"\\i")"#,
        r#"key_format=S,value_format=iS,columns=("a,b",c)"#,
    ] {
        let made = TableSettings::read(text).expect(text);
        let kept = TableSettings::read(&made.options.metadata).expect(text);
        assert_eq!(kept.key_format.as_str(), "S", "{text}");
        assert_eq!(kept.options.metadata, made.options.metadata);
    }
}

/// A format comes from the file as well: its columns are bounded before they are made.
#[test]
fn format_is_bounded_before_it_is_made() {
    assert!("65536i".parse::<Format>().is_ok() && "256x".repeat(9).parse::<Format>().is_ok());
    for text in ["65536i".repeat(2), "65536i".repeat(100_000), "65536s".repeat(300)] {
        let error = text.parse::<Format>().expect_err("too long").to_string();
        assert!(error.contains("too many") || error.contains("too long"), "{error:.200}");
    }
}
