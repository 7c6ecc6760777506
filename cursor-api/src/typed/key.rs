//! Types as keys.

use super::Stored;

/// A type whose stored bytes sort as its values do, so that it can be a key.
///
/// ```
/// fn assert<K: rshelve::typed::Key + ?Sized>() {}
/// assert::<str>();
/// assert::<(i64, &str)>();
/// ```
pub trait Key: Stored {}

macro_rules! keys {
    ($($type:ty)*) => { $(impl Key for $type {})* };
}

keys!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 bool str [u8] String Vec<u8>);

impl Key for () {}

impl<const N: usize> Key for [u8; N] {}
impl<K: Key + ?Sized> Key for &K {}
impl<A: Key> Key for (A,) {}
impl<A: Key, B: Key> Key for (A, B) {}
impl<A: Key, B: Key, C: Key> Key for (A, B, C) {}
impl<A: Key, B: Key, C: Key, D: Key> Key for (A, B, C, D) {}
impl<A: Key, B: Key, C: Key, D: Key, E: Key> Key for (A, B, C, D, E) {}
impl<A: Key, B: Key, C: Key, D: Key, E: Key, F: Key> Key for (A, B, C, D, E, F) {}
