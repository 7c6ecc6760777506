//! Syncs that take longer than this machine's disk takes for them.
//!
//! `fsync` and `fdatasync` are defined here, in the program, and so win over the C library's for all
//! that is linked into it, engines in C and C++ and shared libraries included. They do what they are
//! called for, wait as long as was asked for, and count.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How long each sync waits, in ns. Relaxed: it is set while nobody syncs, or who does may wait for
/// either time.
static DELAY_NS: AtomicU64 = AtomicU64::new(0);
/// How many there were. Relaxed: a statistic.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// From now on each sync of a file takes `delay` longer.
pub fn set(delay: Duration) {
    DELAY_NS.store(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// How many syncs of files this process made.
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

fn wait() {
    COUNT.fetch_add(1, Ordering::Relaxed);
    match DELAY_NS.load(Ordering::Relaxed) {
        0 => {}
        delay => thread::sleep(Duration::from_nanos(delay)),
    }
}

/// Makes the system call `number`, which takes a file descriptor, and waits.
fn synced(number: libc::c_long, file: c_int) -> c_int {
    wait();
    // SAFETY: both calls take a descriptor alone, and tell when it is none; `errno` is left set for
    // the caller.
    let result = unsafe { libc::syscall(number, file) };
    c_int::try_from(result).unwrap_or(-1)
}

// SAFETY: the name is the C library's, and so is the meaning.
#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    synced(libc::SYS_fsync, file)
}

// SAFETY: the name is the C library's, and so is the meaning.
#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    synced(libc::SYS_fdatasync, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_of_the_standard_library_are_counted_and_fail_as_ever() {
        let file = tempfile::tempfile().expect("a file");
        let before = count();
        file.sync_all().expect("it syncs");
        file.sync_data().expect("it syncs");
        assert!(count() >= before + 2, "the C library's own functions were called");
        let (end, _other) = std::io::pipe().expect("a pipe");
        let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(end));
        let error = pipe.sync_data().expect_err("a pipe cannot be synced");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
