//! A hard limit of a child's memory: a memory cgroup, page cache included, where one can be made;
//! else a limit of its own data alone, and the reason.
//!
//! The parent makes the limit and removes it behind the child; the child enters it first of all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::store::Outcome;

/// How a child's memory is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// By the cgroup in this folder.
    Group(PathBuf),
    /// By so many bytes of data (`RLIMIT_DATA`); pages of files are not counted.
    Data(u64),
}

impl Limit {
    /// A limit of `bytes` for a process to come; with the reason where it is not a cgroup's.
    pub fn make(bytes: u64) -> (Self, Option<String>) {
        match group(bytes) {
            Ok(folder) => (Self::Group(folder), None),
            Err(error) => {
                let why = format!(
                    "there is no memory cgroup ({error}), so that only the processes' own data is \
                     limited (RLIMIT_DATA), and the page cache is not"
                );
                (Self::Data(bytes), Some(why))
            }
        }
    }

    /// As the child's command line has it.
    pub fn to_argument(&self) -> String {
        match self {
            Self::Group(folder) => format!("group:{}", folder.display()),
            Self::Data(bytes) => format!("data:{bytes}"),
        }
    }

    /// Reads what [`to_argument`](Self::to_argument) wrote.
    ///
    /// # Errors
    /// When it did not.
    pub fn of_argument(text: &str) -> Outcome<Self> {
        match text.split_once(':') {
            Some(("group", folder)) => Ok(Self::Group(PathBuf::from(folder))),
            Some(("data", bytes)) => Ok(Self::Data(bytes.parse()?)),
            _ => Err(format!("{text} is no limit").into()),
        }
    }

    /// Puts this process under the limit.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn enter(&self) -> Outcome<()> {
        match self {
            Self::Group(folder) => Ok(fs::write(folder.join("cgroup.procs"), "0")?),
            Self::Data(bytes) => {
                let limit = libc::rlimit { rlim_cur: *bytes, rlim_max: *bytes };
                // SAFETY: the structure lives through the call, which only reads it.
                match unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error().into()),
                }
            }
        }
    }

    /// The most that was ever charged to the group, in bytes; `None` where there is no such count.
    pub fn peak_bytes(&self) -> Option<u64> {
        let Self::Group(folder) = self else { return None };
        let read = |name| fs::read_to_string(folder.join(name)).ok();
        read("memory.peak").or_else(|| read("memory.max_usage_in_bytes"))?.trim().parse().ok()
    }

    /// Removes the group, once its process has ended.
    pub fn remove(&self) {
        if let Self::Group(folder) = self
            && let Err(error) = fs::remove_dir(folder)
        {
            eprintln!("{} could not be removed: {error}", folder.display());
        }
    }
}

/// A new cgroup of this process's own, limited.
fn group(bytes: u64) -> Outcome<PathBuf> {
    let (base, file) = base()?;
    let folder = base.join(format!("rshelve-bench-{}", std::process::id()));
    fs::create_dir(&folder)?;
    if let Err(error) = fs::write(folder.join(file), bytes.to_string()) {
        fs::remove_dir(&folder)?;
        return Err(error.into());
    }
    // Where there is no swap there is no such file.
    let _ = fs::write(folder.join("memory.swap.max"), "0");
    Ok(folder)
}

/// The folder under which groups are made, and the name of their limit.
fn base() -> Outcome<(PathBuf, &'static str)> {
    for line in fs::read_to_string("/proc/self/cgroup")?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) =
            (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|controller| controller == "memory") {
            return Ok((Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"));
        }
        let unified = Path::new("/sys/fs/cgroup");
        if controllers.is_empty() && unified.join("cgroup.controllers").exists() {
            return Ok((unified.join(path), "memory.max"));
        }
    }
    Err("this system has no memory controller".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_survives_its_argument() {
        for limit in [Limit::Group(PathBuf::from("/a:b")), Limit::Data(7)] {
            assert_eq!(Limit::of_argument(&limit.to_argument()).expect("sound"), limit);
        }
        assert!(Limit::of_argument("nothing").is_err());
    }
}
