//! Settings: text in, [`Settings`] or a complaint out.
//!
//! Owns every key: field, unit, default, range and doc comment, one file a section. Pure but for reading
//! the named files. Settings are immutable once built; a reload builds new ones.
//! Must not know: any other room but model.

pub mod capture;
pub mod detect;
pub mod memory;
pub mod origin;
pub mod report;
pub mod site;
pub mod size;
pub mod state;

use serde::{Deserialize, Serialize};

/// Everything that can be set. An empty file is a valid one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where packets come from.
    pub capture: capture::Capture,
    /// The protected sites. None: each destination address that answers is a site of its own.
    pub site: Vec<site::Site>,
    /// How origins are determined.
    pub origin: origin::OriginSettings,
    /// What is judged an attack.
    pub detect: detect::Detect,
    /// What is written, where and for how long.
    pub report: report::Report,
    /// Where the durable state lies.
    pub state: state::State,
    /// How much memory may be used.
    pub memory: memory::Memory,
}
