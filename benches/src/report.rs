//! The table and the JSON.

use std::fmt::Write as _;

use crate::data::ROW_BYTES;
use crate::machine;
use crate::measure::{Figure, Unit};
use crate::run::Results;
use crate::statistics::{Ratio, median};
use crate::stores::{FLOOR, OURS, engines};

/// One Markdown table: a row per measurement, a column per engine (medians over the rounds), the
/// best in bold, and how ours compares with the best peer of each round.
pub fn markdown(results: &Results) -> String {
    let command = &results.command;
    let plan = &command.plan;
    let mut page = format!(
        "{}; `{}`, {} records ({} raw), cache {}, {} round(s), seed {}\n\n",
        machine::description(),
        plan.workload.name(),
        plan.records,
        Unit::Bytes.show((plan.records * ROW_BYTES) as f64),
        Unit::Bytes.show(plan.cache_bytes as f64),
        command.rounds,
        plan.seed
    );
    let _ = writeln!(page, "Versions: {}\n", versions(&command.engines).join(", "));
    let compared = command.engines.contains(&OURS) && command.engines.len() > 1;
    let last = if compared { "rshelve / best peer" } else { "best" };
    let _ = writeln!(page, "| work | {} | {last} |", command.engines.join(" | "));
    let _ = writeln!(page, "|---|{}", "---:|".repeat(command.engines.len() + 1));
    for (row, unit) in rows(results) {
        let medians: Vec<_> = command
            .engines
            .iter()
            .map(|engine| Some(median(&values(results, engine, &row))).filter(|value| *value > 0.0))
            .collect();
        let contestants = command.engines.iter().zip(&medians).enumerate();
        let contestants = contestants.filter(|(_, (engine, _))| **engine != FLOOR);
        let best = best_of(unit, contestants.map(|(index, (_, value))| (index, *value)));
        let cells = medians.iter().enumerate().map(|(index, value)| match value {
            Some(value) if best == Some(index) => format!("**{}**", unit.show(*value)),
            Some(value) => unit.show(*value),
            None => "-".to_owned(),
        });
        let last = if compared {
            comparison(results, &row, unit)
        } else {
            best.map_or("-", |index| command.engines[index]).to_owned()
        };
        let _ = writeln!(page, "| {row} | {} | {last} |", cells.collect::<Vec<_>>().join(" | "));
    }
    for failure in &results.failures {
        let _ = writeln!(page, "\n{failure}.");
    }
    page
}

/// Ours over the best peer of the same round, as "1.52x (1.48 to 1.56) lmdb"; above one is better.
fn comparison(results: &Results, row: &str, unit: Unit) -> String {
    let (mut ratios, mut rivals) = (Vec::new(), Vec::new());
    for round in 0..results.command.rounds {
        let of = |engine: &&'static str| value(results, engine, round, row);
        let peers: Vec<_> = results
            .command
            .engines
            .iter()
            .filter(|engine| ![OURS, FLOOR].contains(engine))
            .collect();
        let best = best_of(unit, peers.iter().map(|engine| of(engine)).enumerate());
        if let (Some(ours), Some(best)) = (of(&OURS), best)
            && let Some(theirs) = of(peers[best])
        {
            ratios.push(unit.advantage(ours, theirs));
            rivals.push(*peers[best]);
        }
    }
    let Some(ratio) = Ratio::of_pairs(&ratios) else { return "-".to_owned() };
    rivals.sort_unstable();
    rivals.dedup();
    let spread =
        ratio.interval.map_or(String::new(), |(low, high)| format!(" ({low:.2} to {high:.2})"));
    format!("{:.2}x{spread} {}", ratio.mean, rivals.join(", "))
}

fn best_of(unit: Unit, values: impl Iterator<Item = (usize, Option<f64>)>) -> Option<usize> {
    let known = values.filter_map(|(index, value)| Some((index, value?)));
    known.reduce(|a, b| if unit.advantage(b.1, a.1) > 1.0 { b } else { a }).map(|best| best.0)
}

/// The measurements in the order that the first run had them.
fn rows(results: &Results) -> Vec<(String, Unit)> {
    let mut rows: Vec<(String, Unit)> = Vec::new();
    for Figure { row, unit, .. } in results.runs.iter().flat_map(|run| &run.figures) {
        if !rows.iter().any(|(known, _)| known == row) {
            rows.push((row.clone(), *unit));
        }
    }
    rows
}

fn values(results: &Results, engine: &str, row: &str) -> Vec<f64> {
    let rounds = 0..results.command.rounds;
    rounds.filter_map(|round| value(results, engine, round, row)).collect()
}

fn value(results: &Results, engine: &str, round: usize, row: &str) -> Option<f64> {
    let mut runs = results.runs.iter();
    let run = runs.find(|run| run.engine == engine && run.round == round)?;
    run.figures.iter().find(|figure| figure.row == row).map(|figure| figure.value)
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
    let _ = writeln!(page, "  \"raw_bytes\": {},", plan.records * ROW_BYTES);
    let _ = writeln!(page, "  \"cache_bytes\": {},", plan.cache_bytes);
    let _ = writeln!(page, "  \"seed\": {},", plan.seed);
    let list = |items: Vec<String>| items.iter().map(|item| quoted(item)).collect::<Vec<_>>();
    let versions = list(versions(&results.command.engines)).join(", ");
    let _ = writeln!(page, "  \"versions\": [{versions}],");
    let failures = list(results.failures.clone()).join(", ");
    let _ = writeln!(page, "  \"failures\": [{failures}],");
    let _ = writeln!(page, "  \"figures\": [");
    let mut lines = Vec::new();
    for run in &results.runs {
        for Figure { row, unit, value } in &run.figures {
            lines.push(format!(
                "    {{\"round\": {}, \"engine\": {}, \"row\": {}, \"unit\": {}, \"value\": {value}}}",
                run.round,
                quoted(run.engine),
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
