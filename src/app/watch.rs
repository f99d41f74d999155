//! Watches the files that origins are read from, and takes a replaced one into use without a restart.
//!
//! A file is judged before it is used: it must open, be of the kind of the one before, not have shrunk to less than half
//! of it. Else the last good one stays, which is said once in the log and stands in the status.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::app::live::Pipeline;
use crate::app::prepare;
use crate::capture::live::clock;
use crate::classify::database::DatabaseInfo;
use crate::classify::geo::Geo;
use crate::config::Settings;

/// How often the files are looked at. A changed one is read when it looked the same twice, so that one that is being
/// written is not taken for a damaged one.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells that a file is another one than before.
type Stamp = (PathBuf, Option<[i64; 5]>);

/// The files as of the last look.
#[derive(Debug)]
pub struct Watch {
    /// As of the last time that they were read.
    read: Vec<Stamp>,
    /// As of the last look.
    seen: Vec<Stamp>,
}

impl Watch {
    /// Begins with the files as they are; to be made before they are read for the first time.
    pub fn new(settings: &Settings) -> Self {
        let stamps = stamps(settings);
        Self { read: stamps.clone(), seen: stamps }
    }

    /// Whether the files differ from those read, and have stopped changing. They are then taken for read.
    fn is_due(&mut self, now: Vec<Stamp>) -> bool {
        let settled = now == self.seen;
        self.seen = now;
        if !settled || self.seen == self.read {
            return false;
        }
        self.read.clone_from(&self.seen);
        true
    }

    /// Looks once. Reads files, so it is not for the control plane's own thread.
    fn look(&mut self, pipeline: &Pipeline) {
        if self.is_due(stamps(&pipeline.settings())) && !pipeline.renew(fresh) {
            self.read.clear();
        }
        pipeline.note_age(clock());
    }
}

/// Looks again and again, until it is aborted.
pub async fn watch(mut watch: Watch, pipeline: Arc<Pipeline>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let pipeline = Arc::clone(&pipeline);
        let looked = tokio::task::spawn_blocking(move || {
            watch.look(&pipeline);
            watch
        });
        // It fails only when the runtime ends.
        let Ok(back) = looked.await else { return };
        watch = back;
    }
}

fn stamps(settings: &Settings) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        // Numbers are compared, never counted with: wrapping is harmless.
        Some([
            meta.dev().cast_signed(),
            meta.ino().cast_signed(),
            meta.size().cast_signed(),
            meta.mtime(),
            meta.mtime_nsec(),
        ])
    };
    prepare::geo_files(settings).into_iter().map(|path| (path.clone(), stamp(&path))).collect()
}

/// Reads the files anew and compares with what is in use.
fn fresh(settings: &Settings, used: &[DatabaseInfo]) -> Result<Geo, String> {
    let (geo, passed_over) = prepare::open_geo(settings).map_err(|error| error.to_string())?;
    for error in &passed_over {
        if used.iter().any(|old| Path::new(&old.path) == error.path) {
            return Err(error.to_string());
        }
        tracing::warn!(%error, "database passed over");
    }
    let new = geo.infos();
    match used.iter().find_map(|old| complaint(old, &new, settings)) {
        Some(complaint) => Err(complaint),
        None => Ok(geo),
    }
}

/// What is wrong with the one that comes after `old`.
fn complaint(old: &DatabaseInfo, new: &[DatabaseInfo], settings: &Settings) -> Option<String> {
    let is_configured = settings.origin.databases.iter().any(|path| *path == Path::new(&old.path));
    if !is_configured
        && old.path != "embedded"
        && settings.origin.databases.is_empty()
        && !Path::new(&old.path).exists()
    {
        return Some(format!("{} is gone", old.path));
    }
    let at_path = new.iter().find(|new| new.path == old.path);
    let next = at_path.or_else(|| new.iter().find(|new| new.kind == old.kind))?;
    let lacks = |had: bool, has: bool, what: &str| {
        (had && !has).then(|| {
            format!("{} is of type {:?} and tells no {what}, as {:?} did", next.path, next.kind, old.kind)
        })
    };
    lacks(old.tells.countries, next.tells.countries, "countries")
        .or_else(|| lacks(old.tells.systems, next.tells.systems, "autonomous systems"))
        .or_else(|| lacks(old.tells.infrastructure, next.tells.infrastructure, "kinds of network"))
        .or_else(|| {
            (next.nodes < old.nodes / 2).then(|| {
                format!("{} has {} nodes, less than half of the {} before", next.path, next.nodes, old.nodes)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::database::Tells;

    fn info(path: &str, nodes: u32, countries: bool) -> DatabaseInfo {
        DatabaseInfo {
            kind: "X-Country".into(),
            build_date: String::new(),
            sha256: String::new(),
            path: path.into(),
            attribution: None,
            nodes,
            tells: Tells { countries, ..Tells::default() },
        }
    }

    #[test]
    fn a_file_is_read_when_it_has_stopped_changing() {
        let stamp = |size: i64| vec![(PathBuf::from("/x"), Some([1, 2, size, 3, 4]))];
        let mut watch = Watch { read: stamp(1), seen: stamp(1) };
        assert!(!watch.is_due(stamp(1)));
        assert!(!watch.is_due(stamp(2)), "it may still be written");
        assert!(!watch.is_due(stamp(3)));
        assert!(watch.is_due(stamp(3)));
        assert!(!watch.is_due(stamp(3)), "read once, good or bad");
        assert!(!watch.is_due(Vec::new()));
        assert!(watch.is_due(Vec::new()), "gone for good");
    }

    #[test]
    fn what_has_shrunk_or_tells_less_is_not_taken() {
        let settings = Settings::default();
        let old = info("embedded", 1_000, true);
        let asked = |new: DatabaseInfo| complaint(&old, &[new], &settings);
        assert_eq!(asked(info("/new.mmdb", 500, true)), None);
        assert!(asked(info("/new.mmdb", 499, true)).unwrap().contains("less than half"));
        assert!(asked(info("/new.mmdb", 5_000, false)).unwrap().contains("no countries"));
        assert!(complaint(&info("/nowhere/x.mmdb", 1, true), &[], &settings).unwrap().contains("gone"));
        let other = DatabaseInfo { kind: "Y-ASN".into(), ..info("/y.mmdb", 1, false) };
        assert_eq!(asked(other), None, "another kind beside it is no successor");
    }
}
