//! Random programs on one cursor, compared after every call with a model of the contract over a
//! `BTreeMap`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use rshelve::state::{Edge, Modify};
use rshelve::{Code, CursorOptions, DatabaseOptions, Result, TableOptions};

use crate::fixture::{Hand, TABLE, Talk, World};

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % end
    }

    fn key(&mut self) -> String {
        format!("{:03}", self.below(150))
    }
}

/// What the contract says of a cursor and its table.
#[derive(Default)]
struct Model {
    rows: BTreeMap<String, String>,
    /// The rows when the transaction began.
    before: Option<BTreeMap<String, String>>,
    place: Option<String>,
    key: Option<String>,
    /// The key is that of the place.
    key_is_there: bool,
    value: Option<String>,
    value_is_there: bool,
    lower: Option<(String, bool)>,
    upper: Option<(String, bool)>,
    strict: bool,
}

impl Model {
    fn holds(&self, key: &str) -> bool {
        let above = self.lower.as_ref().is_none_or(|(lower, inclusive)| {
            if *inclusive { key >= lower.as_str() } else { key > lower.as_str() }
        });
        above
            && self.upper.as_ref().is_none_or(|(upper, inclusive)| {
                if *inclusive { key <= upper.as_str() } else { key < upper.as_str() }
            })
    }

    fn leave(&mut self) {
        (self.place, self.key, self.value) = (None, None, None);
        (self.key_is_there, self.value_is_there) = (false, false);
    }

    fn reset(&mut self) {
        self.leave();
        (self.lower, self.upper) = (None, None);
    }

    fn arrive(&mut self, key: Option<String>) -> Code {
        let Some(key) = key else { return Code::NOTFOUND };
        self.value = self.rows.get(&key).cloned();
        (self.place, self.key) = (Some(key.clone()), Some(key));
        (self.key_is_there, self.value_is_there) = (true, true);
        Code::OK
    }

    fn walk(&mut self, forward: bool) -> Code {
        let mut keys = self.rows.keys().filter(|key| self.holds(key));
        let place = self.place.as_ref();
        let found = if forward {
            keys.find(|key| place.is_none_or(|place| *key > place)).cloned()
        } else {
            keys.rfind(|key| place.is_none_or(|place| *key < place)).cloned()
        };
        if found.is_none() {
            self.leave();
        }
        self.arrive(found)
    }

    /// The key stays set, the place is lost, and a value that was there with it.
    fn miss(&mut self) -> Code {
        (self.place, self.key_is_there) = (None, false);
        if std::mem::take(&mut self.value_is_there) {
            self.value = None;
        }
        Code::NOTFOUND
    }

    fn search(&mut self) -> Code {
        let Some(key) = self.key.clone() else { return Code::EINVAL };
        let found = self.holds(&key) && self.rows.contains_key(&key);
        if found { self.arrive(Some(key)) } else { self.miss() }
    }

    fn search_near(&mut self) -> (Code, Ordering) {
        let Some(key) = self.key.clone() else { return (Code::EINVAL, Ordering::Equal) };
        let mut keys = self.rows.keys().filter(|found| self.holds(found));
        let above = keys.clone().find(|found| **found >= key).cloned();
        let found = above.or_else(|| keys.next_back().cloned());
        let order = found.as_ref().map_or(Ordering::Equal, |found| found.cmp(&key));
        let code = if found.is_some() { self.arrive(found) } else { self.miss() };
        (code, order)
    }

    /// Key and value, if both are set, and the key is in the bounds.
    fn to_write(&self) -> Result<(String, String), Code> {
        let key = self.key.clone().ok_or(Code::EINVAL)?;
        let value = self.value.clone().ok_or(Code::EINVAL)?;
        if self.holds(&key) { Ok((key, value)) } else { Err(Code::NOTFOUND) }
    }

    fn insert(&mut self) -> Code {
        let (key, value) = match self.to_write() {
            Ok(row) => row,
            Err(code) => return code,
        };
        if self.strict && self.rows.contains_key(&key) {
            return Code::DUPLICATE_KEY;
        }
        self.rows.insert(key, value);
        self.leave();
        Code::OK
    }

    fn stand_on(&mut self, key: String, value: String) -> Code {
        self.rows.insert(key.clone(), value.clone());
        (self.place, self.key, self.value) = (Some(key.clone()), Some(key), Some(value));
        (self.key_is_there, self.value_is_there) = (true, false);
        Code::OK
    }

    fn update(&mut self) -> Code {
        match self.to_write() {
            Ok((key, _)) if self.strict && !self.rows.contains_key(&key) => Code::NOTFOUND,
            Ok((key, value)) => self.stand_on(key, value),
            Err(code) => code,
        }
    }

    fn remove(&mut self) -> Code {
        let Some(key) = self.key.clone() else { return Code::EINVAL };
        if !self.holds(&key) || self.rows.remove(&key).is_none() {
            return Code::NOTFOUND;
        }
        if self.key_is_there {
            (self.value, self.value_is_there) = (None, false);
        } else {
            self.leave();
        }
        Code::OK
    }

    fn modify(&mut self, suffix: &str) -> Code {
        let Some(key) = self.key.clone() else { return Code::EINVAL };
        match self.rows.get(&key).filter(|_| self.holds(&key)) {
            None => Code::NOTFOUND,
            Some(value) => {
                let value = format!("{value}{suffix}");
                self.stand_on(key, value)
            }
        }
    }
}

fn code<T>(outcome: Result<T>) -> Code {
    outcome.map_or_else(|error| Code::of(&error), |_| Code::OK)
}

/// One call on the cursor and on the model. Returns what both said.
fn step(model: &mut Model, session: &mut Talk, hand: &mut Hand, dice: &mut Dice) -> (Code, Code) {
    let state = &mut session.state;
    let in_transaction = model.before.is_some();
    match dice.below(100) {
        0..25 => {
            let key = dice.key();
            hand.set(&key);
            (model.key, model.key_is_there) = (Some(key), false);
            (Code::OK, Code::OK)
        }
        25..35 => {
            let long = dice.below(20) == 0;
            let value = format!("{}{}", dice.key(), "x".repeat(if long { 3_000 } else { 0 }));
            hand.set_value(&value);
            (model.value, model.value_is_there) = (Some(value), false);
            (Code::OK, Code::OK)
        }
        35..45 => (code(hand.state.next(state)), model.walk(true)),
        45..52 => (code(hand.state.prev(state)), model.walk(false)),
        52..58 => (code(hand.state.search(state)), model.search()),
        58..63 => {
            let (wanted, order) = model.search_near();
            let landed = hand.state.search_near(state);
            assert!(landed.as_ref().map_or(true, |landed| *landed == order));
            (code(landed), wanted)
        }
        63..73 => (code(hand.state.insert(state)), model.insert()),
        73..79 => (code(hand.state.update(state)), model.update()),
        79..86 => (code(hand.state.remove(state)), model.remove()),
        86..88 if in_transaction => {
            let length =
                model.key.as_ref().and_then(|key| model.rows.get(key)).map_or(0, String::len);
            let change = Modify { data: b"+".to_vec(), offset: length, size: 0 };
            let done = hand.state.modify(state, &[change], Default::default());
            (code(done), model.modify("+"))
        }
        88..90 if in_transaction => (code(hand.state.reserve(state)), model.modify("")),
        90..93 => {
            hand.state.reset(state);
            model.reset();
            (Code::OK, Code::OK)
        }
        93..95 if model.place.is_none() && !model.key_is_there => {
            let Some(key) = model.key.clone() else { return (Code::OK, Code::OK) };
            let (edge, inclusive) = (dice.below(2) == 0, dice.below(2) == 0);
            let (lower, upper) = (model.lower.clone(), model.upper.clone());
            let bound = Some((key, inclusive));
            let which = if edge { Edge::Lower } else { Edge::Upper };
            let done = code(hand.state.set_bound(state, which, inclusive));
            if edge {
                model.lower = bound
            } else {
                model.upper = bound
            }
            let is_empty = match (&model.lower, &model.upper) {
                (Some((lower, true)), Some((upper, true))) => lower > upper,
                (Some((lower, _)), Some((upper, _))) => lower >= upper,
                _ => false,
            };
            if is_empty {
                (model.lower, model.upper) = (lower, upper);
            }
            (done, if is_empty { Code::EINVAL } else { Code::OK })
        }
        95 if model.lower.is_none() && model.upper.is_none() => {
            let done = code(hand.state.largest_key(state));
            model.leave();
            model.key = model.rows.keys().next_back().cloned();
            (done, if model.key.is_some() { Code::OK } else { Code::NOTFOUND })
        }
        96 if model.key.is_some() => {
            let (low, high) = (model.key.clone().unwrap_or_default(), dice.key());
            let mut other = session.cursor();
            let (start, stop) = (&mut hand.state, &mut other.set(&high).state);
            let done = session.state.truncate(Some(start), Some(stop));
            model.leave();
            if low <= high {
                model.rows.retain(|key, _| *key < low || *key > high);
            }
            (code(done), if low <= high { Code::OK } else { Code::EINVAL })
        }
        97..100 if !in_transaction => {
            session.begin();
            model.before = Some(model.rows.clone());
            (Code::OK, Code::OK)
        }
        97 => {
            session.rollback();
            if model.place.is_some() {
                model.leave();
            }
            model.rows = model.before.take().unwrap_or_default();
            (Code::OK, Code::OK)
        }
        98..100 => {
            session.commit().unwrap();
            model.before = None;
            (Code::OK, Code::OK)
        }
        _ => (Code::OK, Code::OK),
    }
}

fn run(seed: u64, steps: usize, strict: bool) {
    let world = World::with(DatabaseOptions {
        cache_bytes_max: 1 << 20,
        background: false,
        ..DatabaseOptions::default()
    });
    world.connection.drop_table(TABLE).unwrap();
    let options = TableOptions { leaf_bytes_max: 4 << 10, ..TableOptions::default() };
    world.connection.create_table(TABLE, &options).unwrap();
    let (mut dice, session) = (Dice(seed), &mut world.session());
    let mut hand = session.open(&CursorOptions::new().overwrite(!strict)).unwrap();
    let mut model = Model { strict, ..Model::default() };
    for number in 0..steps {
        let what = format!("seed {seed}, step {number}");
        let (found, wanted) = step(&mut model, session, &mut hand, &mut dice);
        assert_eq!(found, wanted, "{what}");
        let has_failed = wanted != Code::OK;
        if has_failed && (wanted != Code::NOTFOUND || model.before.is_some()) {
            // Where the cursor is now the contract leaves open; and EINVAL has failed the transaction.
            hand.reset(session);
            model.reset();
            if wanted == Code::EINVAL && model.before.is_some() {
                session.rollback();
                model.rows = model.before.take().unwrap_or_default();
            }
            continue;
        }
        if has_failed && model.key.is_some() {
            if !model.key_is_there {
                assert_eq!(hand.key(session).ok(), model.key, "{what}");
            }
            hand.reset(session);
            model.reset();
            continue;
        }
        if model.key.is_some() || model.before.is_none() {
            assert_eq!(hand.key(session).ok(), model.key, "{what}");
        }
        if model.value.is_some() || model.before.is_none() {
            assert_eq!(hand.value(session).ok(), model.value, "{what}");
        }
    }
    if model.before.is_some() {
        session.commit().unwrap();
    }
    assert_eq!(world.rows(), Vec::from_iter(model.rows), "seed {seed}");
    let table = world.connection.table(TABLE).unwrap();
    assert_eq!(table.len().unwrap() as usize, world.rows().len());
    let back = table.scan(Bound::Unbounded, Bound::Unbounded, true, usize::MAX, 0).unwrap();
    assert_eq!(back.len(), world.rows().len());
}

/// Every call of a random program does to the cursor and the table what the contract says, with and
/// without `overwrite`.
#[test]
fn cursor_follows_the_model() {
    let given = std::env::var("RSHELVE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let long = std::env::var_os("RSHELVE_TEST_LONG").is_some();
    let first = given.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed: RSHELVE_TEST_SEED={first}");
    for seed in first..first + if long { 200 } else { 6 } {
        run(seed, 4_000, seed % 2 == 0);
    }
}
