//! The facade over `loom`: the same names as `real.rs`, every step a scheduling point.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

pub use loom::sync::Arc;
pub use loom::sync::atomic;

/// See `real.rs`.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// See `real.rs`.
#[derive(Debug)]
pub struct MutexGuard<'a, T>(loom::sync::MutexGuard<'a, T>);

impl<T> Mutex<T> {
    /// See `real.rs`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// See `real.rs`.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock().unwrap_or_else(|poison| poison.into_inner()))
    }

    /// See `real.rs`.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(MutexGuard)
    }

    /// See `real.rs`.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// See `real.rs`. Time-outs never fire under loom.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    /// See `real.rs`.
    pub fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    /// See `real.rs`.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard(self.0.wait(guard.0).unwrap_or_else(|poison| poison.into_inner()))
    }

    /// See `real.rs`.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _time: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        (self.wait(guard), false)
    }

    /// See `real.rs`.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
