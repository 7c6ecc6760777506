//! There is one table of options: each is written once in it, acted on by somebody, and no builder
//! passes it by.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::{
    ConnectionOptions, CursorOptions, DatabaseOptions, Durability, Error, Isolation, TableOptions,
    TransactionOptions,
};

/// The text of every file of Rust below a folder of this repository, without what tests say.
fn sources(folder: &str) -> String {
    let mut all = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    all
}

/// Each option, those of groups too; one that several methods have stands here once for each.
fn every_spec() -> Vec<&'static Spec> {
    fn visit(all: &mut Vec<&'static Spec>, specs: &'static [Spec]) {
        for spec in specs {
            all.push(spec);
            if let Kind::Group(inner) = spec.kind {
                visit(all, inner);
            }
        }
    }
    let mut all = Vec::new();
    METHODS.iter().for_each(|(.., specs)| visit(&mut all, specs));
    all
}

/// Methods that share an option share its row: what is the same is written in one place.
#[test]
fn option_is_written_once() {
    let mut table = sources("src/config/table");
    table.retain(|letter| !letter.is_whitespace());
    let all = every_spec();
    let mut again = Vec::new();
    for (at, spec) in all.iter().enumerate() {
        let same_name = || all.iter().enumerate().filter(|(_, other)| other.name == spec.name);
        if same_name().next().is_some_and(|(first, _)| first < at) {
            continue;
        }
        let mut different: Vec<&Spec> = Vec::new();
        for (_, other) in same_name() {
            if !different.contains(other) {
                different.push(other);
            }
        }
        let written = table.matches(&format!("(\"{}\",", spec.name)).count();
        if written != different.len() {
            again.push(format!(
                "{}: written {written} times, {} meanings",
                spec.name,
                different.len()
            ));
        }
    }
    assert!(all.len() > 200 && again.is_empty(), "{again:#?}");
}

/// An option that is said to apply is one that somebody asks for by its name.
#[test]
fn option_that_applies_is_acted_on() {
    let (own, binding) = (sources("src"), sources("../pyshelve/src/wt"));
    fn names(above: &str, specs: &[Spec], all: &mut Vec<String>) {
        for spec in specs {
            match spec.kind {
                Kind::Group(inner) => names(&format!("{}.", spec.name), inner, all),
                _ if spec.fate == Fate::Applies => all.push(format!("{above}{}", spec.name)),
                _ => {}
            }
        }
    }
    for (method, _, specs) in METHODS {
        let mut all = Vec::new();
        names("", specs, &mut all);
        for name in all {
            let asked = [".flag(", ".number(", ".text(", ".list(", "given(", "unsigned(settings, "]
                .iter()
                .chain(&["unsigned(&settings, ", "page_bytes(", "is_given("])
                .map(|how| format!("{how}\"{name}\")"));
            let is_asked = |how: String| own.contains(&how) || binding.contains(&how);
            assert!(asked.into_iter().any(is_asked), "nobody asks for {method:?}'s '{name}'");
        }
    }
}

/// What a builder is told is refused in the table's words, or comes out as the table's string does.
#[test]
fn builders_go_through_the_table() {
    let refused = [
        (ConnectionOptions::new().cache_size(1).settings().map(|_| ()), "cache_size"),
        (CursorOptions::new().random_seed(u64::MAX).settings().map(|_| ()), "next_random_seed"),
        (CursorOptions::new().config("bulk=x").settings().map(|_| ()), "bulk"),
        (
            ConnectionOptions::new()
                .checkpoint_interval(Duration::from_secs(100_001))
                .settings()
                .map(|_| ()),
            "checkpoint.wait",
        ),
        (
            TransactionOptions::new().operation_timeout(Duration::MAX).settings().map(|_| ()),
            "operation_timeout_ms",
        ),
    ];
    for (outcome, name) in refused {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
    }
    let built = CursorOptions::new().overwrite(false).readonly(true).bulk(true).next_random(true);
    let built = built.read_once(true).random_seed(5).checkpoint("a \"b\\c\",d").settings().unwrap();
    let text = "overwrite=0,readonly,bulk,next_random,read_once,next_random_seed=5";
    let read = CursorSettings::read(&format!("{text},checkpoint=\"a \\\"b\\\\c\\\",d\"")).unwrap();
    assert_eq!(built, read);
    assert_eq!(built.checkpoint.as_deref(), Some("a \"b\\c\",d"));
    for isolation in [Isolation::Snapshot, Isolation::ReadCommitted, Isolation::ReadUncommitted] {
        let hasty = Duration::from_micros(1);
        let built = TransactionOptions::new().isolation(isolation).sync(false);
        let built = built.operation_timeout(hasty).settings().unwrap();
        let name = isolation_name(isolation);
        let text = format!("isolation={name},sync=off,operation_timeout_ms=1");
        assert_eq!(built, TransactionSettings::read(&text).unwrap());
    }
    let built = ConnectionOptions::new().create(true).readonly(false).durability(Durability::Sync);
    let built = built.operation_timeout(Duration::ZERO).settings().unwrap();
    let read = OpenSettings::read("create,transaction_sync=(enabled),operation_timeout_ms=0");
    assert_eq!(format!("{built:?}"), format!("{:?}", read.unwrap()));
}

/// Ranges and defaults that are the engine's are taken from there, and nowhere else.
#[test]
fn table_takes_the_engines_ranges_and_defaults() {
    let specs = |wanted| METHODS.iter().find(|(method, ..)| *method == wanted).unwrap().2;
    let find = |method, name| specs(method).iter().find(|spec| spec.name == name).unwrap();
    let engine = DatabaseOptions::DEFAULT;
    for (name, default) in [
        ("cache_size", engine.cache_bytes_max),
        ("eviction_target", engine.eviction_target_percent),
        ("eviction_trigger", engine.eviction_trigger_percent),
    ] {
        assert_eq!(find(Method::Open, name).default, Initial::Number(default as i64));
        assert_eq!(find(Method::Open, name), find(Method::Reconfigure, name));
    }
    // The least and the most that the table lets through is what the engine lets through.
    for (text, is_fine) in [
        ("cache_size=1048576", true),
        ("cache_size=1048575", false),
        ("eviction_target=10,eviction_trigger=99", true),
        ("eviction_target=9", false),
        ("eviction_trigger=100", false),
        ("checkpoint=(log_size=1)", true),
    ] {
        let settings = OpenSettings::read(text);
        assert_eq!(settings.is_ok_and(|read| read.options.check().is_ok()), is_fine, "{text}");
    }
    for (text, expected) in [
        ("leaf_page_max=512", *TableOptions::PAGE_BYTES.start()),
        ("leaf_page_max=512MB", *TableOptions::PAGE_BYTES.end()),
        ("", TableOptions::new().leaf_bytes_max),
    ] {
        assert_eq!(TableSettings::read(text).unwrap().options.leaf_bytes_max, expected, "{text}");
    }
}
