//! Files that appear complete or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::report::ReportError;

/// Makes a folder and its parents.
pub fn make_folder(folder: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(folder).map_err(ReportError::file("created", folder))
}

/// Writes a file under a temporary name, brings it to the disk, and gives it its name. The folder still has to be
/// synced with [`sync_folder`], once for all files of a period.
pub fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ReportError> {
    let path = folder.join(name);
    let temporary = folder.join(format!(".{name}.new"));
    let attempt = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    attempt().map_err(|error| {
        // A leftover would only take room; that it cannot be removed changes nothing.
        let _ = fs::remove_file(&temporary);
        ReportError::File { act: "written", error, path: path.clone() }
    })
}

/// Brings the names in a folder to the disk.
pub fn sync_folder(folder: &Path) -> Result<(), ReportError> {
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(ReportError::file("written", folder))
}

/// Points the link `name` to a file beside it. What only makes a file easier to find is no reason to stop.
pub fn link_latest(folder: &Path, name: &str, target: &str) {
    let temporary = folder.join(format!(".{name}.new"));
    // A leftover of a run that was cut off.
    let _ = fs::remove_file(&temporary);
    let made = std::os::unix::fs::symlink(target, &temporary)
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if let Err(error) = made {
        tracing::warn!(target: "gatewatch::retry", %error, name, "a link to the latest file could not be made");
    }
}

/// Bytes that are left on the file system of a folder for who is not root; none where it does not tell.
pub fn room(folder: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(folder).ok()?;
    Some(told.f_bavail.saturating_mul(told.f_frsize))
}
