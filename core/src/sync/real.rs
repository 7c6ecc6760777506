//! The facade over `std` and `parking_lot`: what every build but a loom one uses.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::RwLockWriteGuard;

use super::waits::timed;

pub use parking_lot::RwLockReadGuard;
pub use std::sync::atomic;
pub use std::sync::{Arc, Weak};
pub use std::thread;

/// A mutual-exclusion lock of one byte that parks, and never poisons.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(parking_lot::Mutex<T>);

/// Holds a [`Mutex`]; releases it when dropped.
#[derive(Debug)]
pub struct MutexGuard<'a, T: ?Sized>(parking_lot::MutexGuard<'a, T>);

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(parking_lot::const_mutex(value))
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // Who finds the lock free is not timed.
        #[cfg(feature = "waits")]
        if let Some(guard) = self.try_lock() {
            return guard;
        }
        MutexGuard(timed(|| self.0.lock()))
    }

    /// The lock, if it is free now.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().map(MutexGuard)
    }

    /// The value; the borrow proves that nobody else holds the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(parking_lot::Condvar);

impl Condvar {
    /// A condition that nobody waits for.
    pub const fn new() -> Self {
        Self(parking_lot::Condvar::new())
    }

    /// Releases the lock, sleeps until notified, and takes the lock again.
    pub fn wait<'a, T: ?Sized>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        timed(|| self.0.wait(&mut guard.0));
        guard
    }

    /// Like [`Condvar::wait`], for at most `time`; the flag is true when the time ran out.
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let timed_out = timed(|| self.0.wait_for(&mut guard.0, time)).timed_out();
        (guard, timed_out)
    }

    /// Wakes every waiter.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock that many may hold to read, or one to write. It parks, and never poisons.
#[derive(Debug, Default)]
pub struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self(parking_lot::RwLock::new(value))
    }

    /// Waits until nobody writes.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        #[cfg(feature = "waits")]
        if let Some(guard) = self.0.try_read() {
            return guard;
        }
        timed(|| self.0.read())
    }

    /// Waits until nobody else is there.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        #[cfg(feature = "waits")]
        if let Some(guard) = self.0.try_write() {
            return guard;
        }
        timed(|| self.0.write())
    }

    /// The same as [`RwLock::read`], if nobody writes now.
    #[inline]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read()
    }
}
