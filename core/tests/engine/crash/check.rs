//! What must hold of the files that a crash leaves.

use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use rshelve_core::base::options::{DatabaseOptions, Durability};
use rshelve_core::engine::{Engine, verify_on};
use rshelve_core::io::memory::{Choice, Fate, History, MemoryStorage};

use super::workload::{Crash, NAMED, Recorded, State, named};
use crate::audit::unreached_bytes;
use crate::checkpoints::read_checkpoint;
use crate::harness::{NAME, Random, brief, read_all};

/// How thoroughly a history is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Every subset of what is pending, up to so many steps.
    pub subsets_of: usize,
    /// So many samples, with torn writes, at each step.
    pub samples: usize,
    /// One image in so many is crashed again during its recovery, and used after it.
    pub again_one_of: u64,
}

/// What went wrong, and where.
#[derive(Debug)]
pub struct Failure {
    pub step: usize,
    pub choice: Option<Choice>,
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.choice {
            Some(choice) => write!(f, "power loss at step {} ({choice:?}): ", self.step)?,
            None => write!(f, "kill at step {}: ", self.step)?,
        }
        f.write_str(&self.what)
    }
}

/// Goes through the power losses of `history`, which is that of `recorded` or one like it; returns how
/// many images were checked.
pub fn check_power_losses(
    recorded: &Recorded,
    history: &History,
    effort: Effort,
    seed: u64,
) -> Result<usize, Failure> {
    let mut random = Random::new(seed);
    let mut walk = history.walk();
    let (mut images, mut least_before, mut known) = (0, 0, Known::default());
    while walk.advance().is_some() {
        let bounds = recorded.bounds(walk.at(), Crash::PowerLoss);
        let is_raised = std::mem::replace(&mut least_before, bounds.0) < bounds.0;
        let mut pending = Vec::new();
        drop(walk.power_loss(|step| {
            pending.push(step.at);
            Fate::Present
        }));
        let newest = pending.iter().position(|at| at + 1 == walk.at());
        for choice in choices(pending.len(), newest, is_raised, effort, &mut random) {
            let again = (random.below(effort.again_one_of) == 0).then(|| random.next());
            images += 1;
            known.check(recorded, &walk.image(choice), bounds, again).map_err(|what| Failure {
                step: walk.at(),
                choice: Some(choice),
                what,
            })?;
        }
    }
    Ok(images)
}

/// Goes through the kills of the process in `recorded`; returns how many images were checked.
pub fn check_kills(recorded: &Recorded, one_of: u64, seed: u64) -> Result<usize, Failure> {
    let mut random = Random::new(seed);
    let mut walk = recorded.history.walk();
    let (mut images, mut known) = (0, Known::default());
    while walk.advance().is_some() {
        if random.below(one_of) > 0 {
            continue;
        }
        let bounds = recorded.bounds(walk.at(), Crash::Kill);
        let again = (random.below(20) == 0).then(|| random.next());
        images += 1;
        known.check(recorded, &walk.killed(), bounds, again).map_err(|what| Failure {
            step: walk.at(),
            choice: None,
            what,
        })?;
    }
    Ok(images)
}

/// The ways to go at a step. A subset without the newest pending step was an image of the step before,
/// and is only looked at again when more was promised since.
fn choices(
    pending: usize,
    newest: Option<usize>,
    is_raised: bool,
    effort: Effort,
    random: &mut Random,
) -> Vec<Choice> {
    if newest.is_none() && !is_raised {
        return Vec::new();
    }
    let mut choices = Vec::new();
    if pending <= effort.subsets_of {
        let has_newest =
            |bits: &u64| is_raised || newest.is_none_or(|newest| bits >> newest & 1 == 1);
        choices.extend((0..1 << pending).filter(has_newest).map(Choice::Subset));
    } else {
        choices.extend([Choice::Nothing, Choice::Everything]);
        choices.extend(newest.into_iter().flat_map(|at| [Choice::Only(at), Choice::AllBut(at)]));
    }
    if pending > 0 {
        choices.extend((0..effort.samples).map(|_| Choice::Sampled(random.next())));
    }
    choices
}

/// What was found in images: many subsets of the pending steps leave the same bytes, zeros over zeros for one.
#[derive(Default)]
struct Known {
    hashers: [DefaultHashBuilder; 2],
    /// After how many commits the state was that is in the image with this hash.
    counts: HashMap<[u64; 2], usize>,
}

impl Known {
    /// As [`check_image`], which is left out for an image whose state is known, and may be.
    fn check(
        &mut self,
        recorded: &Recorded,
        image: &MemoryStorage,
        bounds: (usize, usize),
        again: Option<u64>,
    ) -> Result<(), String> {
        let files = image.names().into_iter().map(|name| (image.peek(&name), name));
        let files: Vec<_> = files.collect();
        let hash = self.hashers.each_ref().map(|hasher| hasher.hash_one(&files));
        let known = self.counts.get(&hash);
        if again.is_none() && known.is_some_and(|count| (bounds.0..=bounds.1).contains(count)) {
            return Ok(());
        }
        let count = check_image(recorded, image, bounds, again)?;
        self.counts.insert(hash, count);
        Ok(())
    }
}

/// Opens `image` and compares what is in it with the states that may be; returns after how many commits
/// the state was that is there. With `again`, a seed: the recovery is crashed in its turn, run twice, and
/// the database is used.
fn check_image(
    recorded: &Recorded,
    image: &MemoryStorage,
    bounds: (usize, usize),
    again: Option<u64>,
) -> Result<usize, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let before = again.map(|_| image.duplicate());
        if again.is_some() {
            check_file(image)?;
        }
        let (engine, found) = recover(image, &recorded.options)?;
        let count = check_state(recorded, &found, bounds)?;
        let Some((before, seed)) = before.zip(again) else {
            abandon(engine, image);
            return Ok(count);
        };
        let recovered = image.duplicate();
        drop(engine);
        check_recovery(&recovered, &recorded.options, &found, "after recovering twice")?;
        use_it(&recovered, &recorded.options, found.clone())?;
        crash_again(&before, &recorded.options, &found, seed, if seed % 8 == 0 { 2 } else { 1 })?;
        Ok(count)
    }));
    outcome.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        Err(format!("a panic: {}", message.unwrap_or_default()))
    })
}

/// Nothing in the file is damaged, and the log says where it ends.
fn check_file(image: &MemoryStorage) -> Result<(), String> {
    // Crashed before it had its content, the file is not there, or empty.
    if image.peek(NAME).is_none_or(|bytes| bytes.is_empty()) {
        return Ok(());
    }
    let report = verify_on(Arc::new(image.duplicate()), NAME, &mut |_| Ok(()));
    let report = report.map_err(|error| format!("it cannot be verified: {error}"))?;
    if report.is_clean() { Ok(()) } else { Err(format!("verify says: {report}")) }
}

/// Lets go of an engine whose files nobody needs any more, without the work of a close.
fn abandon(engine: Engine, image: &MemoryStorage) {
    image.fail_nth(1, rshelve_core::io::memory::Fault::Eio, true);
    drop(engine);
}

fn recover(image: &MemoryStorage, options: &DatabaseOptions) -> Result<(Engine, State), String> {
    let engine = Engine::open_on(Arc::new(image.clone()), NAME, options.clone())
        .map_err(|error| format!("it does not open: {error}"))?;
    let mut session = engine.session().map_err(|error| error.to_string())?;
    let mut state = State::new();
    for name in engine.table_names() {
        let table = engine.table(&name).map_err(|error| error.to_string())?;
        let rows = read_all(&mut session, &table, false);
        session.release_snapshot();
        let count = session.rows(&table);
        if count != rows.len() as u64 {
            return Err(format!("table {name} counts {count} rows and has {}", rows.len()));
        }
        state.insert(name, rows);
    }
    drop(session);
    for info in engine.checkpoints() {
        let checkpoint = engine.open_checkpoint(&info.name).map_err(|error| error.to_string())?;
        for name in checkpoint.table_names() {
            let table = checkpoint.table(&name).map_err(|error| error.to_string())?;
            state.insert(named(&info.name, &name), read_checkpoint(&table));
        }
    }
    Ok((engine, state))
}

/// The greatest count within the bounds whose state was `found`.
fn check_state(
    recorded: &Recorded,
    found: &State,
    (least, most): (usize, usize),
) -> Result<usize, String> {
    let within = &recorded.states[least..=most];
    if let Some(count) = within.iter().rposition(|state| state == found) {
        return Ok(least + count);
    }
    let earlier = recorded.states[..least].iter().rposition(|state| state == found);
    Err(match earlier {
        Some(count) => format!("only {count} commits are there, and {least} were promised"),
        None => format!(
            "no state between commits {least} and {most}; {}",
            differences(found, &recorded.states[most])
        ),
    })
}

/// What differs from the state that was expected most.
fn differences(found: &State, expected: &State) -> String {
    let mut text = String::new();
    for (name, rows) in expected {
        let Some(other) = found.get(name) else {
            text += &format!("table {name} is missing; ");
            continue;
        };
        let mut odd = rows.clone();
        odd.retain(|key, value| other.get(key) != Some(value));
        let mut extra = other.clone();
        extra.retain(|key, _| !rows.contains_key(key));
        text += &format!("{name}: other or missing {}; extra {}; ", brief(&odd), brief(&extra));
    }
    text
}

/// Opens a copy of `image`, which must show `expected`.
fn check_recovery(
    image: &MemoryStorage,
    options: &DatabaseOptions,
    expected: &State,
    when: &str,
) -> Result<(), String> {
    let image = image.duplicate();
    let (engine, found) = recover(&image, options).map_err(|what| format!("{when}: {what}"))?;
    abandon(engine, &image);
    if found == *expected {
        return Ok(());
    }
    Err(format!("{when}: {}", differences(&found, expected)))
}

/// The database works after its recovery; what is written then is there after a kill and after a close,
/// and after the close nothing is beside it.
fn use_it(
    image: &MemoryStorage,
    options: &DatabaseOptions,
    mut state: State,
) -> Result<(), String> {
    let text = |error: rshelve_core::Error| format!("used after recovery: {error}");
    // Nothing else tells that there is something to look for.
    let was_left = image.names().len() > 1;
    let (engine, _) = recover(image, options)?;
    let mut session = engine.session().map_err(text)?;
    for (name, rows) in state.iter_mut().filter(|(name, _)| !name.starts_with(NAMED)) {
        let table = engine.table(name).map_err(text)?;
        for number in 0..40_u64 {
            let key = format!("k{number:03}").into_bytes();
            let value = crate::harness::value_of(if number % 8 == 0 { 4000 } else { 50 }, number);
            session.put(&table, &key, &value).map_err(text)?;
            rows.insert(key, value.into());
        }
    }
    drop(session);
    if options.durability != Durability::Checkpoint {
        check_recovery(image, options, &state, "used and killed after recovery")?;
    }
    engine.close().map_err(text)?;
    let lost = unreached_bytes(image);
    if lost > 0 && was_left {
        return Err(format!("closed, and {lost} bytes are lost"));
    }
    if image.names() != [NAME] {
        return Err(format!("closed, and there are still the files {:?}", image.names()));
    }
    check_recovery(image, options, &state, "used and closed after recovery")
}

/// A power loss, and a kill, at some step of a recovery; and at some step of the recovery from one of those,
/// `depth` deep.
fn crash_again(
    before: &MemoryStorage,
    options: &DatabaseOptions,
    expected: &State,
    seed: u64,
    depth: u32,
) -> Result<(), String> {
    let mut random = Random::new(seed);
    before.record(true);
    let (engine, _) = recover(before, options)?;
    drop(engine);
    before.record(false);
    let history = before.history();
    for round in 0..4 {
        let at = random.below(history.len() as u64 + 1) as usize;
        let walk = history.walk_to(at);
        let choice = Choice::Sampled(random.next());
        let when = format!("crashed again at step {at} of recovery, {choice:?}");
        check_recovery(&walk.image(choice), options, expected, &when)?;
        let when = format!("killed at step {at} of recovery");
        check_recovery(&walk.killed(), options, expected, &when)?;
        if depth > 1 && round < 2 {
            let image = if round == 0 { walk.image(choice) } else { walk.killed() };
            crash_again(&image, options, expected, random.next(), depth - 1)
                .map_err(|what| format!("{when}, recovered, and {what}"))?;
        }
    }
    Ok(())
}
