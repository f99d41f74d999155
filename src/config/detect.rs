//! `[detect]`: what is judged an attack.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::origin::Network;

/// How sure a verdict must be.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// An attack from a score of 0.75 on.
    High,
    /// An attack from a score of 0.97 on.
    Low,
    /// An attack from a score of 0.90 on.
    #[default]
    Normal,
}

impl Sensitivity {
    /// The least score of an attack.
    pub const fn threshold(self) -> f32 {
        match self {
            Self::High => 0.75,
            Self::Low => 0.97,
            Self::Normal => 0.90,
        }
    }
}

/// `[detect]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detect {
    /// low | normal | high
    pub sensitivity: Sensitivity,
    /// Ids of rules that are switched off.
    pub disable: Vec<String>,
    /// Exceptions: requests that these alone call an attack are counted apart, never as attempts.
    /// In the file: [[detect.exception]].
    pub exception: Vec<Exception>,
    /// Further rule files (TOML), beside /etc/gatewatch/rules/*.toml.
    pub rules: Vec<PathBuf>,
}

/// `[[detect.exception]]`: every key given must match.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exception {
    /// Name of a `[[site]]`.
    pub site: Option<String>,
    /// Path of the request; a trailing `*` matches any rest.
    pub path: Option<String>,
    /// Name of the parameter, header or cookie.
    pub parameter: Option<String>,
    /// Id of the rule.
    pub rule: Option<String>,
    /// Address or prefix of the client, for messages outside HTTP: a secondary that transfers a zone. Of a request no
    /// exception with this key speaks, since a client may stand behind a proxy.
    pub client: Option<Network>,
}
