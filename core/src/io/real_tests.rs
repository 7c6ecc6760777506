//! Real files do what they say, and what the in-memory ones do.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::io::memory::MemoryStorage;

const NEW: OpenHow = OpenHow::CreateNew { mode: 0o600 };

fn folder() -> (TempDir, RealStorage) {
    let folder = tempfile::tempdir().unwrap();
    let storage = RealStorage::new(folder.path().to_owned());
    (folder, storage)
}

fn bytes_of(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn write_takes_more_parts_than_one_call_does() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    let bytes: Vec<u8> = (0..5000_u32).map(|index| index as u8).collect();
    let parts: Vec<IoSlice<'_>> = bytes.chunks(2).map(IoSlice::new).collect();
    file.write_all_at(&parts, 7).unwrap();
    assert_eq!(bytes_of(&*file)[7..], bytes);
}

#[test]
fn write_goes_on_after_short_and_interrupted_calls() {
    let bytes: Vec<u8> = (0..100).collect();
    let mut parts: Vec<IoSlice<'_>> = bytes.chunks(9).map(IoSlice::new).collect();
    parts.insert(0, IoSlice::new(&[]));
    let mut written = Vec::new();
    let mut calls = 0;
    write_parts(&parts, 50, |parts, offset| {
        assert_eq!(offset, 50 + written.len() as u64);
        calls += 1;
        if calls % 3 == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        let all: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        let count = all.len().min(calls);
        written.extend_from_slice(&all[..count]);
        Ok(count)
    })
    .unwrap();
    assert_eq!(written, bytes);
    assert_eq!(kind(write_parts(&parts, 0, |_, _| Ok(0))), ErrorKind::WriteZero);
}

#[test]
fn read_past_the_end_is_unexpected_eof() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    file.write_all_at(&[IoSlice::new(b"ham")], 0).unwrap();
    assert_eq!(kind(file.read_exact_at(&mut [0; 4], 0)), ErrorKind::UnexpectedEof);
    assert!(file.read_exact_at(&mut [0; 3], u64::MAX).is_err());
}

#[test]
fn create_new_never_follows_a_link() {
    let (folder, storage) = folder();
    std::os::unix::fs::symlink("elsewhere", folder.path().join("spam")).unwrap();
    assert_eq!(kind(storage.open("spam", NEW)), ErrorKind::AlreadyExists);
    assert!(!folder.path().join("elsewhere").exists());
    drop(storage.open("elsewhere", NEW).unwrap());
    let through = storage.open("spam", OpenHow::Existing).unwrap();
    let direct = storage.open("elsewhere", OpenHow::ReadOnly).unwrap();
    assert_eq!(through.identity().unwrap(), direct.identity().unwrap());
}

#[test]
fn open_refuses_what_is_no_plain_file() {
    let (folder, storage) = folder();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for how in [OpenHow::ReadOnly, OpenHow::Existing] {
        assert!(storage.open("sub", how).is_err());
        assert!(RealStorage::new("/dev".into()).open("null", how).is_err());
        for name in ["", ".", "..", "sub/spam", "/etc/passwd", "a\0b"] {
            assert_eq!(kind(storage.open(name, how)), ErrorKind::InvalidInput, "{name:?}");
        }
    }
}

#[test]
fn locate_leads_every_path_to_one_name() {
    let (folder, _) = folder();
    let home = fs::canonicalize(folder.path()).unwrap();
    fs::create_dir(home.join("data")).unwrap();
    std::os::unix::fs::symlink("data/spam", home.join("link")).unwrap();
    std::os::unix::fs::symlink(home.join("link"), home.join("data/again")).unwrap();
    for path in ["data/spam", "link", "data/again", "data/../link"] {
        let (storage, name) = RealStorage::locate(&home.join(path)).unwrap();
        assert_eq!((storage.folder(), &*name), (&*home.join("data"), "spam"), "{path}");
    }
    std::os::unix::fs::symlink("loop", home.join("loop")).unwrap();
    assert!(RealStorage::locate(&home.join("loop")).is_err());
    assert_eq!(kind(RealStorage::locate(&home.join("nowhere/spam"))), ErrorKind::NotFound);
}

#[test]
fn quota_reads_as_a_full_disk() {
    let quota = Error::from_raw_os_error(libc::EDQUOT);
    assert_eq!(full(quota).kind(), ErrorKind::StorageFull);
    let space = Error::from_raw_os_error(libc::ENOSPC);
    assert_eq!(full(space).kind(), ErrorKind::StorageFull);
    assert_ne!(full(Error::from_raw_os_error(libc::EIO)).kind(), ErrorKind::StorageFull);
}

#[test]
fn fill_extends_and_leaves_content_alone() {
    let (folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    file.write_all_at(&[IoSlice::new(b"ham")], 0).unwrap();
    let real = fs::File::options().write(true).open(folder.path().join("spam")).unwrap();
    fill_to(&real, 100_000).unwrap();
    fill_to(&real, 2).unwrap();
    let bytes = bytes_of(&*file);
    assert_eq!((bytes.len(), &bytes[..4]), (100_000, &b"ham\0"[..]));
}

#[test]
fn map_copies_at_every_alignment() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    let mut model = vec![0xee; 9000];
    file.write_all_at(&[IoSlice::new(&model)], 0).unwrap();
    for start in [0, 3, 8, 4093] {
        let map = file.map(start as u64, 4800).unwrap();
        let mut at = 0;
        for (nth, len) in (0..40).chain([1000, 63, 0]).enumerate() {
            let bytes: Vec<u8> = (0..len).map(|index| (index * 7 + nth + start) as u8).collect();
            map.copy_at(at, &bytes);
            model[start + at..start + at + len].copy_from_slice(&bytes);
            at += len + nth % 3;
        }
        map.copy_at(4800 - 5, b"the e");
        model[start + 4795..start + 4800].copy_from_slice(b"the e");
        assert!(bytes_of(&*file) == model, "map at {start}");
    }
    file.sync_data(SyncPoint::Commit).unwrap();
}

#[test]
fn map_copies_of_threads_do_not_disturb_each_other() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    file.allocate(0, 3000).unwrap();
    let map = file.map(1, 2998).unwrap();
    // Each thread writes every fourth byte, so that all of them share every word.
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let map = &map;
            scope.spawn(move || {
                for at in (usize::from(thread)..2998).step_by(4) {
                    map.copy_at(at, &[thread + 1]);
                }
            });
        }
    });
    let expected: Vec<u8> = (0..2998).map(|at| (at % 4) as u8 + 1).collect();
    assert!(bytes_of(&*file)[1..2999] == expected);
}

/// The log's commits are copied into its map, and written by calls where a sync follows.
#[test]
fn writes_lie_between_map_copies() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    file.allocate(0, 96_000).unwrap();
    let map = file.map(8, 95_992).unwrap();
    let lines = |first: u64| (first..96_000 / 24).step_by(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in lines(1) {
                map.copy_at((line * 24 - 8) as usize, &[1; 24]);
            }
        });
        for line in lines(0) {
            file.write_all_at(&[IoSlice::new(&[2; 24])], line * 24).unwrap();
            if line % 1000 == 0 {
                file.sync_data(SyncPoint::Commit).unwrap();
            }
        }
    });
    let expected: Vec<u8> = (0..96_000).map(|at| 2 - (at / 24 % 2) as u8).collect();
    assert!(bytes_of(&*file) == expected);
}

#[test]
fn map_refuses_what_is_not_in_the_file() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    file.write_all_at(&[IoSlice::new(&[1; 100])], 0).unwrap();
    for (offset, len) in [(0, 101), (100, 1), (0, 0), (u64::MAX - 3, 4), (u64::MAX, 2)] {
        assert_eq!(kind(file.map(offset, len)), ErrorKind::InvalidInput, "{offset} {len}");
    }
    let read_only = storage.open("spam", OpenHow::ReadOnly).unwrap();
    assert_eq!(kind(read_only.map(0, 100)), ErrorKind::Unsupported);
}

#[test]
#[should_panic(expected = "beyond the mapped range")]
fn map_panics_on_a_copy_that_does_not_fit() {
    let (_folder, storage) = folder();
    let file = storage.open("spam", NEW).unwrap();
    file.write_all_at(&[IoSlice::new(&[1; 100])], 0).unwrap();
    file.map(0, 50).unwrap().copy_at(48, b"ham");
}

#[test]
fn lock_excludes_writers_and_shows_readers() {
    let (_folder, storage) = folder();
    let writer = storage.open("spam", NEW).unwrap();
    let second = storage.open("spam", OpenHow::Existing).unwrap();
    let reader = storage.open("spam", OpenHow::ReadOnly).unwrap();
    assert!(writer.try_lock(LockKind::Exclusive).unwrap());
    assert!(!second.try_lock(LockKind::Exclusive).unwrap());
    // Neither the failed try nor its file's end lets the first one's lock go.
    drop(second);
    let third = storage.open("spam", OpenHow::Existing).unwrap();
    assert!(!third.try_lock(LockKind::Exclusive).unwrap());

    assert!(!writer.is_pinned(Generation(9)).unwrap());
    assert!(reader.try_lock(LockKind::Shared).unwrap());
    assert!(writer.is_pinned(Generation(0)).unwrap());
    reader.pin_generation(Generation(5)).unwrap();
    assert!(!writer.is_pinned(Generation(4)).unwrap());
    assert!(writer.is_pinned(Generation(5)).unwrap());
    assert!(!reader.is_pinned(Generation(9)).unwrap(), "its own pin is no one else's");
    drop(reader);
    assert!(!writer.is_pinned(Generation(9)).unwrap());

    writer.unlock().unwrap();
    assert!(third.try_lock(LockKind::Exclusive).unwrap());
    assert!(third.pin_generation(Generation(1)).is_err());
}

/// One call on one of a few names, or on one of the files opened so far.
#[derive(Clone, Debug)]
enum Call {
    Open(u8, u8),
    Rename(u8, u8),
    Remove(u8),
    Close(u8),
    Write(u8, u64, Vec<Vec<u8>>),
    Read(u8, u64, usize),
    SetLen(u8, u64),
    Allocate(u8, u64, u64),
    Copy(u8, u64, usize, usize, Vec<u8>),
    Lock(u8, bool),
    Unlock(u8),
    Pin(u8, u64),
    IsPinned(u8, u64),
    Sync(u8),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..600);
    let at = || prop_oneof![0..2000_u64, 4000..4200_u64, 9000..20_000_u64];
    let file = any::<u8>;
    let call = prop_oneof![
        4 => (0..3_u8, 0..3_u8).prop_map(|(name, how)| Call::Open(name, how)),
        1 => (0..3_u8, 0..3_u8).prop_map(|(from, to)| Call::Rename(from, to)),
        1 => (0..3_u8).prop_map(Call::Remove),
        1 => file().prop_map(Call::Close),
        6 => (file(), at(), prop::collection::vec(bytes(), 0..4))
            .prop_map(|(file, at, parts)| Call::Write(file, at, parts)),
        3 => (file(), at(), 0..5000_usize).prop_map(|(file, at, len)| Call::Read(file, at, len)),
        2 => (file(), at()).prop_map(|(file, len)| Call::SetLen(file, len)),
        2 => (file(), at(), at()).prop_map(|(file, at, len)| Call::Allocate(file, at, len)),
        4 => (file(), at(), 0..4000_usize, 0..4000_usize, bytes())
            .prop_map(|(file, at, len, within, bytes)| Call::Copy(file, at, len, within, bytes)),
        2 => (file(), any::<bool>()).prop_map(|(file, shared)| Call::Lock(file, shared)),
        1 => file().prop_map(Call::Unlock),
        1 => (file(), 0..4_u64).prop_map(|(file, generation)| Call::Pin(file, generation)),
        2 => (file(), 0..4_u64).prop_map(|(file, through)| Call::IsPinned(file, through)),
        1 => file().prop_map(Call::Sync),
    ];
    prop::collection::vec(call, 1..60)
}

/// Makes `call` and says what came of it, in words that do not depend on the storage.
fn make(storage: &dyn Storage, files: &mut Vec<Arc<dyn File>>, call: &Call) -> String {
    fn told<T: fmt::Debug>(result: Result<T>) -> String {
        format!("{:?}", result.map_err(|error| error.kind()))
    }
    let name = |number: &u8| format!("file-{number}");
    let nth = |number: &u8| files.get(usize::from(*number) % files.len().max(1)).cloned();
    let on = |number: &u8, act: &dyn Fn(&dyn File) -> String| {
        nth(number).map_or_else(String::new, |file| act(&*file))
    };
    match call {
        Call::Open(number, how) => {
            let how = [NEW, OpenHow::Existing, OpenHow::ReadOnly][usize::from(*how)];
            let result = storage.open(&name(number), how);
            told(result.map(|file| files.push(file)))
        }
        Call::Rename(from, to) => told(storage.rename(&name(from), &name(to))),
        Call::Remove(number) => told(storage.remove(&name(number))),
        Call::Close(number) => {
            if !files.is_empty() {
                files.remove(usize::from(*number) % files.len());
            }
            String::new()
        }
        Call::Write(number, at, parts) => on(number, &|file| {
            let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            told(file.write_all_at(&parts, *at))
        }),
        Call::Read(number, at, len) => on(number, &|file| {
            let mut bytes = vec![0; *len];
            told(file.read_exact_at(&mut bytes, *at).map(|()| bytes))
        }),
        Call::SetLen(number, len) => on(number, &|file| told(file.set_len(*len))),
        Call::Allocate(number, at, len) => on(number, &|file| told(file.allocate(*at, *len))),
        Call::Copy(number, at, len, within, bytes) => on(number, &|file| {
            told(file.map(*at, *len).map(|map| {
                let within = within % len;
                map.copy_at(within, &bytes[..bytes.len().min(len - within)]);
            }))
        }),
        Call::Lock(number, true) => on(number, &|file| told(file.try_lock(LockKind::Shared))),
        Call::Lock(number, false) => on(number, &|file| told(file.try_lock(LockKind::Exclusive))),
        Call::Unlock(number) => on(number, &|file| told(file.unlock())),
        Call::Pin(number, generation) => {
            on(number, &|file| told(file.pin_generation(Generation(*generation))))
        }
        Call::IsPinned(number, through) => {
            on(number, &|file| told(file.is_pinned(Generation(*through))))
        }
        Call::Sync(number) => on(number, &|file| told(file.sync_data(SyncPoint::Background))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// The in-memory storage is the model: both say the same at every call, and leave the same.
    #[test]
    fn real_and_memory_agree(calls in calls()) {
        let (_folder, real) = folder();
        let memory = MemoryStorage::new();
        memory.record(true);
        let (mut real_files, mut memory_files) = (Vec::new(), Vec::new());
        for call in &calls {
            let really = make(&real, &mut real_files, call);
            let modelled = make(&memory, &mut memory_files, call);
            prop_assert_eq!(really, modelled, "{:?}", call);
        }
        for (real, memory) in real_files.iter().zip(&memory_files) {
            prop_assert_eq!(bytes_of(&**real), bytes_of(&**memory));
        }
        let mut names = real.list("file-").unwrap();
        names.sort();
        prop_assert_eq!(&names, &memory.names());
        let killed = memory.history().killed(usize::MAX);
        for name in &names {
            let bytes = bytes_of(&*real.open(name, OpenHow::ReadOnly).unwrap());
            prop_assert_eq!(Some(bytes.clone()), memory.peek(name));
            prop_assert_eq!(Some(bytes), killed.peek(name));
        }
        prop_assert_eq!(names, killed.names());
    }
}
