//! Making a checkpoint durable, and releasing what it replaced.
//!
//! *Invariant (copy-on-write):* no extent reachable from the last durable superblock is
//! overwritten or reused until a newer one is durable in both slots.

use super::blocks::Blocks;
use super::superblock::{CheckpointRoot, Slot, Superblock};
use super::write::growth_step_bytes;
use crate::base::error::{Error, Result};
use crate::base::ids::Generation;
use crate::io::SyncPoint;
use std::io::IoSlice;

impl Blocks {
    /// Starts a checkpoint: what was freed until now it will release, what is freed from now on
    /// waits for the next one (except by [`Blocks::free_in_checkpoint`]).
    ///
    /// If the last checkpoint failed before it was durable, this one takes over its frees.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub fn begin_checkpoint(&self) -> Result<()> {
        self.check_writable("checkpoint it")?;
        let _one_at_a_time = self.newest.lock();
        self.state.lock().allocator.begin_checkpoint();
        Ok(())
    }

    /// Makes the checkpoint durable whose blocks have all been written, with `root` in its
    /// superblock, and releases what it no longer reaches. Returns the superblock. One caller at
    /// a time; writers and readers go on.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room for the free list: the checkpoint did not happen,
    /// and the next one may. [`Error::Io`] otherwise, which sticks; nothing was released then.
    /// [`Error::Corrupt`] when `root` names a block that is free.
    pub fn finish_checkpoint(&self, root: CheckpointRoot) -> Result<Superblock> {
        self.check_writable("checkpoint it")?;
        let mut newest = self.newest.lock();

        // 1. The named checkpoints, if they change, and the free list as it will be, in blocks of their
        //    own.
        let old_names = self.state.lock().superblock.names;
        let written_names =
            newest.wanted_names.take().map(|names| self.write_names(names)).transpose()?;
        let undo_names = || {
            if let Some(written) = &written_names {
                self.undo_names(written);
            }
        };
        let list = self.write_free_list(root.catalog_root).inspect_err(|_| undo_names())?;
        newest.generation.0 += 1;
        let superblock = Superblock {
            id: self.id(),
            generation: newest.generation,
            end: list.end,
            free_list: list.address,
            names: written_names.as_ref().map_or(old_names, |written| written.address),
            root,
        };

        // 2. Everything that the superblock reaches is durable before it names it. Until here
        //    nothing is lost by going back.
        if let Err(error) = self.sync(SyncPoint::CheckpointData) {
            self.undo_free_list(&list.blocks);
            undo_names();
            return Err(error);
        }

        // 3. The older slot, then 4. its twin. From here on the list's blocks may be named by a
        //    durable superblock, so a failure leaves them in use, and releases nothing.
        let first = newest.slot.other();
        let slots =
            [(first, SyncPoint::SuperblockFirst), (first.other(), SyncPoint::SuperblockSecond)];
        for (slot, point) in slots {
            let written = self.write_slot(slot, &superblock).and_then(|()| self.sync(point));
            if let Err(error) = written {
                self.state.lock().allocator.stop_finishing();
                return Err(error);
            }
            newest.slot = slot;
        }

        // 5. Nothing durable reaches the old extents any more. A reader in another process may;
        //    one that comes after this look finds the new superblock.
        let unread = self.newest_unread(superblock.generation);
        {
            let mut state = self.state.lock();
            state.superblock = superblock;
            let list_blocks = list.blocks.into_iter().collect();
            state.allocator.release(superblock.generation, list_blocks, unread);
            if let Some(written) = written_names {
                state.allocator.set_reaches(written.reaches, superblock.generation);
                state.names = written.names;
                // The next checkpoint does without the list before.
                if let Some(old) = old_names {
                    let freed = state.allocator.free(old.extent(), false);
                    debug_assert!(freed.is_ok(), "the list was in use until now");
                }
            }
        }

        // 6. The file loses a long free tail. A short one is kept to grow into.
        self.cut_tail(growth_step_bytes(superblock.end));
        self.stats.checkpoints.bump();
        Ok(superblock)
    }

    /// The newest checkpoint up to `generation` whose frees no reader in another process reaches:
    /// none holds an older checkpoint. Where that cannot be told, somebody does.
    fn newest_unread(&self, generation: Generation) -> Generation {
        let held = self.state.lock().allocator.held_generations();
        let unread = |by: &Generation| !self.is_read_before(*by);
        [generation].into_iter().chain(held.into_iter().rev()).find(unread).unwrap_or_default()
    }

    /// Whether a reader in another process may reach a checkpoint before `generation`.
    pub(super) fn is_read_before(&self, generation: Generation) -> bool {
        let Some(before) = generation.0.checked_sub(1) else { return false };
        self.file.is_pinned(Generation(before)).unwrap_or(true)
    }

    /// Cuts the file where its allocated part ends. To be called after the last checkpoint.
    pub fn trim(&self) {
        if self.is_writable() {
            self.cut_tail(0);
        }
    }

    /// Cuts the file if more than `spare_bytes` of its tail are not allocated, though not in front of the end
    /// that the durable superblock names: what a checkpoint reached whose name it drops lies before that end. A
    /// failure changes nothing that matters: the checkpoint is durable, and the file longer than it must be.
    fn cut_tail(&self, spare_bytes: u64) {
        let _growing = self.growth.lock();
        let end = {
            let mut state = self.state.lock();
            let end = state.allocator.end().max(state.superblock.end);
            if state.allocator.file_bytes() - end <= spare_bytes {
                return;
            }
            // Whoever needs more than `end` from here on waits for `growth`.
            state.allocator.set_file_bytes(end);
            end
        };
        if let Err(error) = self.file.set_len(end) {
            tracing::warn!(file = %self.label, %error, "cannot cut the free tail off");
        }
    }

    /// Writes `superblock` into `slot`.
    pub(super) fn write_slot(&self, slot: Slot, superblock: &Superblock) -> Result<()> {
        let bytes = superblock.encode();
        self.file
            .write_all_at(&[IoSlice::new(&bytes)], slot.offset())
            .map_err(|error| Error::io("write", &self.label, error))
    }

    /// The generation of the checkpoint that is due.
    pub fn due_generation(&self) -> Generation {
        Generation(self.superblock().generation.0 + 1)
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
