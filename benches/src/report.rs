//! The table and the JSON.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::cli::Command;
use crate::machine;
use crate::measure::{Figure, Unit};
use crate::run::Results;
use crate::statistics::{Ratio, median};
use crate::stores::{FLOOR, OURS, engines};

/// Markdown: a row per measurement, a column per engine (medians over the rounds), the best in bold,
/// and how ours compares with the best peer of each round; a table for each section.
pub fn markdown(results: &Results) -> String {
    let command = &results.command;
    let plan = &command.plan;
    let row_bytes = plan.workload.row_bytes();
    let raw = row_bytes.map(|bytes| Unit::Bytes.show((plan.records * bytes) as f64));
    let limit = command.memory_bytes_max.map(|bytes| Unit::Bytes.show(bytes as f64));
    let mut page = format!(
        "{}; `{}`, {} records{}, cache {}{}, {} round(s), seed {}\n\n",
        machine::description(),
        plan.workload.name(),
        plan.records,
        raw.map_or(String::new(), |raw| format!(" ({raw} raw)")),
        Unit::Bytes.show(plan.cache_bytes as f64),
        limit.map_or(String::new(), |limit| format!(", memory limited to {limit}")),
        command.rounds,
        plan.seed
    );
    let allocator = if cfg!(feature = "mimalloc") { "; allocator mimalloc" } else { "" };
    let _ = writeln!(page, "Versions: {}{allocator}", versions(&command.engines).join(", "));
    let mut section = None;
    for row in rows(results) {
        if section.as_ref() != Some(&row.section) {
            heading(&mut page, results, &row.section);
            section = Some(row.section.clone());
        }
        line(&mut page, results, &row);
    }
    for line in results.failures.iter().chain(&results.notes) {
        let _ = writeln!(page, "\n{line}.");
    }
    page
}

/// The peers whose ratio has a column of its own, the best one's first as `None`.
fn rivals(command: &Command) -> Vec<Option<&'static str>> {
    if !command.engines.contains(&OURS) || command.engines.len() < 2 {
        return Vec::new();
    }
    let named = command.plan.workload.rivals().iter().copied();
    let named = named.filter(|rival| command.engines.contains(rival)).map(Some);
    [None].into_iter().chain(named).collect()
}

fn heading(page: &mut String, results: &Results, section: &str) {
    let engines = &results.command.engines;
    if !section.is_empty() {
        let _ = write!(page, "\n**{section}**\n");
    }
    let mut columns: Vec<_> = engines.iter().map(|engine| (*engine).to_owned()).collect();
    let rivals = rivals(&results.command);
    if rivals.is_empty() {
        columns.push("best".to_owned());
    }
    for rival in rivals {
        columns.push(format!("{OURS} / {}", rival.unwrap_or("best peer")));
    }
    let _ = writeln!(page, "\n| work | {} |", columns.join(" | "));
    let _ = writeln!(page, "|---|{}", "---:|".repeat(columns.len()));
}

fn line(page: &mut String, results: &Results, row: &Row) {
    let command = &results.command;
    let medians: Vec<_> = command
        .engines
        .iter()
        .map(|engine| values(results, engine, row))
        .map(|values| (!values.is_empty()).then(|| median(&values)))
        .collect();
    let contestants = command.engines.iter().zip(&medians).enumerate();
    let contestants = contestants.filter(|(_, (engine, _))| **engine != FLOOR);
    let best = best_of(row.unit, contestants.map(|(index, (_, value))| (index, *value)));
    let mut cells: Vec<_> = medians
        .iter()
        .enumerate()
        .map(|(index, value)| match value {
            Some(value) if best == Some(index) => format!("**{}**", row.unit.show(*value)),
            Some(value) => row.unit.show(*value),
            None => "-".to_owned(),
        })
        .collect();
    let rivals = rivals(command);
    if rivals.is_empty() {
        cells.push(best.map_or("-", |index| command.engines[index]).to_owned());
    }
    cells.extend(rivals.into_iter().map(|rival| comparison(results, row, rival)));
    let _ = writeln!(page, "| {} | {} |", row.name, cells.join(" | "));
}

/// Ours over `rival`, or over the best peer of the same round, as "1.52x (1.48 to 1.56) lmdb"; above
/// one is better.
fn comparison(results: &Results, row: &Row, rival: Option<&'static str>) -> String {
    let (mut ratios, mut rivals) = (Vec::new(), Vec::new());
    let peers: Vec<_> = match rival {
        Some(rival) => vec![rival],
        None => results.command.engines.clone(),
    };
    let peers: Vec<_> = peers.into_iter().filter(|peer| ![OURS, FLOOR].contains(peer)).collect();
    for round in 0..results.command.rounds {
        let of = |engine: &str| value(results, engine, round, row);
        let best = best_of(row.unit, peers.iter().map(|peer| of(peer)).enumerate());
        if let (Some(ours), Some(best)) = (of(OURS), best)
            && let Some(theirs) = of(peers[best])
        {
            ratios.push(row.unit.advantage(ours, theirs));
            rivals.push(peers[best]);
        }
    }
    let Some(ratio) = Ratio::of_pairs(&ratios) else { return "-".to_owned() };
    rivals.sort_unstable();
    rivals.dedup();
    let spread =
        ratio.interval.map_or(String::new(), |(low, high)| format!(" ({low:.2} to {high:.2})"));
    let name = if rival.is_some() { String::new() } else { format!(" {}", rivals.join(", ")) };
    format!("{:.2}x{spread}{name}", ratio.mean)
}

fn best_of(unit: Unit, values: impl Iterator<Item = (usize, Option<f64>)>) -> Option<usize> {
    let known = values.filter_map(|(index, value)| Some((index, value?)));
    known.reduce(|a, b| if unit.advantage(b.1, a.1) > 1.0 { b } else { a }).map(|best| best.0)
}

/// One measurement, whoever made it.
#[derive(PartialEq)]
struct Row {
    section: String,
    name: String,
    unit: Unit,
}

impl Row {
    fn of(figure: &Figure) -> Self {
        Self { section: figure.section.clone(), name: figure.row.clone(), unit: figure.unit }
    }
}

/// The measurements in the order that the first run had them, those of a section together.
fn rows(results: &Results) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for row in results.runs.iter().flat_map(|run| &run.figures).map(Row::of) {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let mut sections: Vec<_> = rows.iter().map(|row| row.section.clone()).collect();
    let mut seen = HashSet::new();
    sections.retain(|section| seen.insert(section.clone()));
    rows.sort_by_key(|row| sections.iter().position(|section| *section == row.section));
    rows
}

fn values(results: &Results, engine: &str, row: &Row) -> Vec<f64> {
    let rounds = 0..results.command.rounds;
    rounds.filter_map(|round| value(results, engine, round, row)).collect()
}

fn value(results: &Results, engine: &str, round: usize, row: &Row) -> Option<f64> {
    let mut runs = results.runs.iter();
    let run = runs.find(|run| run.engine == engine && run.round == round)?;
    run.figures.iter().find(|figure| Row::of(figure) == *row).map(|figure| figure.value)
}

fn versions(names: &[&str]) -> Vec<String> {
    let engines = engines();
    let chosen = engines.iter().filter(|engine| names.contains(&engine.name));
    chosen.map(|engine| format!("{} {}", engine.name, (engine.version)())).collect()
}

/// Everything, each round by itself.
pub fn json(results: &Results) -> String {
    let plan = &results.command.plan;
    let mut page = String::from("{\n");
    let _ = writeln!(page, "  \"machine\": {},", quoted(&machine::description()));
    let _ = writeln!(page, "  \"workload\": {},", quoted(plan.workload.name()));
    let _ = writeln!(page, "  \"records\": {},", plan.records);
    if let Some(row_bytes) = plan.workload.row_bytes() {
        let _ = writeln!(page, "  \"raw_bytes\": {},", plan.records * row_bytes);
    }
    let _ = writeln!(page, "  \"cache_bytes\": {},", plan.cache_bytes);
    if let Some(bytes) = results.command.memory_bytes_max {
        let _ = writeln!(page, "  \"memory_bytes_max\": {bytes},");
    }
    let _ = writeln!(page, "  \"seed\": {},", plan.seed);
    let list = |items: Vec<String>| items.iter().map(|item| quoted(item)).collect::<Vec<_>>();
    let versions = list(versions(&results.command.engines)).join(", ");
    let _ = writeln!(page, "  \"versions\": [{versions}],");
    let failures = list(results.failures.clone()).join(", ");
    let _ = writeln!(page, "  \"failures\": [{failures}],");
    let notes = list(results.notes.clone()).join(", ");
    let _ = writeln!(page, "  \"notes\": [{notes}],");
    let _ = writeln!(page, "  \"figures\": [");
    let mut lines = Vec::new();
    for run in &results.runs {
        for Figure { section, row, unit, value } in &run.figures {
            lines.push(format!(
                "    {{\"round\": {}, \"engine\": {}, \"section\": {}, \"row\": {}, \"unit\": {}, \"value\": {value}}}",
                run.round,
                quoted(run.engine),
                quoted(section),
                quoted(row),
                quoted(unit.word())
            ));
        }
    }
    let _ = writeln!(page, "{}\n  ]\n}}", lines.join(",\n"));
    page
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
