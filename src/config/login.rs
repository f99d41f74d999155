//! `[login]`: when refused logins are an attack. One table a protocol family, and one a kind of attack upon accounts.

use serde::{Deserialize, Serialize};

/// `[login]`
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Web logins.
    pub web: Guessing<8, 15>,
    /// SSH.
    pub ssh: Guessing<6, 60>,
    /// SMTP, IMAP, POP3.
    pub mail: Guessing<6, 60>,
    /// FTP.
    pub ftp: Guessing<6, 60>,
    /// Telnet.
    pub telnet: Guessing<6, 60>,
    /// Remote desktops and file shares.
    pub remote: Guessing<10, 60>,
    /// Databases.
    pub db: Guessing<6, 60>,
    /// Telephony.
    pub voip: Guessing<15, 60>,
    /// SSH, few tries an hour.
    pub slow: Slow,
    /// One source, many accounts.
    pub spraying: Spraying,
    /// Many sources, one account.
    pub distributed: Distributed,
    /// Many sources, many accounts of one site.
    pub stuffing: Stuffing,
}

/// How often one source may be refused: a bucket that leaks, and its defaults.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Guessing<const REFUSALS_MIN: u32, const LEAK_SECS: u32> {
    /// Whether it is looked for.
    #[serde(default = "super::yes")]
    pub enabled: bool,
    /// Refused logins that are an attack, 2 to 48.
    #[serde(default = "super::number::<REFUSALS_MIN>")]
    pub refusals_min: u32,
    /// Seconds after which one of them is forgiven, 1 to 3600.
    #[serde(default = "super::number::<LEAK_SECS>")]
    pub leak_secs: u32,
}

/// A bucket, whatever its defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Refused logins that are an attack.
    pub refusals_min: u32,
    /// Seconds after which one of them is forgiven.
    pub leak_secs: u32,
}

impl<const REFUSALS_MIN: u32, const LEAK_SECS: u32> Default for Guessing<REFUSALS_MIN, LEAK_SECS> {
    fn default() -> Self {
        Self { enabled: true, refusals_min: REFUSALS_MIN, leak_secs: LEAK_SECS }
    }
}

impl<const REFUSALS_MIN: u32, const LEAK_SECS: u32> Guessing<REFUSALS_MIN, LEAK_SECS> {
    /// Its values.
    pub const fn bucket(&self) -> Bucket {
        Bucket { enabled: self.enabled, refusals_min: self.refusals_min, leak_secs: self.leak_secs }
    }
}

/// `[login.slow]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slow {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Refused logins that are an attack, 2 to 48.
    pub refusals_min: u32,
    /// Seconds that they are seen together, 1 to 86400.
    pub window_secs: u32,
}

/// `[login.spraying]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spraying {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Accounts refused to one source, 2 to 48.
    pub accounts_min: u32,
    /// Seconds that they are seen together, 1 to 86400.
    pub window_secs: u32,
}

/// `[login.distributed]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distributed {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Sources refused on one account of one site, 3 to 1000.
    pub sources_min: u32,
    /// Seconds that they are seen together, 1 to 86400.
    pub window_secs: u32,
}

/// `[login.stuffing]`
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stuffing {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Sources refused at one site, 5 to 1000.
    pub sources_min: u32,
    /// Seconds that they are seen together, 1 to 86400.
    pub window_secs: u32,
    /// How many times the site's own average there must be, 1 to 1000.
    pub factor: u32,
}

impl Default for Slow {
    fn default() -> Self {
        Self { enabled: true, refusals_min: 20, window_secs: 86_400 }
    }
}

impl Default for Spraying {
    fn default() -> Self {
        Self { enabled: true, accounts_min: 5, window_secs: 600 }
    }
}

impl Default for Distributed {
    fn default() -> Self {
        Self { enabled: true, sources_min: 15, window_secs: 600 }
    }
}

impl Default for Stuffing {
    fn default() -> Self {
        Self { enabled: true, sources_min: 50, window_secs: 600, factor: 8 }
    }
}
