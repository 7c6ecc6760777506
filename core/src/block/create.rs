//! Making a new database: whole or not at all, whenever a crash comes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::SystemTime;

use super::FIRST_EXTENT;
use super::file_header::FileHeader;
use super::superblock::{CheckpointRoot, Slot, Superblock};
use crate::base::error::{Error, Result};
use crate::base::ids::{DatabaseId, Generation};
use crate::base::options::OpenMode;
use crate::io::{File, OpenHow, Storage, SyncPoint};

/// Creates an empty database `name` in `storage` with permission bits `file_mode`, and returns
/// its file, open and not locked. It is written under another, unguessable name, synced, and
/// renamed, so that a crash leaves nothing or all of it under `name`.
///
/// An empty file of that name is replaced. Under [`OpenMode::Replace`] any other is too; the
/// caller has made sure that nobody uses it.
///
/// # Errors
/// [`Error::Exists`] when there is a file and `mode` does not replace it, [`Error::Missing`] when
/// `mode` does not create, [`Error::Full`], [`Error::Io`].
pub fn create(
    storage: &dyn Storage,
    name: &str,
    file_mode: u32,
    mode: OpenMode,
) -> Result<Arc<dyn File>> {
    let label: Arc<str> = storage.display(name).into();
    match mode {
        OpenMode::ReadOnly | OpenMode::Existing => {
            return Err(Error::Missing { what: format!("database {label}") });
        }
        OpenMode::Create => refuse_existing(storage, name, &label)?,
        OpenMode::Replace => {}
    }
    let unguessable = random_number();
    let new_name = format!("{name}-new-{unguessable:016x}");
    let new_label: Arc<str> = storage.display(&new_name).into();
    let file = storage
        .open(&new_name, OpenHow::CreateNew { mode: file_mode })
        .map_err(|error| Error::io("create", &new_label, error))?;
    let named = fill(&*file, &new_label).and_then(|()| {
        storage.rename(&new_name, name).map_err(|error| Error::io("rename", &new_label, error))
    });
    if let Err(error) = named {
        // Best effort: the first error is the one to report.
        let _ = storage.remove(&new_name);
        return Err(error);
    }
    storage
        .sync_folder(SyncPoint::Folder)
        .map_err(|error| Error::io("sync the folder of", &label, error))?;
    Ok(file)
}

/// Only a missing or an empty file may be replaced unasked.
fn refuse_existing(storage: &dyn Storage, name: &str, label: &Arc<str>) -> Result<()> {
    let existing = match storage.open(name, OpenHow::ReadOnly) {
        Ok(existing) => existing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", label, error)),
    };
    match existing.len().map_err(|error| Error::io("measure", label, error))? {
        0 => Ok(()),
        _ => Err(Error::Exists { what: label.to_string() }),
    }
}

/// Writes the header and both superblocks of an empty database, and syncs them.
fn fill(file: &dyn File, label: &Arc<str>) -> Result<()> {
    let mut random_id = [0; 16];
    for half in random_id.chunks_exact_mut(8) {
        half.copy_from_slice(&random_number().to_le_bytes());
    }
    let id = DatabaseId(random_id);
    let superblock = Superblock {
        id,
        generation: Generation(1),
        end: FIRST_EXTENT,
        free_list: None,
        root: CheckpointRoot::default(),
    };
    let slot = superblock.encode();
    let mut content = FileHeader { id }.encode();
    for (offset, part) in [(Slot::A.offset(), &slot), (Slot::B.offset(), &slot)] {
        content.resize(offset as usize, 0);
        content.extend_from_slice(part);
    }
    content.resize(FIRST_EXTENT as usize, 0);
    file.write_all_at(&[IoSlice::new(&content)], 0)
        .map_err(|error| Error::io("write", label, error))?;
    file.sync_data(SyncPoint::Create).map_err(|error| Error::io("sync", label, error))
}

/// A number that nobody else comes up with. `RandomState` has its keys from the system, once per
/// thread; the process id and the time tell a process from what it forks.
fn random_number() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    hasher.write_u128(since_epoch.map_or(0, |time| time.as_nanos()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Blocks;
    use crate::block::testing::{Step, TestStorage};

    fn names(storage: &TestStorage) -> Vec<String> {
        storage.list("").unwrap()
    }

    #[test]
    fn create_leaves_one_file_that_opens() {
        let storage = TestStorage::default();
        let file = create(&storage, "spam", 0o666, OpenMode::Create).unwrap();
        assert_eq!(names(&storage), ["spam"]);
        let blocks = Blocks::open(file, "spam".into(), true, Arc::default()).unwrap();
        assert_eq!(blocks.superblock().root, CheckpointRoot::default());
        let again = create(&storage, "spam", 0o666, OpenMode::Replace).unwrap();
        let other = Blocks::open(again, "spam".into(), true, Arc::default()).unwrap();
        assert_ne!(blocks.id(), other.id());
    }

    #[test]
    fn create_syncs_the_content_before_it_gets_its_name() {
        let storage = TestStorage::default();
        create(&storage, "spam", 0o666, OpenMode::Create).unwrap();
        let kinds: Vec<_> = storage.steps().iter().map(Step::kind).collect();
        let expected = ["create", "write", "sync Create", "rename", "sync Folder"];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn create_replaces_what_it_may_and_nothing_else() {
        let storage = TestStorage::default();
        storage.put("empty", b"");
        storage.put("foreign", b"SQLite format 3\0");
        assert!(create(&storage, "empty", 0o666, OpenMode::Create).is_ok());
        let refused = create(&storage, "foreign", 0o666, OpenMode::Create);
        assert!(matches!(refused, Err(Error::Exists { .. })));
        let refused = create(&storage, "missing", 0o666, OpenMode::Existing);
        assert!(matches!(refused, Err(Error::Missing { .. })));
        assert!(create(&storage, "foreign", 0o666, OpenMode::Replace).is_ok());
        assert_eq!(names(&storage), ["empty", "foreign"]);
    }

    #[test]
    fn create_that_fails_leaves_what_was_there() {
        for step in 0..4 {
            let storage = TestStorage::default();
            storage.put("spam", b"precious");
            storage.fail_at(step, ErrorKind::StorageFull);
            assert!(create(&storage, "spam", 0o666, OpenMode::Replace).is_err(), "step {step}");
            assert_eq!(names(&storage), ["spam"], "step {step}");
            assert_eq!(storage.content("spam"), b"precious");
        }
    }
}
