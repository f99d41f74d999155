//! `[privacy]`: what is kept of addresses.

use serde::{Deserialize, Serialize};

/// What is written of a source's address, in every file and the store.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Addresses {
    /// The address.
    #[default]
    Full,
    /// A pseudonym: the same for a source throughout a calendar month, under a key that is then destroyed.
    Pseudonym,
    /// Its prefix (`origin.prefix_v4`, `origin.prefix_v6`).
    Truncate,
}

impl Addresses {
    /// The name in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Pseudonym => "pseudonym",
            Self::Truncate => "truncate",
        }
    }
}

/// `[privacy]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// full | truncate | pseudonym
    pub addresses: Addresses,
    /// Days that the store keeps addresses, 1 to 36500; then tallies by prefix. Not beyond `state.keep_days_days`.
    pub keep_addresses_days: u32,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { addresses: Addresses::Full, keep_addresses_days: 90 }
    }
}
