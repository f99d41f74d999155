//! What a running pipeline counts by, and taking other settings, databases and lists into use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::app::live::{Pipeline, lock, own_sites};
use crate::app::pipeline::{Order, Reload};
use crate::app::prepare;
use crate::classify::database::DatabaseInfo;
use crate::classify::geo::Geo;
use crate::config::Settings;
use crate::detect::Detector;
use crate::model::time::Timestamp;
use crate::report::provenance::Provenance;

/// How long a reload waits for the classifier to count by the new settings.
const RELOAD_MAX: Duration = Duration::from_secs(5);

/// What the classifier counts by.
#[derive(Clone)]
pub(super) struct Used {
    settings: Arc<Settings>,
    config_hash: String,
    provenance: Provenance,
    databases: Vec<DatabaseInfo>,
    lists_hash: String,
}

impl Used {
    pub(super) fn new(
        settings: &Arc<Settings>,
        config_hash: &str,
        provenance: &Provenance,
        geo: &Geo,
    ) -> Self {
        Self {
            settings: Arc::clone(settings),
            config_hash: config_hash.to_owned(),
            provenance: provenance.clone(),
            databases: geo.infos(),
            lists_hash: geo.lists().hash(),
        }
    }

    /// When each database was built, by its type.
    pub(super) fn built(&self) -> BTreeMap<String, f64> {
        let secs =
            |info: &DatabaseInfo| Some(info.build_date.parse::<jiff::Timestamp>().ok()?.as_second() as f64);
        self.databases.iter().filter_map(|info| Some((info.kind.clone(), secs(info)?))).collect()
    }

    /// Databases by name and date.
    pub(super) fn described(&self) -> Vec<String> {
        self.databases.iter().map(|info| format!("{} {}", info.kind, info.build_date)).collect()
    }
}

impl Pipeline {
    /// Takes new settings, rules and databases into use. What needs a restart keeps its value.
    pub fn reload(&self, settings: &Arc<Settings>, config_hash: &str) -> Result<(), String> {
        let _changing = lock(&self.changing);
        let detector: Arc<Detector> = prepare::detector(settings).map_err(|error| error.to_string())?;
        let geo = prepare::geo(settings).map_err(|error| error.to_string())?;
        let provenance = prepare::provenance(settings, config_hash, &detector, &geo);
        self.take(Used::new(settings, config_hash, &provenance, &geo), geo)?;
        self.detectors.replace(detector);
        lock(&self.troubles).refused = None;
        Ok(())
    }

    /// Lets the classifier count by something else.
    fn take(&self, used: Used, geo: Geo) -> Result<(), String> {
        let (taken, answer) = bounded(0);
        let (settings, provenance) = (Arc::clone(&used.settings), used.provenance.clone());
        let fallback = own_sites(&self.own, &settings);
        let order = Order::Reload(Box::new(Reload { settings, geo, fallback, provenance, taken }));
        if !self.order(order) || answer.recv_timeout(RELOAD_MAX).is_err() {
            return Err(
                "counting is too busy, or the disk holds up what was counted; nothing was changed: try again"
                    .into(),
            );
        }
        *lock(&self.used) = used;
        Ok(())
    }

    /// The settings in effect.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.used).settings)
    }

    /// Takes the databases and lists that `read` gives into use, if they are others than before. Where it gives none the
    /// ones in use stay; that is said once. False where the classifier was too busy: to be tried again.
    pub fn renew(&self, read: impl FnOnce(&Settings, &[DatabaseInfo]) -> Result<Geo, String>) -> bool {
        let _changing = lock(&self.changing);
        let old = lock(&self.used).clone();
        let geo = match read(&old.settings, &old.databases) {
            Ok(geo) => geo,
            Err(error) => {
                self.note_refused(Some(format!("{error}; what was read before stays in use")));
                return true;
            }
        };
        let detector = self.detectors.current();
        let provenance = prepare::provenance(&old.settings, &old.config_hash, &detector, &geo);
        let new = Used::new(&old.settings, &old.config_hash, &provenance, &geo);
        if (&new.databases, &new.lists_hash) != (&old.databases, &old.lists_hash) {
            let databases = new.described().join(", ");
            if let Err(error) = self.take(new, geo) {
                tracing::warn!(target: "gatewatch::retry", error, "databases are not renewed yet");
                return false;
            }
            tracing::info!(databases, "databases and lists are renewed");
        }
        self.note_refused(None);
        true
    }

    fn note_refused(&self, now: Option<String>) {
        let mut troubles = lock(&self.troubles);
        if troubles.refused != now {
            if let Some(error) = &now {
                tracing::error!(error, "database or list not taken");
            } else {
                tracing::info!("databases and lists are good again");
            }
            troubles.refused = now;
        }
    }

    /// Looks at the age of the database that decides; one that is too old is said once.
    pub fn note_age(&self, at: Timestamp) {
        let now = {
            let used = lock(&self.used);
            used.provenance.too_old(at, used.settings.origin.database_age_max_days)
        };
        let mut troubles = lock(&self.troubles);
        if let (Some(old), None) = (&now, &troubles.age) {
            tracing::warn!("{old}");
        }
        troubles.age = now;
    }
}
