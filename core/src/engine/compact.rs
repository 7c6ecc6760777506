//! Compaction: the file shrinks to what is in it, beside readers and writers.
//!
//! Three stages, each in bounded steps with a checkpoint behind each, because what a step frees can be
//! used only when a checkpoint is durable:
//!
//! 1. **Merging**: neighbouring leaves that are not full become fewer that are (`btree::merge`).
//! 2. **Values**: long values at the file's end are written again further in front, as ordinary
//!    transactions that change nothing but where the value lies, so that the log and recovery know.
//! 3. **Pages**: a window near the front is emptied to the end of the file; then the pages behind it
//!    slide into the gap in the order of the file, and the gap with what it swallows moves to the end.
//!
//! Every step leaves a database that is whole: what moves is copied first, and its old place is used
//! again only when no durable checkpoint names it. So a compaction may be stopped between any two
//! steps, by its caller, a close or a crash, and started again. While one runs, everything is
//! written as far in front as there is room.

mod values;

use std::ops::ControlFlow;

use super::{Engine, Inner, OpenTable};
use crate::base::error::{Error, Result};
use crate::base::ids::TableId;
use crate::block::{
    BlockKind, Destination, Extent, FIRST_EXTENT, FRAME_BYTES, SpaceUse, UNIT_BYTES,
};
use crate::btree::{PageBlock, Tree};

/// How much of the file a step may handle: a sixteenth, within these bounds.
const STEP_BYTES_LEAST: u64 = 1 << 20;
const STEP_BYTES_MOST: u64 = 64 << 20;

/// How much is copied while a checkpoint, or the drop of a table, has to wait.
const COPY_BYTES: u64 = 1 << 20;

/// The window that is emptied first: this part of the file, within these bounds.
const WINDOW_PART: u64 = 64;
const WINDOW_BYTES_LEAST: u64 = 64 << 10;

/// Gaps that add up to less than this part of what is in use stay, and as much as there may be beside
/// lists, which take no whole frames, in a file however small.
const SPARE_PART: u64 = 128;
const SPARE_BYTES_LEAST: u64 = 4 * FRAME_BYTES;

/// How often values and pages are gone over at most, and the end of the file by itself.
const ROUNDS: usize = 5;
const TAIL_ROUNDS: usize = 6;

/// What a compaction is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompactStage {
    /// Making full leaves of those that are not.
    Merging,
    /// Moving long values.
    Values,
    /// Moving pages.
    Pages,
}

/// How far a compaction is, after each of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactProgress {
    /// What it is doing.
    pub stage: CompactStage,
    /// The file's length in bytes now.
    pub file_bytes: u64,
    /// How many of them are in use: what the file can shrink to.
    pub used_bytes: u64,
    /// Bytes that were written so far: pages built and blocks copied.
    pub moved_bytes: u64,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// The file's length in bytes before.
    pub before_bytes: u64,
    /// The file's length in bytes after.
    pub after_bytes: u64,
    /// How many leaves were merged into others.
    pub leaves_merged: u64,
    /// Bytes that were written: pages built and blocks copied.
    pub moved_bytes: u64,
    /// Whether it came to its end. Else its caller stopped it, or what it frees cannot be used,
    /// because a reader in another process still looks at an older checkpoint.
    pub is_complete: bool,
}

/// Who is told after each step, and may say to stop.
type Tell<'t> = dyn FnMut(&CompactProgress) -> ControlFlow<()> + 't;

impl Engine {
    /// Compacts the database: the file shrinks to what is in it. Readers and writers go on beside it;
    /// `tell` is called after each step, and may stop it.
    ///
    /// The file may grow for a while, and about twice what is in use is written at most. What a named
    /// checkpoint, or a reader in another process, still reaches stays where it is.
    ///
    /// # Errors
    /// [`Error::Busy`] while another compaction runs; [`Error::Full`] when there is no room to begin
    /// with; [`Error::Closed`] when the database is closed meanwhile; what reading and writing gives.
    /// What was done until then stays done, and nothing is lost.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let table = engine.create_table("eggs", &Default::default())?;
    /// let mut session = engine.session()?;
    /// for number in 0..20_000_u32 {
    ///     session.put(&table, &number.to_be_bytes(), &[7; 100])?;
    /// }
    /// for number in 100..20_000_u32 {
    ///     session.remove(&table, &number.to_be_bytes())?;
    /// }
    /// let report = engine.compact(&mut |_progress| ControlFlow::Continue(()))?;
    /// assert!(report.is_complete && report.after_bytes < 64 << 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self, tell: &mut Tell<'_>) -> Result<CompactReport> {
        let inner = &*self.inner;
        inner.check_writable("compact it")?;
        let Some(_alone) = inner.compacting.try_lock() else {
            let holder = "another compaction".to_owned();
            return Err(Error::Busy { path: self.label().into(), holder });
        };
        let mut compaction = Compaction { inner, tell, report: CompactReport::default() };
        compaction.report.before_bytes = inner.shared.blocks.file_bytes();
        match compaction.run() {
            Ok(()) => compaction.report.is_complete = true,
            Err(Stop::Asked) => {}
            Err(Stop::Failed(error)) => return Err(error),
        }
        compaction.report.after_bytes = inner.shared.blocks.file_bytes();
        Ok(compaction.report)
    }
}

/// Why a compaction ends before its end.
enum Stop {
    /// The caller said so, or there is no use in going on.
    Asked,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Compaction<'c> {
    inner: &'c Inner,
    tell: &'c mut Tell<'c>,
    report: CompactReport,
}

impl Compaction<'_> {
    /// The stages, one after the other.
    fn run(&mut self) -> Result<(), Stop> {
        let blocks = &self.inner.shared.blocks;
        let _low = blocks.begin_compaction();
        // What was freed before can be used from here on.
        self.end_step(CompactStage::Merging)?;
        self.merge()?;
        for round in 0..ROUNDS {
            let before = blocks.space_use().end;
            self.move_values(round)?;
            self.move_pages()?;
            self.empty_tail()?;
            if self.is_dense() || (blocks.space_use().end >= before && round > values::ASIDE) {
                break;
            }
        }
        self.alone(|| {
            blocks.trim();
            Ok(())
        })?;
        Ok(())
    }

    /// Stage 1.
    fn merge(&mut self) -> Result<(), Stop> {
        let stage = CompactStage::Merging;
        let mut step_bytes = 0;
        for id in self.tables() {
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                let merged = self.with_tree(id, |tree| tree.merge_leaves(&key))?;
                let Some(merged) = merged else { break };
                self.inner.shared.hazards.reclaim();
                self.report.leaves_merged += merged.leaves_gone as u64;
                step_bytes += merged.built_bytes as u64;
                if step_bytes >= self.step_bytes() {
                    self.report.moved_bytes += std::mem::take(&mut step_bytes);
                    self.end_step(stage)?;
                }
                from = merged.next;
            }
        }
        self.report.moved_bytes += step_bytes;
        self.end_step(stage)
    }

    /// Stage 3.
    fn move_pages(&mut self) -> Result<(), Stop> {
        let blocks = &self.inner.shared.blocks;
        let stage = CompactStage::Pages;
        let space = blocks.space_use();
        let Some(gap) = blocks.first_gap(spare_bytes(space.used_bytes)) else { return Ok(()) };
        let window_bytes = (space.end / WINDOW_PART / UNIT_BYTES * UNIT_BYTES)
            .clamp(WINDOW_BYTES_LEAST, STEP_BYTES_MOST);
        let window = Extent { offset: gap, len: window_bytes };
        if window.end() < space.end {
            self.move_within(window, Destination::End)?;
            self.end_step(stage)?;
        }
        let mut at = window.end();
        while at < blocks.space_use().end {
            let room_bytes = blocks.available_below(at, WINDOW_BYTES_LEAST / 4);
            let len = room_bytes / UNIT_BYTES * UNIT_BYTES;
            let part = Extent { offset: at, len: len.clamp(window_bytes, STEP_BYTES_MOST) };
            self.move_within(part, Destination::Below)?;
            self.end_step(stage)?;
            at = part.end();
        }
        Ok(())
    }

    /// Whether the file is hardly longer than what is in use.
    fn is_dense(&self) -> bool {
        let SpaceUse { used_bytes, end, .. } = self.inner.shared.blocks.space_use();
        end <= FIRST_EXTENT + used_bytes + spare_bytes(used_bytes)
    }

    /// What lies behind where the file could end goes to the front: internal pages and the free list,
    /// which checkpoints placed while the space in front was not free yet.
    fn empty_tail(&mut self) -> Result<(), Stop> {
        for _ in 0..TAIL_ROUNDS {
            let SpaceUse { used_bytes, end, .. } = self.inner.shared.blocks.space_use();
            let ideal = FIRST_EXTENT + used_bytes;
            if self.is_dense() {
                break;
            }
            self.move_within(Extent { offset: ideal, len: end - ideal }, Destination::Below)?;
            self.end_step(CompactStage::Pages)?;
            if self.inner.shared.blocks.space_use().end >= end {
                break;
            }
        }
        Ok(())
    }

    /// Moves the pages whose blocks lie in `place`.
    fn move_within(&mut self, place: Extent, destination: Destination) -> Result<(), Stop> {
        for id in self.tables().into_iter().chain([TableId::CATALOG]) {
            let mut pages: Vec<PageBlock> = Vec::new();
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                let next = self.with_tree(id, |tree| {
                    tree.pages_within(&key, place, &mut |page| pages.push(page))
                })?;
                from = next.flatten();
            }
            pages.sort_unstable_by_key(|page| page.address.offset());
            pages.dedup_by_key(|page| page.address.offset());
            let (leaves, indexes): (Vec<_>, Vec<_>) =
                pages.into_iter().partition(|page| page.level == 0);
            self.with_tree(id, |tree| {
                indexes.iter().for_each(|page| tree.rewrite_index(page));
                Ok(())
            })?;
            let mut rest = leaves.as_slice();
            while !rest.is_empty() {
                let mut bytes = 0;
                let fits = |page: &&PageBlock| {
                    bytes += page.address.extent().len;
                    bytes <= COPY_BYTES
                };
                let count = rest.iter().take_while(fits).count().max(1);
                let (batch, others) = rest.split_at(count);
                rest = others;
                let moved = self.with_tree(id, |tree| move_leaves(tree, batch, destination))?;
                self.report.moved_bytes += moved.unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Runs `work` with the tree of table `id`, if there still is one, while no checkpoint is made
    /// and no table dropped; then lets eviction make up for what it used.
    fn with_tree<R>(
        &self,
        id: TableId,
        work: impl FnOnce(&Tree) -> Result<R>,
    ) -> Result<Option<R>, Stop> {
        let done = self.alone(|| {
            let table = self.inner.catalog.get_by_id(id);
            match table.as_ref().map(OpenTable::tree) {
                Some(tree) => work(tree).map(Some),
                None if id == TableId::CATALOG => work(self.inner.catalog.tree()).map(Some),
                None => Ok(None),
            }
        })?;
        self.inner.make_room(self.inner.options.timeout)?;
        self.inner.relieve();
        Ok(done)
    }

    /// Runs `work` while no checkpoint is made, no table dropped and the database not closed.
    fn alone<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let _gate = self.inner.enter()?;
        let _alone = self.inner.turn.take();
        work()
    }

    /// Ends a step: what it freed can be used again, and the caller hears of it.
    fn end_step(&mut self, stage: CompactStage) -> Result<(), Stop> {
        let blocks = &self.inner.shared.blocks;
        {
            let _gate = self.inner.enter()?;
            self.inner.checkpoint_now()?;
        }
        let SpaceUse { used_bytes, pending_bytes, file_bytes, .. } = blocks.space_use();
        let progress =
            CompactProgress { stage, file_bytes, used_bytes, moved_bytes: self.report.moved_bytes };
        let asked = (self.tell)(&progress).is_break();
        // Writers beside us free something too. If what we free stays, the file would only grow.
        let is_held = pending_bytes > 4 * self.step_bytes() + used_bytes / 4;
        if asked || is_held { Err(Stop::Asked) } else { Ok(()) }
    }

    fn step_bytes(&self) -> u64 {
        let file_bytes = self.inner.shared.blocks.file_bytes();
        (file_bytes / 16).clamp(STEP_BYTES_LEAST, STEP_BYTES_MOST)
    }

    /// All tables' ids.
    fn tables(&self) -> Vec<TableId> {
        self.inner.catalog.with_trees(|trees| trees.iter().map(|tree| tree.id()).collect())
    }
}

/// How much may stay free in front of the end where so much is in use.
fn spare_bytes(used_bytes: u64) -> u64 {
    (used_bytes / SPARE_PART).max(SPARE_BYTES_LEAST)
}

/// Copies the leaves of `pages`, but those that lie elsewhere by now, and lets their references lead to the
/// copies; says how many bytes that were. No checkpoint is made meanwhile.
pub(super) fn move_leaves(
    tree: &Tree,
    pages: &[PageBlock],
    destination: Destination,
) -> Result<u64> {
    let blocks = &tree.shared().blocks;
    let pages: Vec<_> = pages.iter().filter(|page| tree.is_still_there(page)).collect();
    let originals: Vec<_> = pages.iter().map(|page| page.address).collect();
    let copies = blocks.copy(&originals, BlockKind::Leaf, destination)?;
    let mut moved_bytes = 0;
    for (page, copy) in pages.iter().zip(copies) {
        let Some(copy) = copy else { continue };
        if tree.move_leaf(page, copy)? {
            moved_bytes += copy.extent().len;
        } else {
            // Nobody will ever name it.
            blocks.free(&copy)?;
        }
    }
    Ok(moved_bytes)
}
