//! The system calls that the standard library does not offer, as safe functions.
//!
//! Linux only. It knows descriptors and bytes, nothing of databases.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use crate::io::LockKind;

/// The most parts that one vectored write takes.
const PARTS_MAX: usize = 1024;

/// Writes from the front of `parts` at `offset`; returns how many bytes got there, which may be
/// fewer than all.
pub(super) fn write_vectored_at(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    offset: u64,
) -> Result<usize> {
    let parts = &parts[..parts.len().min(PARTS_MAX)];
    let offset = file_offset(offset)?;
    // SAFETY: `IoSlice` has the layout of `iovec` (documented); pointer and count are those of a
    // live slice of at most `PARTS_MAX` parts, each of which borrows its bytes until we return;
    // the call only reads them.
    let count = unsafe {
        libc::pwritev(fd.as_raw_fd(), parts.as_ptr().cast(), parts.len() as libc::c_int, offset)
    };
    usize::try_from(count).map_err(|_| Error::last_os_error())
}

/// Has the system begin to read `offset..offset + len_bytes` into its cache, if it likes.
pub(super) fn will_read(fd: BorrowedFd<'_>, offset: u64, len_bytes: u64) {
    let (Ok(offset), Ok(len)) = (file_offset(offset), file_offset(len_bytes)) else { return };
    // SAFETY: takes a borrowed descriptor and numbers, touches no memory of ours.
    unsafe { libc::posix_fadvise(fd.as_raw_fd(), offset, len, libc::POSIX_FADV_WILLNEED) };
}

/// Allocates space for `offset..offset + len_bytes`, extending the file with zeros if need be.
/// Signals do not interrupt it.
pub(super) fn allocate(fd: BorrowedFd<'_>, offset: u64, len_bytes: u64) -> Result<()> {
    let (offset, len) = (file_offset(offset)?, file_offset(len_bytes)?);
    loop {
        // SAFETY: takes a borrowed descriptor and numbers, touches no memory of ours.
        if unsafe { libc::fallocate(fd.as_raw_fd(), 0, offset, len) } == 0 {
            return Ok(());
        }
        let error = Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes an open-file-description lock on `start..start + len_bytes`, or with no kind releases
/// it. `Ok(false)` when another open file's lock is in the way.
pub(super) fn lock_range(
    fd: BorrowedFd<'_>,
    kind: Option<LockKind>,
    start: u64,
    len_bytes: u64,
) -> Result<bool> {
    let lock = flock(kind, start, len_bytes)?;
    loop {
        // SAFETY: `lock` is a whole `flock` that lives through the call; OFD locks want its
        // `l_pid` to be 0, and it is.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
            return Ok(true);
        }
        let error = Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => return Ok(false),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
}

/// Whether another open file holds any lock within `start..start + len_bytes`.
pub(super) fn is_range_locked(fd: BorrowedFd<'_>, start: u64, len_bytes: u64) -> Result<bool> {
    let mut lock = flock(Some(LockKind::Exclusive), start, len_bytes)?;
    // SAFETY: as in `lock_range`; the call writes the answer into `lock`.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn flock(kind: Option<LockKind>, start: u64, len_bytes: u64) -> Result<libc::flock> {
    let l_type = match kind {
        None => libc::F_UNLCK,
        Some(LockKind::Shared) => libc::F_RDLCK,
        Some(LockKind::Exclusive) => libc::F_WRLCK,
    };
    Ok(libc::flock {
        l_type: l_type as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: file_offset(start)?,
        l_len: file_offset(len_bytes)?,
        l_pid: 0,
    })
}

/// Has `handler` called in every child that this process forks, before `fork` returns there. It
/// must restrict itself to what a signal handler may do.
pub(super) fn call_in_forked_children(handler: extern "C" fn()) -> Result<()> {
    // SAFETY: registers a function that lives as long as the program's code, and no other.
    let code = unsafe { libc::pthread_atfork(None, None, Some(wrap(handler))) };
    if code == 0 { Ok(()) } else { Err(Error::from_raw_os_error(code)) }
}

/// The C library's type for the same function.
fn wrap(handler: extern "C" fn()) -> unsafe extern "C" fn() {
    handler
}

/// Makes descriptor `fd` another name of what `with` names, so that what it named before loses
/// this reference. `fd` stays open, so that whoever owns it can close it later. Async-signal-safe.
pub(super) fn replace_descriptor(fd: RawFd, with: RawFd) {
    loop {
        // SAFETY: takes numbers, touches no memory of ours; what `fd` named is reachable through
        // it alone, and its owner keeps a valid descriptor.
        let result = unsafe { libc::dup3(with, fd, libc::O_CLOEXEC) };
        // SAFETY: the C library's own pointer to this thread's `errno`.
        if result >= 0 || unsafe { *libc::__errno_location() } != libc::EINTR {
            return;
        }
    }
}

fn file_offset(bytes: u64) -> Result<libc::off_t> {
    libc::off_t::try_from(bytes).map_err(|_| Error::from_raw_os_error(libc::EFBIG))
}
