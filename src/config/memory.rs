//! `[memory]`: how much memory may be used.

use serde::{Deserialize, Serialize};

use crate::config::size::Size;

/// `[memory]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Limit of the tables and buffers together, 32MiB to 64GiB; the capture ring is not part of it.
    pub limit: Size,
}

impl Default for Memory {
    fn default() -> Self {
        Self { limit: Size::mebibytes(128) }
    }
}
