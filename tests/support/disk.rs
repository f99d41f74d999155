//! A file system of one test's own: in memory, or ext4 in a file, which can hang.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Mounted while it lives; thawed before it is taken off, or its writers could never be ended.
pub struct Disk {
    at: PathBuf,
    frozen: bool,
}

impl Disk {
    /// In memory; none, with the reason printed, where it cannot be mounted.
    pub fn in_memory(at: &Path, size: &str) -> Option<Self> {
        Self::mount(at, &["-t", "tmpfs", "-o", &format!("size={size},mode=0755"), "tmpfs"])
    }

    /// In the file `image`; none where it cannot be mounted.
    pub fn in_file(at: &Path, image: &Path) -> Option<Self> {
        let name = image.display().to_string();
        let made = does("truncate", &["-s", "64M", &name]) && does("mkfs.ext4", &["-qF", "-m", "0", &name]);
        if !made {
            eprintln!("skipped: mkfs.ext4 cannot make a file system in {name}");
            return None;
        }
        Self::mount(at, &["-o", "loop", &name])
    }

    fn mount(at: &Path, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { at: at.to_owned(), frozen: false }),
            other => {
                eprintln!("skipped: a file system cannot be mounted: {other:?}");
                None
            }
        }
    }

    /// Mounts it again with other options: `ro`, `rw`, `size=16m`.
    pub fn remount(&self, options: &str) {
        let at = self.at.display().to_string();
        assert!(does("mount", &["-o", &format!("remount,{options}"), &at]), "mount -o {options}");
    }

    /// Whoever writes to it from now on hangs.
    pub fn freeze(&mut self) {
        assert!(does("fsfreeze", &["-f", &self.at.display().to_string()]), "frozen");
        self.frozen = true;
    }

    /// It goes on.
    pub fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen) {
            assert!(does("fsfreeze", &["-u", &self.at.display().to_string()]), "thawed");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.thaw();
        let unmounted = does("umount", &[&self.at.display().to_string()]);
        // What still runs there after a failed test holds it: off its place at least.
        assert!(
            unmounted || does("umount", &["-l", &self.at.display().to_string()]) || std::thread::panicking()
        );
    }
}

fn does(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
