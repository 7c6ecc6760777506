//! What the figures were measured on, and with.

use std::fs;
use std::thread;

/// The workspace's own lock file, which knows each peer's version.
const LOCK: &str = include_str!("../../Cargo.lock");

/// One line: processor, cores, memory, kernel.
pub fn description() -> String {
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "processor".into());
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory_kib: f64 = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{processor}, {cores} cores, {:.0} GiB memory, Linux {}",
        memory_kib / f64::from(1 << 20),
        kernel.trim()
    )
}

/// The version of `package` that this program was built with.
pub fn version(package: &str) -> &'static str {
    let mut lines = LOCK.lines();
    let name = format!("name = \"{package}\"");
    while let Some(line) = lines.next() {
        if line == name {
            let version = lines.next().and_then(|line| line.strip_prefix("version = "));
            return version.map_or("?", |quoted| quoted.trim_matches('"'));
        }
    }
    "as installed"
}

/// The most memory that this process ever had resident, in bytes; pages of mapped files count.
pub fn peak_resident_bytes() -> u64 {
    status_bytes("VmHWM")
}

/// The memory that this process has resident now, in bytes.
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS")
}

fn status_bytes(name: &str) -> u64 {
    let kib = field("/proc/self/status", name)
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

/// Bytes that went between this process and its disks, either way.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskBytes {
    /// Fetched from a disk.
    pub read: u64,
    /// Made dirty in the page cache, or written past it; what was removed unwritten is taken off.
    pub written: u64,
}

impl DiskBytes {
    /// Since the process began.
    pub fn now() -> Self {
        let count = |name| field("/proc/self/io", name).and_then(|text| text.parse::<u64>().ok());
        let count = |name| count(name).unwrap_or_default();
        let written = count("write_bytes").saturating_sub(count("cancelled_write_bytes"));
        Self { read: count("read_bytes"), written }
    }

    /// What came after `start`.
    pub fn since(self, start: Self) -> Self {
        let read = self.read.saturating_sub(start.read);
        Self { read, written: self.written.saturating_sub(start.written) }
    }
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
