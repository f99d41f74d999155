//! Snapshot → durable store and rotated files. One thread.
//!
//! Owns the store (it alone opens SQLite for writing), the files of the report folder, their formats, their closing
//! and their retention. Must not know: packets, detection, geolocation databases.

pub mod countries;
pub mod doubtful;
pub mod events;
pub mod files;
pub mod format;
pub mod provenance;
pub mod retention;
pub mod sentence;
pub mod shape;
pub mod sources;
pub mod spread;
pub mod store;
pub mod summary;
pub mod verify;
pub mod writer;

mod csv;
mod html;
mod insert;
mod json;
mod markdown;
mod query;
mod text;

use std::path::{Path, PathBuf};

/// Why a report, or the store, could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder refused.
    #[error("{}: cannot be {act}: {error}", path.display())]
    File {
        /// What was tried: `written`, `read`, `created`.
        act: &'static str,
        /// What the system said.
        error: std::io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// The store refused.
    #[error("store {}: {error}", path.display())]
    Store {
        /// What SQLite said.
        error: rusqlite::Error,
        /// Its file.
        path: PathBuf,
    },
    /// The store was written by a newer gatewatch.
    #[error("store {}: has format {found}, this gatewatch knows up to {known}; use the newer version", path.display())]
    TooNew {
        /// Format found.
        found: i64,
        /// Newest format known.
        known: i64,
        /// Its file.
        path: PathBuf,
    },
}

impl ReportError {
    /// A file error, for `map_err`.
    pub fn file(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { act, error, path }
    }
}
