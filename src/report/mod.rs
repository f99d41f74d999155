//! Snapshot → durable store and rotated files. One thread.
//!
//! Owns the store (it alone opens SQLite for writing), the files of the report folder, their formats, their closing
//! and their retention. Must not know: packets, detection, geolocation databases.

pub mod by_site;
pub mod campaigns;
pub mod clock;
pub mod compare;
pub mod countries;
pub mod distinct;
pub mod dominance;
pub mod doubtful;
pub mod events;
pub mod files;
pub mod format;
pub mod incidents;
pub mod manifest;
pub mod merge;
pub mod names;
pub mod networks;
pub mod provenance;
pub mod public;
pub mod reading;
pub mod rebuild;
pub mod recount;
pub mod regimes;
pub mod retention;
pub mod rhythm;
pub mod rollup;
pub mod sentence;
pub mod shape;
pub mod sources;
pub mod span;
pub mod spread;
pub mod statement;
pub mod store;
pub mod summary;
pub mod trend;
pub mod units;
pub mod verify;
pub mod writer;
pub mod zone;

mod csv;
mod earlier;
mod event_files;
mod event_lines;
mod html;
mod insert;
mod json;
mod markdown;
mod query;
mod reconcile;
mod schema;
mod source_rows;
mod tables;
mod tally_files;
pub mod text;

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
    /// A folder without a store.
    #[error(
        "{}: holds no {}; name the daemon's state folder, or a folder that \"gatewatch replay -o\" wrote, with --from-dir",
        folder.display(),
        store::FILE_NAME
    )]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The store refused.
    #[error("store {}: {error}", path.display())]
    Store {
        /// What SQLite said.
        error: rusqlite::Error,
        /// Its file.
        path: PathBuf,
    },
    /// The store no longer tells steps as fine as the span.
    #[error(
        "{span}: the store keeps only {kept}s of that time; ask for a {kept}, or read the report that was written then"
    )]
    RolledUp {
        /// What was asked for.
        span: String,
        /// The finest step that is kept.
        kept: &'static str,
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
    /// Whether the store is damaged: to try again would not help.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Store { error, .. } if matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        ))
    }

    /// Whether it was given up for want of time.
    pub fn is_given_up(&self) -> bool {
        let code = rusqlite::ErrorCode::OperationInterrupted;
        matches!(self, Self::Store { error, .. } if error.sqlite_error_code() == Some(code))
    }

    /// A file error, for `map_err`.
    pub fn file(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { act, error, path }
    }
}
