//! The detector in use, shared by all workers.

use std::sync::{Arc, PoisonError, RwLock};

use crate::detect::Detector;

/// A detector that can be replaced while workers run: each looks for a new one when it tells its progress.
#[derive(Debug)]
pub struct DetectorCell(RwLock<Arc<Detector>>);

impl DetectorCell {
    /// Holds a detector.
    pub const fn new(detector: Arc<Detector>) -> Self {
        Self(RwLock::new(detector))
    }

    /// The one in use.
    pub fn current(&self) -> Arc<Detector> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another in its place.
    pub fn replace(&self, detector: Arc<Detector>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = detector;
    }
}
