//! The first failure sticks, and what should not stick does not.

use std::time::Duration;

use super::*;
use crate::io::memory::{CallKind, Fault, MemoryStorage};

const NEW: OpenHow = OpenHow::CreateNew { mode: 0o600 };

/// A sticky storage over a memory with two files, and the first of them open.
fn setup() -> (MemoryStorage, StickyStorage, Arc<dyn File>) {
    let memory = MemoryStorage::new();
    memory.plant("spam", &[1; 8192]);
    memory.plant("eggs", &[2; 8192]);
    let failure = Arc::new(Failure::new());
    let storage = StickyStorage::new(Arc::new(memory.clone()), failure);
    let file = storage.open("spam", OpenHow::Existing).unwrap();
    (memory, storage, file)
}

fn write(file: &dyn File) -> io::Result<()> {
    file.write_all_at(&[IoSlice::new(b"ham")], 0)
}

/// Everything that changes or syncs is refused with the first failure and leaves the disk alone;
/// reads go on.
fn check_read_only(memory: &MemoryStorage, storage: &StickyStorage, file: &dyn File) {
    memory.heal();
    let changing = [
        CallKind::Write,
        CallKind::SyncData,
        CallKind::SyncFolder,
        CallKind::SetLen,
        CallKind::Allocate,
        CallKind::Map,
        CallKind::Rename,
        CallKind::Remove,
    ];
    let before = changing.map(|kind| memory.calls_of(kind));
    let other = storage.open("eggs", OpenHow::Existing).unwrap();
    let results = [
        write(file),
        write(&*other),
        other.sync_data(SyncPoint::Commit),
        file.sync_data(SyncPoint::Commit),
        storage.sync_folder(SyncPoint::Folder),
        other.set_len(10),
        other.allocate(0, 10_000),
        other.map(0, 4096).map(drop),
        storage.rename("eggs", "ham"),
        storage.remove("eggs"),
        storage.open("new", NEW).map(drop),
    ];
    for (nth, result) in results.into_iter().enumerate() {
        let error = Error::io("write", &"any".into(), result.unwrap_err());
        let Error::Failed { first } = error else { panic!("call {nth}: {error}") };
        assert_eq!(first.to_string(), storage.failure().first().unwrap().to_string());
    }
    assert_eq!(changing.map(|kind| memory.calls_of(kind)), before, "nothing reaches the disk");
    assert_eq!(memory.names(), ["eggs", "spam"]);
    assert!(matches!(storage.failure().check(), Err(Error::Failed { .. })));

    let mut byte = [0];
    other.read_exact_at(&mut byte, 100).unwrap();
    assert_eq!((byte, other.len().unwrap()), ([2], 8192));
    assert_eq!(storage.list("").unwrap().len(), 2);
    assert!(other.try_lock(LockKind::Exclusive).unwrap());
    other.unlock().unwrap();
}

#[test]
fn failed_write_sticks() {
    for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
        let (memory, storage, file) = setup();
        memory.fail_nth(1, fault, false);
        let error = Error::io("write", &"any".into(), write(&*file).unwrap_err());
        let Error::Io { action: "write", file: name, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(&**name, "memory/spam");
        assert_eq!(storage.failure().first().unwrap().to_string(), error.to_string());
        check_read_only(&memory, &storage, &*file);
    }
}

#[test]
fn failed_sync_sticks_and_is_never_retried() {
    let (memory, storage, file) = setup();
    write(&*file).unwrap();
    memory.fail_nth_of(&[CallKind::SyncData], 1, Fault::Eio, false);
    assert!(file.sync_data(SyncPoint::CheckpointData).is_err());
    check_read_only(&memory, &storage, &*file);

    let (memory, storage, file) = setup();
    memory.fail_nth_of(&[CallKind::SyncFolder], 1, Fault::Eio, false);
    assert!(storage.sync_folder(SyncPoint::Folder).is_err());
    check_read_only(&memory, &storage, &*file);
}

#[test]
fn failed_length_or_map_sticks_unless_space_ran_out() {
    let calls: [fn(&dyn File) -> io::Result<()>; 3] =
        [|file| file.set_len(3), |file| file.allocate(0, 1 << 20), |file| file.map(0, 8).map(drop)];
    for call in calls {
        let (memory, storage, file) = setup();
        memory.fail_nth(1, Fault::Eio, false);
        assert!(call(&*file).is_err());
        check_read_only(&memory, &storage, &*file);
    }
    for call in &calls[..2] {
        let (memory, storage, file) = setup();
        memory.fail_nth(1, Fault::Enospc, false);
        let error = Error::io("extend", &"any".into(), call(&*file).unwrap_err());
        assert!(matches!(error, Error::Full { .. }), "{error}");
        storage.failure().check().unwrap();
        call(&*file).unwrap();
        write(&*file).unwrap();
    }
}

#[test]
fn unsupported_map_does_not_stick() {
    let (memory, storage, file) = setup();
    memory.refuse_maps(true);
    assert_eq!(file.map(0, 8).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(storage.failure().first().is_none());
    write(&*file).unwrap();
}

#[test]
fn failed_read_rename_remove_and_open_do_not_stick() {
    let (memory, storage, file) = setup();
    memory.fail_nth(1, Fault::Eio, false);
    assert!(file.read_exact_at(&mut [0; 3], 0).is_err());
    assert!(file.read_exact_at(&mut [0; 3], 8190).is_err());
    assert!(storage.rename("no", "where").is_err());
    assert!(storage.remove("nothing").is_err());
    assert!(storage.open("spam", NEW).is_err());
    storage.failure().check().unwrap();
}

#[test]
fn latch_keeps_the_first_from_anyone() {
    let (memory, storage, file) = setup();
    let failure = storage.failure();
    let died = |why: &str| Error::Poisoned { why: why.into() };
    assert!(failure.latch(died("first")).to_string().contains("first"));
    assert!(failure.latch(died("second")).to_string().contains("first"));
    failure.latch(failure.check().unwrap_err());
    assert!(matches!(failure.first(), Some(Error::Poisoned { .. })));
    check_read_only(&memory, &storage, &*file);
}

/// A disk that reports a lost page to the first sync only, as Linux does, while a second sync is
/// already waiting.
#[derive(Debug)]
struct ForgetfulDisk {
    inner: Arc<dyn File>,
    failing: std::sync::Barrier,
    syncs: crate::base::stats::Counter,
}

impl File for ForgetfulDisk {
    fn sync_data(&self, _point: SyncPoint) -> io::Result<()> {
        self.syncs.bump();
        if self.syncs.get() > 1 {
            return Ok(());
        }
        self.failing.wait();
        // The other sync has time to overtake us, if anything lets it.
        std::thread::park_timeout(Duration::from_millis(20));
        Err(io::Error::from_raw_os_error(libc::EIO))
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, parts: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.inner.write_all_at(parts, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.inner.set_len(len_bytes)
    }
    fn allocate(&self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.inner.allocate(offset, len_bytes)
    }
    fn map(&self, offset: u64, len_bytes: usize) -> io::Result<Box<dyn MappedRange>> {
        self.inner.map(offset, len_bytes)
    }
    fn identity(&self) -> io::Result<FileIdentity> {
        self.inner.identity()
    }
    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.inner.try_lock(kind)
    }
    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }
}

#[test]
fn sync_beside_a_failing_one_fails_too() {
    let (_memory, storage, _) = setup();
    let inner = MemoryStorage::new().open("x", NEW).unwrap();
    let disk = Arc::new(ForgetfulDisk {
        inner,
        failing: std::sync::Barrier::new(2),
        syncs: Default::default(),
    });
    let file = storage.wrap("x", Arc::clone(&disk) as Arc<dyn File>);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| file.sync_data(SyncPoint::Commit));
        disk.failing.wait();
        assert!(file.sync_data(SyncPoint::Commit).is_err(), "the lost page was hidden");
        assert!(first.join().unwrap().is_err());
    });
    assert_eq!(disk.syncs.get(), 1);
}
