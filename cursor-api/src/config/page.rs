//! The table of options as a page of the documentation.

use std::fmt::Write;

use super::spec::{Fate, Initial, Kind, Spec};
use super::table::METHODS;

/// `docs/configuration.md`, as it has to be.
///
/// ```
/// assert!(rshelve::config::markdown().contains("## Session.begin_transaction"));
/// ```
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for (_, name, specs) in METHODS {
        let _ = write!(page, "\n## {name}\n");
        if specs.is_empty() {
            page.push_str("\nNo options.\n");
            continue;
        }
        rows(&mut page, specs);
    }
    page
}

const HEAD: &str = "\
# Configuration strings

What the strings mean that `rshelve.wt` takes where WiredTiger's binding does, and
`rshelve::config` in Rust. This page is written from the table in `cursor-api/src/config/table/`;
a test keeps the two equal.

`a=1,b=(c=2,d=[x,y]),flag`: options stand between commas, and the last of two that are the same
counts. `flag` is `flag=true`. Values may be quoted with `\"`; lists and groups stand in `()` or
`[]`; `:` may stand for `=`. Numbers take K, M, G, T or P, with or without a B, as powers of 1024.
An unknown key, and a value of another type or out of range, are EINVAL; the text names the key.

An option **applies**, or it is one of WiredTiger's that is *accepted*: it changes nothing, for the
reason given; or it is *refused*: anything but its default is ENOTSUP. An option of a group is
written with a dot here, `log.enabled`, and `log=(enabled=true)` in a string.
";

fn rows(page: &mut String, specs: &[Spec]) {
    let mut all = Vec::new();
    flatten(&mut all, "", specs);
    let is = |fate: fn(&Fate) -> bool| {
        all.iter().filter(move |(_, spec)| fate(&spec.fate)).collect::<Vec<_>>()
    };
    let applying = is(|fate| *fate == Fate::Applies);
    if !applying.is_empty() {
        page.push_str("\n| option | type | default | |\n|---|---|---|---|\n");
        for (name, spec) in applying {
            let (kind, default) = (kind(spec.kind), default(spec));
            let _ = writeln!(page, "| `{name}` | {kind} | {default} | {} |", spec.help);
        }
    }
    for (title, rest) in [
        ("accepted", is(|fate| matches!(fate, Fate::Accepted(_)))),
        ("refused", is(|fate| matches!(fate, Fate::Refused(_)))),
    ] {
        if !rest.is_empty() {
            let _ = write!(page, "\n| {title} | default | why |\n|---|---|---|\n");
            for (name, spec) in rest {
                let (Fate::Accepted(why) | Fate::Refused(why)) = spec.fate else { continue };
                let _ = writeln!(page, "| `{name}` | {} | {why} |", default(spec));
            }
        }
    }
}

/// The options without groups, with dotted names.
fn flatten<'s>(all: &mut Vec<(String, &'s Spec)>, above: &str, specs: &'s [Spec]) {
    for spec in specs {
        let name = format!("{above}{}", spec.name);
        match spec.kind {
            Kind::Group(inner) => flatten(all, &format!("{name}."), inner),
            _ => all.push((name, spec)),
        }
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Flag => "flag".to_owned(),
        Kind::Number(least, i64::MAX) => format!("number from {least}"),
        Kind::Number(least, most) => format!("number, {least} to {most}"),
        Kind::Bytes(least, i64::MAX) => format!("bytes, from {}", bytes(least)),
        Kind::Bytes(least, most) => format!("bytes, {} to {}", bytes(least), bytes(most)),
        Kind::Text => "text".to_owned(),
        Kind::Choice(words) => words
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Words(words) => format!("any of {}", words.join(", ")),
        Kind::List => "list".to_owned(),
        Kind::Group(_) => "group".to_owned(),
    }
}

fn bytes(count: i64) -> String {
    let units = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    let fits = |&&(unit, _): &&(i64, &str)| count >= unit && count % unit == 0;
    units
        .iter()
        .find(fits)
        .map_or_else(|| count.to_string(), |(unit, name)| format!("{}{name}", count / unit))
}

fn default(spec: &Spec) -> String {
    match (spec.default, spec.kind) {
        (Initial::Text(""), _) => "none".to_owned(),
        (Initial::Text(text), _) => format!("`{text}`"),
        (Initial::Number(number), Kind::Bytes(..)) => format!("`{}`", bytes(number)),
        (Initial::Number(number), _) => format!("`{number}`"),
    }
}
