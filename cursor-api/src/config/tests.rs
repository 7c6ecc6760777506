//! The grammar, the checks, and the page that is written from the table.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{Compression, Durability, Error, Isolation, OpenMode};

#[track_caller]
fn check_refused(method: Method, text: &str, words: &str) -> Error {
    let error = Settings::read(method, text).unwrap_err();
    assert!(error.to_string().contains(words), "{text}: {error} does not say {words:?}");
    error
}

#[test]
fn settings_are_read_in_every_spelling() {
    for text in [
        "create,log=(enabled=false,file_max=50MB),error_prefix=\"a,b=(\"",
        " create = true , log = ( enabled : false ) , error_prefix:\"a,b=(\" ,, ",
        "\"create\":true,\"log\":{\"enabled\":false},\"error_prefix\":\"a,b=(\"",
        "create=false,log=[enabled],create=1,log=[enabled=0],error_prefix=x,error_prefix=\"a,b=(\"",
    ] {
        let settings = Settings::read(Method::Open, text).unwrap();
        assert!(settings.flag("create") && !settings.flag("log.enabled"), "{text}");
        assert_eq!(settings.text("error_prefix"), "a,b=(", "{text}");
        assert!(settings.is_given("create") && !settings.is_given("cache_size"), "{text}");
    }
}

#[test]
fn numbers_take_units() {
    for (text, expected) in [
        ("2097152", 2 << 20),
        ("2M", 2 << 20),
        ("2mb", 2 << 20),
        ("2048KB", 2 << 20),
        ("1G", 1 << 30),
        ("1TB", 1 << 40),
        ("2097152B", 2 << 20),
    ] {
        let settings = Settings::read(Method::Open, &format!("cache_size={text}")).unwrap();
        assert_eq!(settings.number("cache_size"), expected, "{text}");
    }
    for text in ["2X", "2MM", "abc", "", "\"2M\"", "(2M)", "9999999999999G", "- 1", "2 M"] {
        check_refused(Method::Open, &format!("cache_size={text}"), "");
    }
}

#[test]
fn lists_are_read_with_and_without_brackets() {
    let read = |text: &str| Settings::read(Method::Checkpoint, text).unwrap().list("drop");
    assert_eq!(read("drop=(a,b)"), ["a", "b"]);
    assert_eq!(read("drop=a"), ["a"]);
    assert_eq!(read("drop=(from=a,\"b c\")"), ["from=a", "b c"]);
    assert!(read("drop=()").is_empty() && read("").is_empty());
}

#[test]
fn row_29_errors_name_the_key() {
    use Method::{Begin, Create, Open};
    for (method, text, words) in [
        (Open, "foo", "unknown configuration key 'foo'"),
        (Open, "log=(foo=1)", "unknown configuration key 'log.foo'"),
        (Open, "cache_size=1", "value too small for key 'cache_size', the minimum is 1048576"),
        (Open, "cache_size=11TB", "value too large for key 'cache_size'"),
        (Open, "cache_size=abc", "invalid value for key 'cache_size': expected a int"),
        (Open, "create=maybe", "'create': expected a boolean"),
        (Open, "log=true", "'log': expected a (option=value,...)"),
        (Open, "statistics=(all,foo)", "'foo' not permitted for key 'statistics'"),
        (Begin, "isolation=foo", "'foo' not permitted for key 'isolation'"),
        (Create, "key_format", "the format \"true\" cannot be read"),
    ] {
        let error = match method {
            Create => TableSettings::read(text).unwrap_err(),
            method => Settings::read(method, text).unwrap_err(),
        };
        assert!(matches!(error, Error::Invalid { .. }), "{text}: {error:?}");
        assert!(error.to_string().contains(words), "{text}: {error} does not say {words:?}");
    }
}

#[test]
fn strings_that_cannot_be_read_are_refused() {
    for text in
        ["create,cache_size=(1", "a)", "=5", "(a)=5", "a=b=c", "a=\"b", "a=b c", "a=(b]", "\""]
    {
        let error = Settings::read(Method::Open, text).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{text}: {error:?}");
    }
    check_refused(Method::Open, "create=(((((", "unbalanced brackets");
}

#[test]
fn refused_options_may_have_their_defaults() {
    let error = check_refused(Method::Open, "in_memory=true", "'in_memory'");
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    check_refused(Method::Create, "lsm=(bloom=true)", "'lsm'");
    check_refused(Method::Checkpoint, "flush_tier=(enabled)", "'flush_tier.enabled'");
    check_refused(Method::Begin, "read_timestamp=5", "timestamps are not built yet");
    assert!(Settings::read(Method::Open, "in_memory=false,encryption=").is_ok());
    assert!(Settings::read(Method::Create, "collator=,lsm=()").is_ok());
}

#[test]
fn options_that_do_not_apply_are_accepted() {
    let text = "statistics=(fast),statistics_log=(wait=30,json),error_prefix=me,hazard_max=50";
    assert!(Settings::read(Method::Open, text).is_ok());
}

#[test]
fn every_default_is_of_its_type() {
    fn visit(settings: &Settings, above: &str, specs: &[Spec]) {
        for spec in specs {
            let name = format!("{above}{}", spec.name);
            match spec.kind {
                Kind::Flag => drop(settings.flag(&name)),
                Kind::Number(..) | Kind::Bytes(..) => drop(settings.number(&name)),
                Kind::Text | Kind::Choice(_) => drop(settings.text(&name)),
                Kind::Words(_) | Kind::List => drop(settings.list(&name)),
                Kind::Group(inner) => visit(settings, &format!("{name}."), inner),
            }
        }
    }
    for (method, _, specs) in METHODS {
        visit(&Settings::read(*method, "").unwrap(), "", specs);
        let mut names: Vec<_> = specs.iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{method:?} lists a key twice");
    }
}

#[test]
fn open_settings_say_what_a_commit_promises() {
    let durability = |text| OpenSettings::read(text).unwrap().options.durability;
    assert_eq!(durability("create"), Durability::Process);
    assert_eq!(durability("log=(enabled=false)"), Durability::Checkpoint);
    assert_eq!(durability("transaction_sync=(enabled)"), Durability::Sync);
    assert!(OpenSettings::read("log=(enabled=false),transaction_sync=(enabled)").is_err());

    let settings = OpenSettings::read("readonly,checkpoint=(wait=0,log_size=0)").unwrap();
    assert_eq!(settings.options.mode, OpenMode::ReadOnly);
    assert_eq!(settings.options.checkpoint_log_bytes, u64::MAX);
    assert!(settings.options.checkpoint_interval > Duration::from_secs(1 << 24));
    assert!(settings.options.check().is_ok());
    assert_eq!(OpenSettings::read("").unwrap().options.mode, OpenMode::Existing);
    assert!(OpenSettings::read("create,readonly").is_err());
}

#[test]
fn table_settings_are_kept_in_its_metadata() {
    let made = TableSettings::read(
        "key_format=iS,value_format=u,columns=(id,name,photo),app_metadata=(owner=me),\
         block_compressor=snappy,leaf_page_max=1KB,log=(enabled=false),exclusive",
    )
    .unwrap();
    assert!(made.exclusive && !made.options.logged);
    assert_eq!(made.options.compression, Compression::Snappy);
    assert_eq!(made.options.leaf_bytes_max, 4 << 10);
    let expected = "app_metadata=(owner=me),columns=(id,name,photo),key_format=iS,value_format=u";
    assert_eq!(made.options.metadata, expected);
    let kept = TableSettings::read(&made.options.metadata).unwrap();
    assert_eq!((kept.key_format, kept.value_format), (made.key_format, made.value_format));
    assert_eq!(kept.options.metadata, expected);
    assert!(matches!(TableSettings::read("key_format=r"), Err(Error::Unsupported { .. })));
    assert!(matches!(TableSettings::read("key_format=x"), Err(Error::Invalid { .. })));
}

#[test]
fn cursor_and_transaction_settings_are_read() {
    let read = CursorSettings::read("raw,overwrite=false,checkpoint=first,bulk").unwrap();
    assert!(read.raw && !read.overwrite && read.bulk && !read.readonly);
    assert_eq!(read.checkpoint.as_deref(), Some("first"));
    let text = "isolation=read-uncommitted,sync=off,operation_timeout_ms=20";
    let read = TransactionSettings::read(text).unwrap();
    assert_eq!(read.isolation, Some(Isolation::ReadUncommitted));
    assert_eq!(read.sync, Some(false));
    assert_eq!(read.operation_timeout, Some(Duration::from_millis(20)));
    assert_eq!(TransactionSettings::read("").unwrap(), TransactionSettings::default());
}

/// Writes the page anew with `RSHELVE_WRITE_DOCS=1`.
#[test]
fn documentation_lists_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("RSHELVE_WRITE_DOCS").is_some() {
        std::fs::write(&path, markdown()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == markdown(),
        "docs/configuration.md is not what the table says; write it with RSHELVE_WRITE_DOCS=1"
    );
}

proptest! {
    #[test]
    fn any_string_is_read_or_refused(text in "[a-c(){}\\[\\]=:,\"\\\\ é]{0,24}") {
        let _ = Settings::read(Method::Create, &text);
        let _ = Settings::read(Method::Create, &format!("app_metadata=({text})"));
    }

    #[test]
    fn quoted_text_comes_back(text in "[a-z(){},=:\" \\\\é]{0,16}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let settings = Settings::read(Method::Open, &format!("error_prefix=\"{quoted}\",create"));
        let settings = settings.unwrap();
        prop_assert_eq!(settings.text("error_prefix"), text);
        prop_assert!(settings.flag("create"));
    }
}
