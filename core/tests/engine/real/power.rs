//! The power is cut under a process at work.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rshelve_core::base::options::Durability;

use super::mount::{Kind, Mount, run};
use crate::harness::{Random, scaled, seed};
use crate::kill::parent::{End, Model, Victim};

const XFS_BYTES: u64 = 320 << 20;
const EXT4_BYTES: u64 = 160 << 20;

/// Cuts the power `cycles` times; the databases on one file system, one after the other. Returns the
/// rounds that were found.
fn check(mount: &Mount, durability: Durability, cycles: u64, wrapper: &[String]) -> u64 {
    let seed = seed();
    let mut random = Random::new(seed);
    let (mut number, mut model) = (0, Model::new(seed));
    let folder = |number: u64| mount.path().join(format!("{durability:?}-{number}"));
    let mut rounds = 0;
    for cycle in 0..cycles {
        let is_new = cycle == 0 || random.below(5) == 0;
        if is_new {
            if number > 0 {
                std::fs::remove_dir_all(folder(number)).expect("a removal");
            }
            number += 1;
            model = Model::new(seed ^ number);
            std::fs::create_dir(folder(number)).expect("a folder");
            // The folder is the user's, and so is its durability.
            let root = File::open(mount.path()).expect("the root");
            root.sync_all().expect("a sync");
        }
        let path = folder(number).join("spam");
        let early = cycle > 0 && (is_new || random.below(4) == 0);
        let mut victim = Victim::start(wrapper.to_vec(), &path, durability, &model);
        victim.wait_for(if early { "opening" } else { "open" });
        // A random moment of what it does, not a wait for it.
        let most = if early { 20_000 } else { 400_000 };
        std::thread::sleep(Duration::from_micros(random.below(most)));
        mount.cut_power();
        victim.kill();
        let heard = victim.finish();
        mount.mount_again();
        let kind = mount.kind();
        let what = format!("cut {cycle}, {durability:?} on {kind:?}, early: {early}, seed {seed}");
        model.look(&path, (durability, End::PowerLoss), &heard, &what, &mut random);
        rounds += model.done.iter().sum::<u64>();
    }
    println!("{durability:?} on {:?}: {cycles} power cuts, {rounds} rounds found", mount.kind());
    rounds
}

fn check_all(kind: Kind, size_bytes: u64) {
    let Some(mount) = Mount::new(kind, size_bytes) else { return };
    for durability in [Durability::Sync, Durability::Process, Durability::Checkpoint] {
        check(&mount, durability, scaled(5, 34), &[]);
    }
}

#[test]
fn power_cut_on_xfs_keeps_what_was_promised() {
    check_all(Kind::Xfs, XFS_BYTES);
}

#[test]
fn power_cut_on_ext4_keeps_what_was_promised() {
    check_all(Kind::Ext4, EXT4_BYTES);
}

/// The control: the same with every sync a pretence must lose what was promised.
#[test]
fn power_cut_without_syncs_is_noticed() {
    if let Err(reason) = run("strace", &["-V"]) {
        return println!("skipped: {reason}");
    }
    for (kind, size_bytes) in [(Kind::Xfs, XFS_BYTES), (Kind::Ext4, EXT4_BYTES)] {
        let Some(mount) = Mount::new(kind, size_bytes) else { return };
        let wrapper = [
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync,fdatasync",
            "-e",
            "inject=fsync,fdatasync:retval=0",
        ]
        .map(str::to_owned);
        let outcome =
            catch_unwind(AssertUnwindSafe(|| check(&mount, Durability::Sync, 10, &wrapper)));
        assert!(outcome.is_err(), "nobody misses the syncs on {kind:?}");
    }
}
