//! Named checkpoints: taking, listing and dropping them. Reading them is in `view.rs`.
//!
//! Naming takes two checkpoints: the first is the one that gets the name, the second has it in its
//! list. Between the two nothing that the first reaches is released, because nobody else takes a
//! checkpoint, and the second knows of the name when it releases.

use hashbrown::HashMap;

use super::{Engine, Inner};
use crate::base::error::{Error, Result};
use crate::base::ids::Generation;
use crate::block::{CHECKPOINT_NAME_BYTES_MAX, NamedCheckpoint};

/// The name by which the newest checkpoint is opened, whatever it is. No checkpoint can be given a
/// name that begins with `WiredTiger`.
pub const LATEST_CHECKPOINT: &str = "WiredTigerCheckpoint";

const RESERVED_PREFIX: &str = "WiredTiger";

/// Stands for every checkpoint where those to drop are listed.
const RESERVED_NAME: &str = "all";

/// A named checkpoint, as [`Engine::checkpoints`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// Its name.
    pub name: String,
    /// Its number: later checkpoints have greater ones.
    pub generation: u64,
}

/// How many views of each named checkpoint are open.
#[derive(Debug, Default)]
pub(super) struct Uses(HashMap<Generation, Use>);

#[derive(Debug)]
enum Use {
    Views(usize),
    /// It is being dropped, and cannot be opened.
    Dropping,
}

impl Uses {
    /// One view more; false when the checkpoint is being dropped.
    pub(super) fn open(&mut self, generation: Generation) -> bool {
        match self.0.entry(generation).or_insert(Use::Views(0)) {
            Use::Views(count) => {
                *count += 1;
                true
            }
            Use::Dropping => false,
        }
    }

    /// One view less.
    pub(super) fn close(&mut self, generation: Generation) {
        if let Some(Use::Views(count)) = self.0.get_mut(&generation) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&generation);
            }
        }
    }

    fn is_open(&self, generation: Generation) -> bool {
        matches!(self.0.get(&generation), Some(Use::Views(_)))
    }

    fn begin_drop(&mut self, generation: Generation) {
        self.0.insert(generation, Use::Dropping);
    }

    fn end_drop(&mut self, generation: Generation) {
        self.0.remove(&generation);
    }
}

impl Engine {
    /// Takes a checkpoint and keeps it under `name` until [`drop_checkpoint`](Self::drop_checkpoint).
    /// One that has this name already is replaced. What it reaches stays in the file.
    ///
    /// # Errors
    /// [`Error::Busy`] when the one to be replaced is open; [`Error::Invalid`] for a name that is
    /// empty, too long or reserved; as [`checkpoint`](Self::checkpoint). On an error nothing is named,
    /// or dropped.
    ///
    /// ```
    /// use rshelve_core::engine::Engine;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("spam");
    /// let engine = Engine::open(&path, Default::default())?;
    /// let table = engine.create_table("eggs", &Default::default())?;
    /// let mut session = engine.session()?;
    /// session.put(&table, b"key", b"old")?;
    /// engine.checkpoint_named("monday")?;
    /// session.put(&table, b"key", b"new")?;
    /// let monday = engine.open_checkpoint("monday")?;
    /// let eggs = monday.table("eggs")?;
    /// assert_eq!(eggs.get(b"key", |value| value.to_vec())?, Some(b"old".to_vec()));
    /// drop((monday, eggs));
    /// engine.drop_checkpoint("monday")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checkpoint_named(&self, name: &str) -> Result<()> {
        let inner = &self.inner;
        inner.check_writable("name a checkpoint")?;
        check_name(name)?;
        let _gate = inner.enter()?;
        let mut count = inner.turn.take();
        let blocks = &inner.shared.blocks;
        let replaced: Vec<NamedCheckpoint> =
            blocks.named_checkpoints().into_iter().filter(|named| named.name == name).collect();
        inner.begin_drop(&replaced)?;
        let named = inner.take_checkpoint(&mut count).and_then(|()| {
            let mut names = blocks.named_checkpoints();
            names.retain(|named| named.name != name);
            names.push(NamedCheckpoint { name: name.to_owned(), superblock: blocks.superblock() });
            inner.take_checkpoint_with(&mut count, names)
        });
        inner.end_drop(&replaced);
        named
    }

    /// The named checkpoints, in the order in which they were taken.
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        let info = |named: NamedCheckpoint| CheckpointInfo {
            name: named.name,
            generation: named.superblock.generation.0,
        };
        self.inner.shared.blocks.named_checkpoints().into_iter().map(info).collect()
    }

    /// Drops the checkpoint `name`. The space that only it reached can be used again.
    ///
    /// # Errors
    /// [`Error::Busy`] while it is open; [`Error::Missing`]; as [`checkpoint`](Self::checkpoint). On
    /// an error it is still there.
    pub fn drop_checkpoint(&self, name: &str) -> Result<()> {
        self.drop_checkpoints(&[name])
    }

    /// Drops several named checkpoints in one step: all of them or none.
    ///
    /// # Errors
    /// As [`drop_checkpoint`](Self::drop_checkpoint).
    pub fn drop_checkpoints(&self, names: &[&str]) -> Result<()> {
        let inner = &self.inner;
        inner.check_writable("drop a checkpoint")?;
        let _gate = inner.enter()?;
        let mut count = inner.turn.take();
        let all = inner.shared.blocks.named_checkpoints();
        if let Some(missing) =
            names.iter().find(|name| all.iter().all(|named| named.name != **name))
        {
            return Err(Error::Missing { what: format!("checkpoint {missing:?}") });
        }
        let (dropped, rest): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|named| names.contains(&named.name.as_str()));
        if dropped.is_empty() {
            return Ok(());
        }
        inner.begin_drop(&dropped)?;
        let outcome = inner.take_checkpoint_with(&mut count, rest);
        inner.end_drop(&dropped);
        outcome
    }
}

impl Inner {
    /// Keeps `dropped` from being opened, if none of them is open.
    fn begin_drop(&self, dropped: &[NamedCheckpoint]) -> Result<()> {
        let mut uses = self.checkpoint_uses.lock();
        let is_open = |named: &&NamedCheckpoint| uses.is_open(named.superblock.generation);
        if let Some(open) = dropped.iter().find(is_open) {
            let path = format!("checkpoint {:?}", open.name).into();
            return Err(Error::Busy { path, holder: "an open cursor or view".to_owned() });
        }
        dropped.iter().for_each(|named| uses.begin_drop(named.superblock.generation));
        Ok(())
    }

    /// They are gone, or stay.
    fn end_drop(&self, dropped: &[NamedCheckpoint]) {
        let mut uses = self.checkpoint_uses.lock();
        dropped.iter().for_each(|named| uses.end_drop(named.superblock.generation));
    }

    /// Takes a checkpoint that has these named ones.
    fn take_checkpoint_with(&self, count: &mut u32, names: Vec<NamedCheckpoint>) -> Result<()> {
        let blocks = &self.shared.blocks;
        blocks.want_names(names)?;
        let outcome = self.take_checkpoint(count);
        blocks.forget_wanted_names();
        outcome
    }
}

fn check_name(name: &str) -> Result<()> {
    let len = name.len();
    if name.is_empty() || len > CHECKPOINT_NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a checkpoint's name of {len} bytes; give 1 to {CHECKPOINT_NAME_BYTES_MAX}"
        )));
    }
    if name == RESERVED_NAME {
        return Err(Error::invalid(format!("the checkpoint name {name:?} is reserved")));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(Error::invalid(format!(
            "the checkpoint name {name:?} is reserved; choose one that does not begin with \
             {RESERVED_PREFIX:?}"
        )));
    }
    Ok(())
}
