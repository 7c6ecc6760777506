//! The lock within one process. What needs another process is in `fork_tests.rs`.

use tempfile::TempDir;

use super::*;
use crate::io::memory::MemoryStorage;
use crate::io::real::RealStorage;

fn request(kind: LockKind) -> LockRequest<'static> {
    LockRequest { name: "spam", kind, create_mode: None, timeout: Duration::ZERO }
}

const WRITER: LockKind = LockKind::Exclusive;
const READER: LockKind = LockKind::Shared;

/// A folder of real files and one in memory, each with an empty database.
fn storages() -> (TempDir, [Arc<dyn Storage>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let real = RealStorage::new(folder.path().to_owned());
    let storages: [Arc<dyn Storage>; 2] = [Arc::new(real), Arc::new(MemoryStorage::new())];
    for storage in &storages {
        storage.open("spam", OpenHow::CreateNew { mode: 0o600 }).unwrap();
    }
    (folder, storages)
}

fn holder_of(result: Result<DatabaseLock>) -> String {
    match result {
        Err(Error::Busy { holder, .. }) => holder,
        other => panic!("{other:?}"),
    }
}

#[test]
fn second_writer_in_this_process_is_refused_at_once() {
    for storage in storages().1 {
        let patient = LockRequest { timeout: Duration::from_secs(30), ..request(WRITER) };
        let first = DatabaseLock::take(&storage, &request(WRITER)).unwrap();
        assert_eq!(holder_of(DatabaseLock::take(&storage, &patient)), "this process");
        // The refused one took nothing away.
        assert_eq!(holder_of(DatabaseLock::take(&storage, &patient)), "this process");
        let bare = storage.open("spam", OpenHow::Existing).unwrap();
        assert!(!bare.try_lock(WRITER).unwrap());
        drop(first);
        assert!(bare.try_lock(WRITER).unwrap());
        bare.unlock().unwrap();
        DatabaseLock::take(&storage, &patient).unwrap();
    }
}

#[test]
fn two_databases_do_not_exclude_each_other() {
    let (_folder, storages) = storages();
    let locks = storages.map(|storage| DatabaseLock::take(&storage, &request(WRITER)).unwrap());
    assert_ne!(locks[0].file().identity().unwrap(), locks[1].file().identity().unwrap());
}

#[test]
fn readers_open_beside_a_writer_and_create_nothing() {
    for storage in storages().1 {
        let reader = DatabaseLock::take(&storage, &request(READER)).unwrap();
        assert_eq!(storage.list("").unwrap(), ["spam"]);
        let writer = DatabaseLock::take(&storage, &request(WRITER)).unwrap();
        let another = DatabaseLock::take(&storage, &request(READER)).unwrap();
        assert_eq!(writer.readers_here(), 2);
        assert!(writer.file().is_pinned(Default::default()).unwrap());
        reader.release().unwrap();
        drop(another);
        assert!(!writer.file().is_pinned(Default::default()).unwrap());
        assert_eq!(writer.readers_here(), 0);
    }
}

#[test]
fn missing_database_is_created_only_on_request() {
    for storage in storages().1 {
        let missing = LockRequest { name: "eggs", ..request(WRITER) };
        assert!(matches!(DatabaseLock::take(&storage, &missing), Err(Error::Io { .. })));
        let create = LockRequest { create_mode: Some(0o600), ..missing };
        let lock = DatabaseLock::take(&storage, &create).unwrap();
        assert_eq!(lock.file().len().unwrap(), 0);
        assert_eq!(holder_of(DatabaseLock::take(&storage, &create)), "this process");
    }
}

#[test]
fn name_file_names_the_holder_until_it_is_released() {
    for storage in storages().1 {
        let lock = DatabaseLock::take(&storage, &request(WRITER)).unwrap();
        let pid = std::process::id();
        assert_eq!(holder(&*storage, "spam"), format!("process {pid}"));
        drop(lock);
        assert_eq!(storage.list("spam-").unwrap(), ["spam-lock"], "as a crash leaves it");
        DatabaseLock::take(&storage, &request(WRITER)).unwrap().release().unwrap();
        assert!(storage.list("spam-").unwrap().is_empty());
        assert_eq!(holder(&*storage, "spam"), "another process");
    }
}

#[test]
fn name_file_is_never_written_through_a_planted_link() {
    let (folder, [storage, _]) = storages();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("spam-lock")).unwrap();
    let lock = DatabaseLock::take(&storage, &request(WRITER)).unwrap();
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    let name_file = std::fs::symlink_metadata(folder.path().join("spam-lock")).unwrap();
    assert!(name_file.is_file());
    lock.release().unwrap();
    assert!(victim.exists());
}

#[test]
fn name_file_of_nonsense_names_nobody() {
    let memory = MemoryStorage::new();
    for bytes in [&b""[..], b"\xff\xfe", b"-3", b"12 rm", &[b'9'; 5000]] {
        memory.plant("spam-lock", bytes);
        assert_eq!(holder(&memory, "spam"), "another process");
    }
    memory.plant("spam-lock", b"4711\n");
    assert_eq!(holder(&memory, "spam"), "process 4711");
}

#[test]
fn handed_over_lock_covers_the_new_file() {
    for storage in storages().1 {
        let mut lock = DatabaseLock::take(&storage, &request(WRITER)).unwrap();
        let old = lock.file().identity().unwrap();
        let new = storage.open("spam-new", OpenHow::CreateNew { mode: 0o600 }).unwrap();
        lock.hand_over(Arc::clone(&new), || Err(Error::invalid("no"))).unwrap_err();
        assert_eq!(lock.file().identity().unwrap(), old);
        let probe = storage.open("spam-new", OpenHow::Existing).unwrap();
        assert!(probe.try_lock(WRITER).unwrap(), "the new file stayed locked");
        probe.unlock().unwrap();
        let rename = || storage.rename("spam-new", "spam").map_err(|_| Error::conflict());
        lock.hand_over(Arc::clone(&new), rename).unwrap();
        assert_eq!(lock.file().identity().unwrap(), new.identity().unwrap());
        assert_eq!(holder_of(DatabaseLock::take(&storage, &request(WRITER))), "this process");
        let bare = storage.open("spam", OpenHow::Existing).unwrap();
        assert!(!bare.try_lock(WRITER).unwrap());
        lock.release().unwrap();
        assert!(bare.try_lock(WRITER).unwrap());
    }
}

/// A storage in which another process puts a new file in the database's place after the first
/// open.
#[derive(Debug)]
struct Replacing {
    inner: MemoryStorage,
    opens: crate::base::stats::Counter,
}

impl Storage for Replacing {
    fn open(&self, name: &str, how: OpenHow) -> io::Result<Arc<dyn File>> {
        let file = self.inner.open(name, how);
        self.opens.bump();
        if self.opens.get() == 1 {
            self.inner.plant("spam", b"the new one");
        }
        file
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.inner.list(prefix)
    }
    fn sync_folder(&self, point: crate::io::SyncPoint) -> io::Result<()> {
        self.inner.sync_folder(point)
    }
    fn display(&self, name: &str) -> String {
        self.inner.display(name)
    }
}

#[test]
fn file_replaced_before_it_was_locked_is_given_up() {
    let inner = MemoryStorage::new();
    inner.plant("spam", b"old");
    let storage: Arc<dyn Storage> = Arc::new(Replacing { inner, opens: Default::default() });
    let patient = LockRequest { timeout: Duration::from_secs(60), ..request(WRITER) };
    let lock = DatabaseLock::take(&storage, &patient).unwrap();
    assert_eq!(lock.file().len().unwrap(), b"the new one".len() as u64);
}

#[test]
fn lock_lets_go_after_any_failed_call() {
    for nth in 1.. {
        let memory = MemoryStorage::new();
        memory.plant("spam", b"x");
        memory.fail_nth(nth, crate::io::memory::Fault::Eio, false);
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let first = DatabaseLock::take(&storage, &request(WRITER));
        let failed = first.is_err();
        let hit = memory.faults_hit() > 0;
        assert!(!failed || hit);
        drop(first);
        DatabaseLock::take(&storage, &request(WRITER)).unwrap().release().unwrap();
        if !hit {
            break;
        }
    }
}
