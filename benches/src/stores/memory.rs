//! No store at all: a `BTreeMap` under a lock. What the harness itself costs, and what its own
//! tests run on. Closing keeps the map for whoever opens the same folder again in this process.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::FLOOR;
use crate::machine;
use crate::store::{Access, Commit, End, Engine, Outcome, Reader, Setup, Store, Visit, Writer};

/// The map under test; not a contestant.
pub const ENGINE: Engine = Engine { name: FLOOR, version, by_default: false, open };

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// The maps of closed stores, by folder.
static CLOSED: LazyLock<Mutex<HashMap<PathBuf, Map>>> = LazyLock::new(Mutex::default);

struct Memory {
    map: RwLock<Map>,
    folder: PathBuf,
}

fn version() -> String {
    machine::version("rshelve-benches").to_owned()
}

fn open(setup: Setup<'_>) -> Outcome<Box<dyn Store>> {
    let mut closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    let map = RwLock::new(closed.remove(setup.folder).unwrap_or_default());
    Ok(Box::new(Memory { map, folder: setup.folder.to_owned() }))
}

impl Memory {
    fn read_lock(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn write(
        &self,
        _commit: Commit,
        _access: Access,
        body: &mut dyn FnMut(&mut dyn Writer) -> Outcome<()>,
    ) -> Outcome<()> {
        body(&mut *self.write_lock())
    }

    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> Outcome<()>) -> Outcome<()> {
        body(&mut &*self.read_lock())
    }

    fn len(&self) -> Outcome<u64> {
        Ok(self.read_lock().len() as u64)
    }

    fn sync(&self) -> Outcome<()> {
        Ok(())
    }

    fn compact(&mut self) -> Outcome<bool> {
        Ok(false)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        let map = self.map.into_inner().unwrap_or_else(PoisonError::into_inner);
        CLOSED.lock().unwrap_or_else(PoisonError::into_inner).insert(self.folder, map);
        Ok(())
    }
}

impl Writer for Map {
    fn insert(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        Map::insert(self, key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Outcome<()> {
        Map::remove(self, key);
        Ok(())
    }

    fn pop(&mut self, end: End, visit: Visit<'_>) -> Outcome<bool> {
        let row = match end {
            End::First => self.pop_first(),
            End::Last => self.pop_last(),
        };
        Ok(row.map(|(key, value)| visit(&key, &value)).is_some())
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Outcome<()> {
        Map::retain(self, |key, value| keep(key, value));
        Ok(())
    }
}

impl Reader for &Map {
    fn get(&mut self, key: &[u8], visit: &mut dyn FnMut(&[u8])) -> Outcome<bool> {
        Ok(Map::get(self, key).map(|value| visit(value)).is_some())
    }

    fn range(&mut self, start: &[u8], rows_max: u64, visit: Visit<'_>) -> Outcome<()> {
        let bounds = (Bound::Included(start), Bound::Unbounded);
        for (key, value) in Map::range::<[u8], _>(self, bounds).take(usize::try_from(rows_max)?) {
            visit(key, value);
        }
        Ok(())
    }
}
