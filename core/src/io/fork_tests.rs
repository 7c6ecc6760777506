//! The lock among processes, and what a forked child may do.
//!
//! A forked child of a test has one thread and a copy of the test's memory. It only takes and
//! drops locks, says what it found through its exit code, and leaves without running anything
//! else of the harness.

use std::fs;
use std::io::{IoSlice, Read, Write, pipe};
use std::sync::Arc;
use std::time::Duration;

use super::fork::{self, ForkGuard};
use super::lock::{DatabaseLock, LockRequest};
use super::real::RealStorage;
use super::{LockKind, OpenHow, Storage};
use crate::base::error::Error;

/// A forked process.
struct Child(libc::pid_t);

impl Child {
    /// Runs `body` in a forked child, whose exit code is what it returns: 0 is good.
    fn run(body: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child runs `body` and leaves. Other threads of the harness may have held
        // locks; `body` needs none of theirs but the allocator's, which the C library makes
        // usable in the child.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: asks for a signal that ends the child: none outlives a failed test.
                unsafe { libc::alarm(90) };
                let body = std::panic::AssertUnwindSafe(body);
                let code = std::panic::catch_unwind(body).unwrap_or(101);
                // SAFETY: ends the process.
                unsafe { libc::_exit(code) }
            }
            pid => {
                assert!(pid > 0, "fork failed");
                Self(pid)
            }
        }
    }

    /// Waits for its end; its exit code, or minus the signal that ended it.
    fn wait(mut self) -> i32 {
        self.reap()
    }

    fn kill(mut self) {
        self.signal();
        assert_eq!(self.reap(), -libc::SIGKILL);
    }

    fn signal(&self) {
        // SAFETY: sends a signal to our own child, not waited for yet.
        assert_eq!(unsafe { libc::kill(self.0, libc::SIGKILL) }, 0);
    }

    fn reap(&mut self) -> i32 {
        let pid = std::mem::take(&mut self.0);
        let mut status = 0;
        // SAFETY: waits for our own child, writes into `status`.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.0 != 0 {
            self.signal();
            self.reap();
        }
    }
}

fn database() -> (tempfile::TempDir, Arc<dyn Storage>) {
    let folder = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(RealStorage::new(folder.path().to_owned()));
    storage.open("spam", OpenHow::CreateNew { mode: 0o600 }).unwrap();
    (folder, storage)
}

fn take(storage: &Arc<dyn Storage>, timeout: Duration) -> Result<DatabaseLock, Error> {
    let kind = LockKind::Exclusive;
    DatabaseLock::take(storage, &LockRequest { name: "spam", kind, create_mode: None, timeout })
}

fn is_busy(result: &Result<DatabaseLock, Error>, pid: u32) -> bool {
    matches!(result, Err(Error::Busy { holder, .. }) if *holder == format!("process {pid}"))
}

/// A child that holds the lock and writes a byte when it has it; it lives until killed.
fn holder(storage: &Arc<dyn Storage>) -> Child {
    let (mut ready, mut says) = pipe().unwrap();
    let child = Child::run(|| {
        let lock = take(storage, Duration::ZERO);
        says.write_all(&[u8::from(lock.is_ok())]).unwrap();
        loop {
            std::thread::park();
        }
    });
    let mut byte = [0];
    ready.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [1]);
    child
}

#[test]
fn lock_of_another_process_names_it_and_ends_with_it() {
    let (_folder, storage) = database();
    let child = holder(&storage);
    let refused = take(&storage, Duration::ZERO);
    assert!(is_busy(&refused, child.0 as u32), "{refused:?}");
    // One thread waits while the holder is killed.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| take(&storage, Duration::from_secs(60)));
        child.kill();
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn failed_second_open_leaves_the_lock_alone() {
    let (_folder, storage) = database();
    let lock = take(&storage, Duration::ZERO).unwrap();
    assert!(take(&storage, Duration::ZERO).is_err());
    drop(storage.open("spam", OpenHow::Existing).unwrap());
    let us = std::process::id();
    let child = Child::run(|| i32::from(!is_busy(&take(&storage, Duration::ZERO), us)));
    assert_eq!(child.wait(), 0, "another process got in");
    lock.release().unwrap();
    assert_eq!(Child::run(|| i32::from(take(&storage, Duration::ZERO).is_err())).wait(), 0);
}

#[test]
fn child_is_refused_the_parents_handles() {
    let guard = ForkGuard::new().unwrap();
    let generation = fork::generation();
    guard.check("the shelf").unwrap();
    let child = Child::run(|| {
        let refused = matches!(guard.check("the shelf"), Err(Error::Closed { what: "the shelf" }));
        let fresh = ForkGuard::new().unwrap();
        let grandchild = Child::run(|| i32::from(fresh.check("x").is_ok()));
        i32::from(!refused || fork::generation() == generation || !fresh.is_ours())
            + grandchild.wait()
    });
    assert_eq!(child.wait(), 0);
    guard.check("the shelf").unwrap();
}

#[test]
fn child_does_not_keep_its_parents_lock_alive() {
    let (_folder, storage) = database();
    let (mut ready, says) = pipe().unwrap();
    let (waits, go) = pipe().unwrap();
    let mut go = Some(go);
    // The middle process takes the lock, forks, and dies without a word.
    let middle = Child::run(|| {
        let lock = take(&storage, Duration::ZERO).unwrap();
        let grandchild = Child::run(|| {
            drop(go.take());
            (&says).write_all(b"!").unwrap();
            // Lives until the test lets go of its end of the pipe.
            i32::from((&waits).read_to_end(&mut Vec::new()).is_err())
        });
        let _kept = std::mem::ManuallyDrop::new((lock, grandchild));
        0
    });
    drop((says, waits));
    ready.read_exact(&mut [0]).unwrap();
    assert_eq!(middle.wait(), 0);
    take(&storage, Duration::ZERO).expect("the grandchild keeps the lock of the dead");
    drop(go);
}

#[test]
fn child_that_drops_the_parents_lock_changes_nothing() {
    let (folder, storage) = database();
    let mut lock = Some(take(&storage, Duration::ZERO).unwrap());
    let us = std::process::id();
    let child = Child::run(|| {
        let inherited = lock.take().unwrap();
        // The descriptor leads nowhere now.
        let cut_off = inherited.file().read_exact_at(&mut [0], 0).is_err()
            && inherited.file().write_all_at(&[IoSlice::new(b"x")], 0).is_err();
        inherited.release().unwrap();
        let still_held = is_busy(&take(&storage, Duration::ZERO), us);
        i32::from(!cut_off) + 2 * i32::from(!still_held)
    });
    assert_eq!(child.wait(), 0);
    assert!(folder.path().join("spam-lock").exists());
    let again = Child::run(|| i32::from(!is_busy(&take(&storage, Duration::ZERO), us)));
    assert_eq!(again.wait(), 0);
    assert_eq!(fs::metadata(folder.path().join("spam")).unwrap().len(), 0);
    drop(lock);
}

#[test]
fn child_does_not_inherit_maps() {
    let (folder, storage) = database();
    let file = storage.open("spam", OpenHow::Existing).unwrap();
    file.allocate(0, 4096).unwrap();
    let mut map = Some(file.map(0, 4096).unwrap());
    let path = folder.path().join("spam").display().to_string();
    let is_mapped = || fs::read_to_string("/proc/self/maps").unwrap().contains(&path);
    assert!(is_mapped());
    let child = Child::run(|| {
        let inherited = is_mapped();
        // Unmapping would take away what lies there now.
        drop(map.take());
        i32::from(inherited)
    });
    assert_eq!(child.wait(), 0);
    map.unwrap().copy_at(0, b"parent");
    let mut bytes = [0; 6];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"parent");
}
