//! One function per target: what it does with bytes that may be anything. A panic is a finding.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rshelve_core::Error;
use rshelve_core::base::checksum::crc32;
use rshelve_core::base::codec::Reader;
use rshelve_core::base::ids::{DatabaseId, Lsn};
use rshelve_core::base::options::{Compression, Durability};
use rshelve_core::engine::{Engine, OpenTable, Session};
use rshelve_core::format::PageImage;
use rshelve_core::io::memory::MemoryStorage;
use rshelve_core::wal::scan;

use crate::exercise::use_it_all;
use crate::harness::{
    NAME, is_about_the_file, key, open, open_existing, read_everything, read_table, small_pages,
    value,
};
use crate::surgery::Patient;

/// A page image, behind the 32 bytes that are the block layer's: what parses can be read and searched, and
/// finds each of its own keys where it is.
pub fn page(data: &[u8]) {
    let bytes = [&[0; 32][..], data].concat().into_boxed_slice();
    let Ok(image) = PageImage::parse(bytes.into()) else { return };
    let (mut key, mut before) = (Vec::new(), None);
    for slot in 0..image.len() {
        image.key_into(slot, &mut key);
        assert_eq!(key.len(), image.key_len(slot));
        assert!(image.compare(slot, &key).is_eq(), "slot {slot} is not its own key");
        assert_eq!(image.search(&key), Ok(slot), "slot {slot} is not found");
        assert!(image.cell(slot).bytes.len() < data.len());
        assert!(before.is_none_or(|before| before < key), "slot {slot} is out of order");
        before = Some(key.clone());
        // A page of many slots and a long prefix takes its time; what matters was seen by then.
        if slot > 2000 {
            break;
        }
    }
}

/// The database whose log `log` makes up.
const ID: DatabaseId = DatabaseId([7; 16]);

/// Records in up to three segments, most of them sealed with a right checksum: read back they are in order,
/// each where it says, and the reading ends.
pub fn log(data: &[u8]) {
    let storage = MemoryStorage::new();
    let mut reader = Reader::new(data);
    let segments = 1 + reader.u8().unwrap_or(0) % 3;
    let mut start = 0_u64;
    for number in 1..=u64::from(segments) {
        let (size, epoch) =
            (1024 + 8 * u64::from(reader.u8().unwrap_or(40)).max(4), 1 + number % 2);
        let epoch = if reader.u8().unwrap_or(0) & 1 == 0 { 1 } else { epoch as u32 };
        let mut file = segment_header(epoch, start, size);
        file.extend_from_slice(&file.clone());
        while (file.len() as u64) < size {
            let Some(record) = record(&mut reader, start + file.len() as u64 - 1024, epoch) else {
                break;
            };
            file.extend_from_slice(&record);
        }
        file.resize(size as usize, 0);
        if let (Some(at), Some(byte)) = (reader.u8(), reader.u8()) {
            // One byte anywhere, unsealed.
            let at = usize::from(at) * file.len() / 256;
            file[at] ^= byte;
        }
        storage.plant(&format!("{NAME}-wal{number:08}"), &file);
        start += size - 1024;
    }
    let Ok(mut scan) = scan(&storage, NAME, ID, Lsn(0), 1) else { return };
    let mut end = Lsn(0);
    loop {
        match scan.next_record() {
            Ok(Some(record)) => {
                assert!(record.position >= end && record.end > record.position);
                end = record.end;
            }
            Ok(None) => break,
            Err(error) => {
                assert!(is_about_the_file(&error), "{error}");
                break;
            }
        }
    }
    assert!(scan.end() >= end);
    let _ = scan.was_durable(Lsn(0)).map(|_| scan.next_epoch());
}

fn segment_header(epoch: u32, start: u64, size: u64) -> Vec<u8> {
    let mut copy = b"rshlvWAL".to_vec();
    copy.extend_from_slice(&1_u32.to_le_bytes());
    copy.extend_from_slice(&epoch.to_le_bytes());
    copy.extend_from_slice(&ID.0);
    copy.extend_from_slice(&start.to_le_bytes());
    copy.extend_from_slice(&size.to_le_bytes());
    copy.extend_from_slice(&crc32(&copy).to_le_bytes());
    copy.resize(512, 0);
    copy
}

/// A record as the next bytes of `reader` describe it.
fn record(reader: &mut Reader<'_>, position: u64, epoch: u32) -> Option<Vec<u8>> {
    let (what, kind, len) = (reader.u8()?, reader.u8()?, reader.u8()?);
    let payload = reader.bytes(usize::from(len).min(reader.rest().len()))?;
    let far = u64::from(reader.u8().unwrap_or(0)) * 8;
    // Which of its fields lie.
    let position = if what & 1 != 0 { position.wrapping_add(far) } else { position };
    let synced = if what & 2 != 0 { far } else { position.saturating_sub(far) };
    let epoch = if what & 4 != 0 { epoch + (far as u32 / 8) % 3 } else { epoch };
    let claimed = if what & 8 != 0 { len.into() } else { payload.len() as u32 };
    let kind = if what & 16 != 0 { 255 } else { kind };
    let mut header = claimed.to_le_bytes().to_vec();
    header.extend_from_slice(&position.to_le_bytes());
    header.extend_from_slice(&synced.to_le_bytes());
    header.extend_from_slice(&epoch.to_le_bytes());
    header.extend_from_slice(&[kind, 0, 0, 0]);
    let sum = crc32(&[&ID.0[..], payload, &header].concat());
    let mut record = sum.to_le_bytes().to_vec();
    record.extend_from_slice(&header);
    record.extend_from_slice(payload);
    record.resize(record.len().next_multiple_of(8), 0);
    Some(record)
}

/// A whole database in which the bytes say what is overwritten where, superblocks, catalog, pages and lists,
/// with every checksum made right: whatever is done with it, it is an error or an answer.
pub fn file(data: &[u8]) {
    static WHOLE: OnceLock<Patient> = OnceLock::new();
    let mut patient = WHOLE.get_or_init(|| Patient::of(&small())).clone();
    let mut reader = Reader::new(data);
    while let (Some(node), Some(at), Some(count)) = (reader.u8(), reader.u16(), reader.u8()) {
        let count = usize::from(count % 16 + 1).min(reader.rest().len());
        let Some(bytes) = reader.bytes(count) else { break };
        let node = usize::from(node) % (patient.nodes.len() + 1);
        if node == patient.nodes.len() {
            // The superblocks.
            let at = usize::from(at) % (508 - count);
            patient.edit_superblocks(|slot| slot[at..at + count].copy_from_slice(bytes));
            continue;
        }
        let range = patient.nodes[node].range();
        let at = range.start + 4 + usize::from(at) % (range.len() - 4 - count).max(1);
        patient.bytes[at..at + count].copy_from_slice(bytes);
        // Where an edit took the name by which this one is found, it stays unsealed.
        let _ = patient.reseal(node);
    }
    if let Err(error) = use_it_all(&patient.storage()) {
        assert!(is_about_the_file(&error), "an error of another kind: {error}");
    }
}

/// A database of two levels, a long value and a compressed table.
fn small() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let engine = open(&storage, Durability::Checkpoint).expect("a new database");
    for (name, compression, count, len) in [
        ("eggs", Compression::None, 60, 120),
        ("long", Compression::None, 2, 2000),
        ("snappy", Compression::Snappy, 40, 60),
    ] {
        let table = engine.create_table(name, &small_pages(compression)).expect("a table");
        let mut session = engine.session().expect("open");
        for number in 0..count {
            session.put(&table, &key(number), &value(name, number, len)).expect("room");
        }
    }
    engine.close().expect("room");
    storage
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Operations, a byte or three each, with kills in between: nothing that was acknowledged is missing, nothing
/// else is there, and what is left is whole.
pub fn operations(data: &[u8]) {
    let mut world = World::new();
    let mut reader = Reader::new(data);
    while let Some(code) = reader.u8() {
        world.step(code, &mut reader);
    }
    world.kill_and_reopen();
    world.engine.checkpoint().expect("room");
    let report = world.engine.verify(&mut |_| Ok(())).expect("it is open");
    assert!(report.is_clean(), "{report}");
}

struct World {
    storage: MemoryStorage,
    engine: Engine,
    table: OpenTable,
    session: Session,
    committed: Model,
    /// What the open transaction sees.
    open: Option<Model>,
}

impl World {
    fn new() -> Self {
        let storage = MemoryStorage::new();
        let engine = open(&storage, Durability::Process).expect("a new database");
        let table = engine.create_table("eggs", &small_pages(Compression::None)).expect("a table");
        let session = engine.session().expect("open");
        Self { storage, engine, table, session, committed: Model::new(), open: None }
    }

    fn model(&mut self) -> &mut Model {
        self.open.as_mut().unwrap_or(&mut self.committed)
    }

    fn step(&mut self, code: u8, reader: &mut Reader<'_>) {
        match code % 16 {
            0..=5 => {
                let (number, size) = (reader.u8().unwrap_or(0), reader.u8().unwrap_or(0));
                let len = [0, 10, 100, 700, 1500, 9000][usize::from(code % 16)];
                let value = value("eggs", size.into(), len + usize::from(size));
                let key = key(number.into());
                let put = self.session.put(&self.table, &key, &value);
                if self.took(put) {
                    self.model().insert(key, value);
                }
            }
            6 | 7 => {
                let key = key(reader.u8().unwrap_or(0).into());
                let removed = self.session.remove(&self.table, &key);
                let there = self.model().contains_key(&key);
                if self.took(removed.map(|removed| assert_eq!(removed, there))) {
                    self.model().remove(&key);
                }
            }
            8 if self.open.is_none() => {
                self.session.begin().expect("none is open");
                self.open = Some(self.committed.clone());
            }
            9 if self.open.is_some() => {
                self.session.commit().expect("room");
                self.committed = self.open.take().expect("one is open");
            }
            10 if self.open.is_some() => {
                self.session.rollback().expect("one is open");
                self.open = None;
            }
            11 => self.engine.checkpoint().expect("room"),
            12 => self.engine.sync().expect("a disk"),
            13 => self.check(),
            14 => self.kill_and_reopen(),
            _ => {}
        }
    }

    /// Whether a write happened; one that found no room ended the transaction.
    fn took(&mut self, outcome: rshelve_core::Result<()>) -> bool {
        match outcome {
            Ok(()) => true,
            Err(Error::Rollback { .. }) => {
                if self.open.take().is_some() {
                    self.session.rollback().expect("one is open");
                }
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn check(&mut self) {
        let rows = read_table(&mut self.session, &self.table).expect("all of it");
        assert!(rows == *self.model(), "rows that are missing, or another's");
        assert_eq!(self.session.rows(&self.table), rows.len() as u64);
    }

    fn kill_and_reopen(&mut self) {
        let storage = self.storage.duplicate();
        let engine = open_existing(&storage, Durability::Process).expect("it opens");
        let found = read_everything(&engine).expect("all of it");
        assert!(found["eggs"] == self.committed, "what was committed is not what is found");
        if self.open.take().is_some() {
            self.session.rollback().expect("one is open");
        }
        self.table = engine.table("eggs").expect("it is there");
        self.session = engine.session().expect("open");
        self.engine = engine;
        self.storage = storage;
    }
}
