//! A file system of one's own, in a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::is_long;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

/// A mounted file system; gone when it is dropped.
pub struct Mount {
    folder: tempfile::TempDir,
    kind: Kind,
}

/// Runs a command; what it says when it fails.
pub fn run(command: &str, arguments: &[&str]) -> Result<(), String> {
    let outcome = Command::new(command).args(arguments).output();
    match outcome {
        Ok(outcome) if outcome.status.success() => Ok(()),
        Ok(outcome) => {
            let said = String::from_utf8_lossy(&outcome.stderr).trim().to_owned();
            Err(format!("{command} {}: {said}", arguments.join(" ")))
        }
        Err(error) => Err(format!("{command}: {error}")),
    }
}

impl Mount {
    /// Makes a file system of `size_bytes` (xfs takes 300 MiB at least) and mounts it. `None`, with the
    /// reason printed, where nobody asked for it or the machine does not allow it.
    pub fn new(kind: Kind, size_bytes: u64) -> Option<Self> {
        let asked = std::env::var("RSHELVE_TEST_MOUNT").is_ok_and(|asked| asked == "1");
        if !asked && !is_long() {
            println!("skipped: RSHELVE_TEST_MOUNT=1 mounts file systems, and is not set");
            return None;
        }
        match Self::try_new(kind, size_bytes) {
            Ok(mount) => Some(mount),
            Err(reason) => {
                println!("skipped: {reason}");
                None
            }
        }
    }

    fn try_new(kind: Kind, size_bytes: u64) -> Result<Self, String> {
        run("xfs_io", &["-V"])?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mount = Self { folder, kind };
        let file = std::fs::File::create(mount.image()).map_err(|error| error.to_string())?;
        file.set_len(size_bytes).map_err(|error| error.to_string())?;
        std::fs::create_dir(mount.path()).map_err(|error| error.to_string())?;
        let (program, quiet) = match kind {
            Kind::Ext4 => ("mkfs.ext4", "-q"),
            Kind::Xfs => ("mkfs.xfs", "-q"),
        };
        run(program, &[quiet, &text(&mount.image())])?;
        mount.mount()?;
        Ok(mount)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &text(&self.image()), &text(&self.path())])
    }

    /// Throws away what is not durable; every later call on its files fails.
    pub fn cut_power(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", &text(&self.path())]).expect("a shutdown");
    }

    /// Mounts what a power cut left.
    pub fn mount_again(&self) {
        run("umount", &[&text(&self.path())]).expect("an umount");
        self.mount().expect("a mount");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run("umount", &[&text(&self.path())]);
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
