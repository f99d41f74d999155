//! How much memory the process has, by the system's own account.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// `/proc/self/status` is some 1,500 bytes.
const READ_MAX_BYTES: usize = 4_096;

/// The open file: once the process is confined no other of its folder can be opened.
#[derive(Debug)]
pub struct Resident(Option<File>);

impl Resident {
    /// Opens it. Where there is none nothing is told.
    pub fn open() -> Self {
        Self(File::open("/proc/self/status").ok())
    }

    /// Bytes in memory that are the process's own: `RssAnon`. The capture ring and mapped files are not part of it.
    pub fn bytes(&self) -> Option<u64> {
        let mut buffer = [0; READ_MAX_BYTES];
        let count = self.0.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(buffer.get(..count)?).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1_024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_shows() {
        let resident = Resident::open();
        let before = resident.bytes().unwrap();
        let block = vec![1_u8; 32 << 20];
        let after = resident.bytes().unwrap();
        assert!(before > 100_000 && after >= before + (16 << 20), "{before} {after}");
        assert_eq!(block[block.len() - 1], 1);
    }
}
