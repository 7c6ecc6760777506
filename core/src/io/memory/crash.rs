//! The files as a power loss could leave them.
//!
//! A [`Walk`] goes through a [`History`] and keeps, at each point, what is durable and what is
//! pending. The rules, which are those of POSIX and of no kinder file system:
//!
//! 1. A file's sync makes its earlier writes, cuts and extensions durable, not its name.
//! 2. Creations, renames and removals are durable after the folder's sync. Before it each may or
//!    may not have happened, but of those that touch one name, a later one only if the earlier
//!    did.
//! 3. A pending write may be there, be absent, or be torn: any of its 512-byte sectors. One that
//!    survives beyond the end extends the file; what lies between reads as zeros. Of pending
//!    writes to the same place, those that survive apply in order; a later one that survived
//!    implies nothing about an earlier one.
//! 4. Cuts and extensions of one file survive in order: none after one that did not.
//! 5. A sync that failed makes what was pending *lost*: it may or may not reach the disk, as
//!    before, but no later sync makes it durable; only writing it again does.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::MemoryStorage;
use super::choice::{Choice, Fate, Pending, SECTOR_BYTES, Sectors};
use super::content::Content;
use super::disk::{Disk, FileNumber, Step, SyncOutcome, change};
use super::history::History;

/// A place in a history: after some step, before the next.
#[derive(Clone, Debug)]
pub struct Walk<'h> {
    history: &'h History,
    at: usize,
    live: Disk,
    durable: Disk,
    names: Vec<NameStep>,
    data: BTreeMap<FileNumber, Vec<DataStep>>,
}

/// A pending creation, rename or removal.
#[derive(Clone, Copy, Debug)]
struct NameStep {
    at: usize,
    lost: bool,
}

/// A pending write, cut or extension.
#[derive(Clone, Debug)]
struct DataStep {
    at: usize,
    lost: bool,
    /// The sectors of a lost write over which nothing newer is durable; none: all of them.
    left: Option<Sectors>,
}

impl<'h> Walk<'h> {
    pub(super) fn new(history: &'h History) -> Self {
        let (live, durable) = (history.base.clone(), history.base.clone());
        Self { history, at: 0, live, durable, names: Vec::new(), data: BTreeMap::new() }
    }

    /// How many steps lie behind.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes past the next step and returns it; `None` at the end.
    pub fn advance(&mut self) -> Option<&'h Step> {
        let step = self.history.steps.get(self.at)?;
        let at = self.at;
        self.at += 1;
        self.live.apply(step);
        match step {
            Step::Create { .. } | Step::Rename { .. } | Step::Remove { .. } => {
                self.names.push(NameStep { at, lost: false });
            }
            Step::Write { file, .. } | Step::SetLen { file, .. } | Step::Allocate { file, .. } => {
                let pending = DataStep { at, lost: false, left: None };
                self.data.entry(*file).or_default().push(pending);
            }
            Step::SyncData { file, outcome, .. } => self.sync_data(*file, *outcome),
            Step::SyncFolder { outcome, .. } => self.sync_folder(*outcome),
        }
        Some(step)
    }

    /// How many steps are pending here.
    pub fn pending(&self) -> usize {
        self.names.len() + self.data.values().map(Vec::len).sum::<usize>()
    }

    /// The folder as a process killed here leaves it: nothing is missing.
    pub fn killed(&self) -> MemoryStorage {
        let mut disk = self.live.clone();
        disk.drop_nameless();
        MemoryStorage::with_disk(disk)
    }

    /// The folder as a power loss here leaves it, if each pending step has the fate that
    /// `choose` gives it. Steps that cannot have happened, because one that they build on did
    /// not, are not asked about.
    pub fn power_loss(&self, mut choose: impl FnMut(&Pending<'_>) -> Fate) -> MemoryStorage {
        let mut disk = self.durable.clone();
        self.decide_names(&mut disk, &mut choose);
        self.decide_data(&mut disk, &mut choose);
        disk.drop_nameless();
        MemoryStorage::with_disk(disk)
    }

    /// The folder as a power loss here leaves it that goes as `choice` says.
    pub fn image(&self, choice: Choice) -> MemoryStorage {
        self.power_loss(|pending| choice.fate(pending))
    }

    /// At most `budget` ways for a power loss here to go: every subset of what is pending if so
    /// many do, else the extremes; the rest of the budget goes to samples with torn writes, drawn
    /// from `seed`. Each makes an image with [`Walk::image`].
    pub fn choices(&self, budget: usize, seed: u64) -> Vec<Choice> {
        Choice::list(self.pending(), budget, seed)
    }

    fn decide_names(&self, disk: &mut Disk, choose: &mut impl FnMut(&Pending<'_>) -> Fate) {
        let mut blocked = HashSet::new();
        for (index, pending) in self.names.iter().enumerate() {
            let step = &self.history.steps[pending.at];
            let possible = !step.names().into_iter().flatten().any(|name| blocked.contains(name));
            let asked = Pending { index, at: pending.at, step, name: None, sectors: 0 };
            if possible && choose(&asked) != Fate::Absent {
                disk.apply(step);
            } else {
                blocked.extend(step.names().into_iter().flatten().map(Arc::clone));
            }
        }
    }

    fn decide_data(&self, disk: &mut Disk, choose: &mut impl FnMut(&Pending<'_>) -> Fate) {
        let mut index = self.names.len();
        for (file, steps) in &self.data {
            let name = self.live.name_of(*file).map(|name| &**name);
            let content = disk.files.entry(*file).or_default();
            let mut length_stands = true;
            for pending in steps {
                let step = &self.history.steps[pending.at];
                let sectors = sector_count(step);
                let asked = Pending { index, at: pending.at, step, name, sectors };
                index += 1;
                if sectors > 0 {
                    write_as(content, step, pending.left.as_ref(), choose(&asked));
                } else if length_stands && choose(&asked) != Fate::Absent {
                    change(content, step);
                } else {
                    length_stands = false;
                }
            }
        }
    }

    /// Rules 1 and 5.
    fn sync_data(&mut self, file: FileNumber, outcome: SyncOutcome) {
        let Some(steps) = self.data.get_mut(&file) else { return };
        match outcome {
            SyncOutcome::Ignored => {}
            SyncOutcome::Failed => steps.iter_mut().for_each(|pending| pending.lost = true),
            SyncOutcome::Done => {
                let content = self.durable.files.entry(file).or_default();
                let mut kept: Vec<DataStep> = Vec::new();
                for pending in std::mem::take(steps) {
                    if pending.lost {
                        kept.push(pending);
                        continue;
                    }
                    let newer = &self.history.steps[pending.at];
                    change(content, newer);
                    kept.retain_mut(|old| old.outlives(&self.history.steps[old.at], newer));
                }
                *steps = kept;
            }
        }
        if self.data.get(&file).is_some_and(Vec::is_empty) {
            self.data.remove(&file);
        }
    }

    /// Rules 2 and 5.
    fn sync_folder(&mut self, outcome: SyncOutcome) {
        match outcome {
            SyncOutcome::Ignored => {}
            SyncOutcome::Failed => self.names.iter_mut().for_each(|pending| pending.lost = true),
            SyncOutcome::Done => {
                let mut blocked: HashSet<&str> = HashSet::new();
                let durable = &mut self.durable;
                let history = self.history;
                self.names.retain(|pending| {
                    let step = &history.steps[pending.at];
                    let mut names = step.names().into_iter().flatten();
                    let keep = pending.lost || names.any(|name| blocked.contains(&**name));
                    if keep {
                        blocked.extend(step.names().into_iter().flatten().map(|name| &**name));
                    } else {
                        durable.apply(step);
                    }
                    keep
                });
            }
        }
    }
}

impl DataStep {
    /// Whether this lost step (`own`) can still show after `newer` is durable on the same file.
    /// A sector that was written anew no longer can, nor can one beyond a new end; and a length
    /// never comes back once something newer is there.
    fn outlives(&mut self, own: &Step, newer: &Step) -> bool {
        let Step::Write { offset, .. } = own else { return false };
        let gone = match newer {
            Step::Write { offset, bytes, .. } => *offset..offset + bytes.len() as u64,
            Step::SetLen { len_bytes, .. } => *len_bytes..u64::MAX,
            _ => return true,
        };
        let count = sector_count(own);
        let left = self.left.get_or_insert_with(|| Sectors::of(count, |_| true));
        let first = offset / SECTOR_BYTES;
        for index in 0..count {
            let start = (first + index as u64) * SECTOR_BYTES;
            if start < gone.end && gone.start < start + SECTOR_BYTES {
                left.remove(index);
            }
        }
        !left.is_empty()
    }
}

/// How many sectors a write touches; 0 for every other step.
fn sector_count(step: &Step) -> usize {
    let Step::Write { offset, bytes, .. } = step else { return 0 };
    let end = offset + bytes.len() as u64;
    (end.div_ceil(SECTOR_BYTES) - offset / SECTOR_BYTES) as usize
}

/// Does to `content` what is left of a write of this fate.
fn write_as(content: &mut Content, step: &Step, left: Option<&Sectors>, fate: Fate) {
    let Step::Write { offset, bytes, .. } = step else { return };
    let end = offset + bytes.len() as u64;
    let arrived = match fate {
        Fate::Absent => return,
        Fate::LengthOnly => {
            if left.is_none() {
                content.set_len(content.len_bytes().max(end));
            }
            return;
        }
        Fate::Present if left.is_none() => return content.write(bytes, *offset),
        Fate::Present => None,
        Fate::Torn(sectors) => Some(sectors),
    };
    let first = offset / SECTOR_BYTES;
    for index in 0..sector_count(step) {
        if arrived.as_ref().is_none_or(|set| set.has(index))
            && left.is_none_or(|set| set.has(index))
        {
            let from = ((first + index as u64) * SECTOR_BYTES).max(*offset);
            let to = ((first + index as u64 + 1) * SECTOR_BYTES).min(end);
            content.write(&bytes[(from - offset) as usize..(to - offset) as usize], from);
        }
    }
}
