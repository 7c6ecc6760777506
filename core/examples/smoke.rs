//! Scratch timing of the engine.
use rshelve_core::base::options::*;
use rshelve_core::engine::Engine;
use std::time::Instant;
fn main() {
    let n: u64 = std::env::args().nth(1).map_or(1_000_000, |a| a.parse().unwrap());
    let dir = tempfile::tempdir_in(".").unwrap();
    let path = dir.path().join("db");
    let options = DatabaseOptions { cache_bytes_max: 4 << 30, ..Default::default() };
    let engine = Engine::open(&path, options.clone()).unwrap();
    let table = engine.create_table("t", &TableOptions::default()).unwrap();
    let mut s = engine.session().unwrap();
    let mut x = 88172645463325252u64;
    let mut rnd = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let keys: Vec<[u8; 24]> = (0..n)
        .map(|_| {
            let mut k = [0; 24];
            for c in k.chunks_mut(8) {
                c.copy_from_slice(&rnd().to_le_bytes());
            }
            k
        })
        .collect();
    let value = [7u8; 150];
    let report = |name: &str, count: u64, t: Instant| {
        let e = t.elapsed().as_secs_f64();
        println!("{name:30} {:>10.0}/s  {e:.3}s", count as f64 / e);
    };
    let t = Instant::now();
    s.begin().unwrap();
    for k in &keys {
        s.put(&table, k, &value).unwrap();
    }
    report("bulk put in txn", n, t);
    s.commit().unwrap();
    report("  with commit", n, t);
    engine.sync().unwrap();
    report("  with sync", n, t);
    for _ in 0..2 {
        let t = Instant::now();
        let mut found = 0;
        for i in 0..n {
            let k = &keys[(i.wrapping_mul(7919) % n) as usize];
            if s.get(&table, k, |v| v.len()).unwrap().is_some() {
                found += 1;
            }
        }
        report("random get", n, t);
        assert_eq!(found, n);
    }
    assert_eq!(s.rows(&table), n);
    let t = Instant::now();
    let mut p = s.position();
    let mut c = 0;
    while s.next(&table, &mut p).unwrap() {
        c += 1;
    }
    report("scan", c, t);
    drop(p);
    s.release_snapshot();
    let t = Instant::now();
    for i in 0..n / 10 {
        let mut k = keys[(i % n) as usize];
        k[0] ^= 1;
        s.put(&table, &k, &value).unwrap();
    }
    report("autocommit put", n / 10, t);
    let t = Instant::now();
    engine.checkpoint().unwrap();
    report("checkpoint", 1, t);
    let t = Instant::now();
    for i in 0..n {
        let k = &keys[(i.wrapping_mul(7919) % n) as usize];
        s.get(&table, k, |v| v.len()).unwrap();
    }
    report("random get", n, t);
    let t = Instant::now();
    for k in keys.iter().take(n as usize / 2) {
        assert!(s.remove(&table, k).unwrap());
    }
    report("remove half", n / 2, t);
    drop(s);
    let t = Instant::now();
    engine.close().unwrap();
    report("close", 1, t);
    println!("{:?} file {}", engine.stats(), std::fs::metadata(&path).unwrap().len());
    drop(table);
    drop(engine);
    let engine = Engine::open(&path, options).unwrap();
    let table = engine.table("t").unwrap();
    let mut s = engine.session().unwrap();
    println!("rows after reopen {}", s.rows(&table));
    let mut p = s.position();
    let mut c = 0;
    let t = Instant::now();
    while s.next(&table, &mut p).unwrap() {
        c += 1;
    }
    report("cold scan", c, t);
    assert_eq!(c, s.rows(&table));
}
