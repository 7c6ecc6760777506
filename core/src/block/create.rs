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

/// What is behind a database's name in the one that its file has until it is whole; 16 digits follow.
const NEW: &str = "-new-";

/// A new, empty database that has no name yet: whole and durable, under an unguessable one.
/// Dropped without [`NewDatabase::give_name`], it is removed.
#[derive(Debug)]
pub struct NewDatabase<'s> {
    storage: &'s dyn Storage,
    name: String,
    new_name: String,
    file: Arc<dyn File>,
    named: bool,
}

/// Writes an empty database with permission bits `file_mode` into `storage`, to be named `name`,
/// and syncs it. A crash before [`NewDatabase::give_name`] leaves nothing under `name`.
///
/// # Errors
/// [`Error::Full`], [`Error::Io`]; nothing is left then.
pub fn prepare<'s>(
    storage: &'s dyn Storage,
    name: &str,
    file_mode: u32,
) -> Result<NewDatabase<'s>> {
    let new_name = format!("{name}{NEW}{:016x}", random_number());
    // The user's name for it: nobody has heard of the other.
    let label: Arc<str> = storage.display(name).into();
    let file = storage
        .open(&new_name, OpenHow::CreateNew { mode: file_mode })
        .map_err(|error| Error::io("create", &label, error))?;
    let name = name.to_owned();
    let new = NewDatabase { storage, name, new_name, file, named: false };
    fill(&*new.file, &label)?;
    Ok(new)
}

impl NewDatabase<'_> {
    /// Its file, open; the lock is handed over to it before it gets its name.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Puts it in place of whatever has its name. Durable after [`NewDatabase::sync_name`].
    ///
    /// # Errors
    /// [`Error::Io`]; what had the name keeps it then.
    pub fn give_name(&mut self) -> Result<()> {
        let label: Arc<str> = self.storage.display(&self.name).into();
        let renamed = self.storage.rename(&self.new_name, &self.name);
        renamed.map_err(|error| Error::io("give its name to", &label, error))?;
        self.named = true;
        Ok(())
    }

    /// Makes the name durable.
    ///
    /// # Errors
    /// [`Error::Io`]; after a crash the old file may be back then.
    pub fn sync_name(&self) -> Result<()> {
        let label: Arc<str> = self.storage.display(&self.name).into();
        let synced = self.storage.sync_folder(SyncPoint::Folder);
        synced.map_err(|error| Error::io("sync the folder of", &label, error))
    }
}

impl Drop for NewDatabase<'_> {
    fn drop(&mut self) {
        if !self.named {
            // Best effort: whoever drops it has an error to report already.
            let _ = self.storage.remove(&self.new_name);
        }
    }
}

/// Removes what a process left that was killed while it made a new database `name`: files of the names
/// that [`prepare`] gives, none longer than what it writes. The caller has `name` locked, so nobody is
/// at it.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_leftovers(storage: &dyn Storage, name: &str) -> Result<()> {
    let label: Arc<str> = storage.display(name).into();
    let prefix = format!("{name}{NEW}");
    let names = storage.list(&prefix).map_err(|error| Error::io("list", &label, error))?;
    for leftover in names {
        let digits = leftover.strip_prefix(&prefix).unwrap_or_default();
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 16 || !digits.bytes().all(is_digit) {
            continue;
        }
        // What cannot be opened or removed is somebody else's.
        let Ok(file) = storage.open(&leftover, OpenHow::ReadOnly) else { continue };
        if file.len().is_ok_and(|len_bytes| len_bytes <= FIRST_EXTENT) {
            let _ = storage.remove(&leftover);
        }
    }
    Ok(())
}

/// Creates an empty database `name` in `storage` with permission bits `file_mode`, and returns
/// its file, open and not locked: [`prepare`], [`NewDatabase::give_name`] and
/// [`NewDatabase::sync_name`] for callers that have nobody to lock out.
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
    let mut new = prepare(storage, name, file_mode)?;
    new.give_name()?;
    new.sync_name()?;
    Ok(Arc::clone(new.file()))
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
        names: None,
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
    fn leftovers_of_a_killed_creation_are_removed_and_nothing_else() {
        let storage = TestStorage::default();
        storage.put("spam-new-2123456789abcdef", &[0; FIRST_EXTENT as usize]);
        let big = vec![0; FIRST_EXTENT as usize + 1];
        let others = ["spam-new-0123", "spam-new-0123456789ABCDEF", "spam-newer", "spammer"];
        for name in others {
            storage.put(name, b"precious");
        }
        storage.put("spam-new-0123456789abcdef", &big);
        storage.put("spam-new-1123456789abcdef", b"");
        assert_eq!(names(&storage).len(), 7);
        remove_leftovers(&storage, "spam").unwrap();
        let mut left = names(&storage);
        left.sort();
        let mut expected = others.to_vec();
        expected.push("spam-new-0123456789abcdef");
        expected.sort_unstable();
        assert_eq!(left, expected);
    }

    #[test]
    fn create_that_fails_names_the_file_that_was_asked_for() {
        for step in 0..4 {
            let storage = TestStorage::default();
            storage.fail_at(step, ErrorKind::PermissionDenied);
            let error = create(&storage, "spam", 0o666, OpenMode::Create).unwrap_err();
            assert!(!error.to_string().contains("-new-"), "{error}");
        }
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
