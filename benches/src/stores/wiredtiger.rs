//! WiredTiger through its C library.
//!
//! Tuned as its manual says: the cache's size, log on, a checkpoint every minute, up to four
//! eviction threads, sorted loads through a bulk cursor. The dirty triggers are raised so that a
//! transaction as large as the load fits. With sync a commit waits for the log; without
//! (`sync=off`, its default) it may still be in the process's log buffer, where a killed
//! process loses it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::{NonNull, null, null_mut};
use std::slice;
use std::sync::{Mutex, PoisonError};

use crate::store::{
    Access, Client, Commit, End, Engine, Feed, Outcome, Reader, Setup, Store, Visit, Writer,
};

/// WiredTiger under test.
pub const ENGINE: Engine = Engine { name: "wiredtiger", version, by_default: true, open };

#[repr(C)]
struct RawConnection(c_void);
#[repr(C)]
struct RawSession(c_void);
#[repr(C)]
struct RawCursor(c_void);

unsafe extern "C" {
    fn bench_open(
        home: *const c_char,
        config: *const c_char,
        table: *const c_char,
        connection: *mut *mut RawConnection,
    ) -> c_int;
    fn bench_close(connection: *mut RawConnection) -> c_int;
    fn bench_session(connection: *mut RawConnection, session: *mut *mut RawSession) -> c_int;
    fn bench_session_close(session: *mut RawSession) -> c_int;
    fn bench_cursor(
        session: *mut RawSession,
        config: *const c_char,
        cursor: *mut *mut RawCursor,
    ) -> c_int;
    fn bench_cursor_close(cursor: *mut RawCursor) -> c_int;
    fn bench_begin(session: *mut RawSession) -> c_int;
    fn bench_commit(session: *mut RawSession, config: *const c_char) -> c_int;
    fn bench_rollback(session: *mut RawSession) -> c_int;
    fn bench_checkpoint(session: *mut RawSession) -> c_int;
    fn bench_compact(session: *mut RawSession) -> c_int;
    fn bench_insert(
        cursor: *mut RawCursor,
        key: *const u8,
        key_bytes: usize,
        value: *const u8,
        value_bytes: usize,
    ) -> c_int;
    fn bench_remove(cursor: *mut RawCursor, key: *const u8, key_bytes: usize) -> c_int;
    fn bench_remove_here(cursor: *mut RawCursor) -> c_int;
    fn bench_search(cursor: *mut RawCursor, key: *const u8, key_bytes: usize) -> c_int;
    fn bench_seek(cursor: *mut RawCursor, key: *const u8, key_bytes: usize) -> c_int;
    fn bench_next(cursor: *mut RawCursor) -> c_int;
    fn bench_prev(cursor: *mut RawCursor) -> c_int;
    fn bench_reset(cursor: *mut RawCursor) -> c_int;
    fn bench_row(
        cursor: *mut RawCursor,
        key: *mut *const u8,
        key_bytes: *mut usize,
        value: *mut *const u8,
        value_bytes: *mut usize,
    ) -> c_int;
    fn bench_is_missing(error: c_int) -> c_int;
    fn bench_error(error: c_int) -> *const c_char;
    fn bench_version() -> *const c_char;
}

fn version() -> String {
    // SAFETY: the library returns a static, terminated string.
    let text = unsafe { CStr::from_ptr(bench_version()) };
    text.to_string_lossy().into_owned()
}

/// Turns an error code into an error.
fn check(code: c_int) -> Outcome<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the library returns a static, terminated string for every code.
    let message = unsafe { CStr::from_ptr(bench_error(code)) };
    Err(format!("wiredtiger: {}", message.to_string_lossy()).into())
}

/// The same, with "no such row" told apart: false.
fn found(code: c_int) -> Outcome<bool> {
    // SAFETY: a pure function of the code.
    if unsafe { bench_is_missing(code) } != 0 {
        return Ok(false);
    }
    check(code).map(|()| true)
}

struct WiredTiger {
    connection: NonNull<RawConnection>,
    // Before `connection` is closed it is dropped; one at a time writes.
    writer: Mutex<Option<Session>>,
}

// SAFETY: the library's connections may be used from any thread at once; the session is behind a
// lock and sessions may move between threads.
unsafe impl Send for WiredTiger {}
// SAFETY: as above.
unsafe impl Sync for WiredTiger {}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    let home = CString::new(setup.folder.as_os_str().as_bytes())?;
    let config = CString::new(format!(
        "create,cache_size={},log=(enabled=true),\
         transaction_sync=(enabled={},method=fsync),checkpoint=(wait=60),session_max=256,\
         eviction=(threads_min=1,threads_max=4),eviction_dirty_target=60,eviction_dirty_trigger=80",
        setup.cache_bytes, setup.synced
    ))?;
    let leaf = setup.leaf_bytes.map_or_else(String::new, |bytes| format!(",leaf_page_max={bytes}"));
    let table = CString::new(format!("key_format=u,value_format=u{leaf}"))?;
    let mut connection = null_mut();
    // SAFETY: the strings are terminated and outlive the call; the library fills the pointer.
    check(unsafe {
        bench_open(home.as_ptr(), config.as_ptr(), table.as_ptr(), &raw mut connection)
    })?;
    let connection = NonNull::new(connection).ok_or("wiredtiger gave no connection")?;
    Ok(Box::new(WiredTiger { connection, writer: Mutex::new(None) }))
}

impl WiredTiger {
    fn session(&self, cursor_config: Option<&CStr>) -> Outcome<Session> {
        let mut session = null_mut();
        // SAFETY: the connection is open as long as `self` is.
        check(unsafe { bench_session(self.connection.as_ptr(), &raw mut session) })?;
        let mut cursor = null_mut();
        let config = cursor_config.map_or(null(), CStr::as_ptr);
        // SAFETY: the session was just opened; the configuration is null or terminated.
        check(unsafe { bench_cursor(session, config, &raw mut cursor) })?;
        let session = NonNull::new(session).ok_or("wiredtiger gave no session")?;
        let cursor = NonNull::new(cursor).ok_or("wiredtiger gave no cursor")?;
        Ok(Session { session, cursor })
    }
}

impl Store for WiredTiger {
    fn write(
        &self,
        commit: Commit,
        _access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut guard = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            *guard = Some(self.session(None)?);
        }
        let writer = guard.as_mut().ok_or("no session")?;
        let config = if commit == Commit::Synced { c"sync=on" } else { c"sync=off" };
        // SAFETY: the session is open, and this thread's while the lock is held.
        check(unsafe { bench_begin(writer.session.as_ptr()) })?;
        if let Err(error) = body(writer) {
            // SAFETY: as above.
            check(unsafe { bench_rollback(writer.session.as_ptr()) })?;
            return Err(error);
        }
        // SAFETY: as above.
        check(unsafe { bench_commit(writer.session.as_ptr(), config.as_ptr()) })
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        let mut reader = self.session(None)?;
        // SAFETY: the session was just opened and is this thread's.
        check(unsafe { bench_begin(reader.session.as_ptr()) })?;
        body(&mut reader)?;
        // SAFETY: as above.
        check(unsafe { bench_rollback(reader.session.as_ptr()) })
    }

    fn serve(&self, body: &mut dyn FnMut(&mut dyn Client) -> Outcome<()>) -> Outcome<()> {
        body(&mut self.session(None)?)
    }

    fn load_sorted(&self, body: &mut dyn FnMut(Feed<'_>) -> Outcome<()>) -> Outcome<()> {
        let mut session = self.session(Some(c"bulk"))?;
        body(&mut |key, value| session.insert(key, value))?;
        drop(session);
        self.sync()
    }

    fn len(&self) -> Outcome<u64> {
        let session = self.session(None)?;
        let mut count = 0;
        // SAFETY: the cursor is open and this thread's.
        while found(unsafe { bench_next(session.cursor.as_ptr()) })? {
            count += 1;
        }
        Ok(count)
    }

    fn sync(&self) -> Outcome<()> {
        // SAFETY: the session is open and this thread's.
        check(unsafe { bench_checkpoint(self.session(None)?.session.as_ptr()) })
    }

    fn checkpoint(&self) -> Outcome<bool> {
        self.sync()?;
        Ok(true)
    }

    fn compact(&mut self) -> Outcome<bool> {
        self.sync()?;
        // SAFETY: the session is open and this thread's.
        check(unsafe { bench_compact(self.session(None)?.session.as_ptr()) })?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        drop(self.writer.into_inner());
        // SAFETY: no session is open any more: readers borrow the store, the writer's is dropped.
        check(unsafe { bench_close(self.connection.as_ptr()) })
    }
}

/// A session with its cursor over the table.
struct Session {
    session: NonNull<RawSession>,
    cursor: NonNull<RawCursor>,
}

// SAFETY: the library lets a session move between threads that do not use it at once.
unsafe impl Send for Session {}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: both are open, and used by nobody behind this.
        unsafe { bench_cursor_close(self.cursor.as_ptr()) };
        // SAFETY: as above.
        unsafe { bench_session_close(self.session.as_ptr()) };
    }
}

impl Session {
    /// Shows the row under the cursor.
    fn row(&self, visit: Visit<'_>) -> Outcome<()> {
        let (mut key, mut key_bytes, mut value, mut value_bytes) = (null(), 0, null(), 0);
        // SAFETY: the cursor is on a row, and the pointers are this frame's.
        check(unsafe {
            bench_row(
                self.cursor.as_ptr(),
                &raw mut key,
                &raw mut key_bytes,
                &raw mut value,
                &raw mut value_bytes,
            )
        })?;
        // SAFETY: the library keeps both until the cursor moves.
        let key = unsafe { slice::from_raw_parts(key, key_bytes) };
        // SAFETY: as above.
        let value = unsafe { slice::from_raw_parts(value, value_bytes) };
        visit(key, value);
        Ok(())
    }
}

// SAFETY of every call below: the cursor is open and borrowed by this thread, and the library
// copies what it is handed, or is done with it, before it returns.
impl Writer for Session {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        // SAFETY: above.
        check(unsafe {
            bench_insert(self.cursor.as_ptr(), key.as_ptr(), key.len(), value.as_ptr(), value.len())
        })
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        // SAFETY: above.
        check(unsafe { bench_remove(self.cursor.as_ptr(), key.as_ptr(), key.len()) })
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        // SAFETY: above.
        check(unsafe { bench_reset(self.cursor.as_ptr()) })?;
        // SAFETY: above.
        let code = unsafe {
            match end {
                End::First => bench_next(self.cursor.as_ptr()),
                End::Last => bench_prev(self.cursor.as_ptr()),
            }
        };
        if !found(code)? {
            return Ok(false);
        }
        self.row(visit)?;
        // SAFETY: above.
        check(unsafe { bench_remove_here(self.cursor.as_ptr()) })?;
        Ok(true)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        // SAFETY: above.
        check(unsafe { bench_reset(self.cursor.as_ptr()) })?;
        // SAFETY: above.
        while found(unsafe { bench_next(self.cursor.as_ptr()) })? {
            let mut doomed = false;
            self.row(&mut |key, value| doomed = !keep(key, value))?;
            if doomed {
                // SAFETY: above.
                check(unsafe { bench_remove_here(self.cursor.as_ptr()) })?;
            }
        }
        Ok(())
    }
}

impl Reader for Session {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        // SAFETY: as for the writer.
        let code = unsafe { bench_search(self.cursor.as_ptr(), key.as_ptr(), key.len()) };
        if !found(code)? {
            return Ok(false);
        }
        self.row(&mut |_, value| visit(value))?;
        Ok(true)
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        // SAFETY: as for the writer.
        let mut code = unsafe { bench_seek(self.cursor.as_ptr(), start.as_ptr(), start.len()) };
        for index in 0..rows_max {
            if index > 0 {
                // SAFETY: as for the writer.
                code = unsafe { bench_next(self.cursor.as_ptr()) };
            }
            if !found(code)? {
                break;
            }
            self.row(&mut *visit)?;
        }
        Ok(())
    }
}

/// Without a transaction begun, each call is one; its cursor is reset behind it, so that nothing
/// stays pinned.
impl Client for Session {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        let there = Reader::get(self, key, visit)?;
        // SAFETY: as for the writer.
        check(unsafe { bench_reset(self.cursor.as_ptr()) })?;
        Ok(there)
    }

    fn put(&mut self, commit: Commit, key: &[u8], value: &[u8]) -> Outcome<()> {
        if commit == Commit::Unsynced {
            return self.insert(key, value);
        }
        // SAFETY: the session is open and this thread's.
        check(unsafe { bench_begin(self.session.as_ptr()) })?;
        self.insert(key, value)?;
        // SAFETY: as above.
        check(unsafe { bench_commit(self.session.as_ptr(), c"sync=on".as_ptr()) })
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        Reader::range(self, start, rows_max, visit)?;
        // SAFETY: as for the writer.
        check(unsafe { bench_reset(self.cursor.as_ptr()) })
    }
}
