//! Many sources are refused on one account.

use crate::classify::behaviour::crowd::Crowd;
use crate::classify::behaviour::login::{Judge, LoginRow};
use crate::config::login::Login as Settings;

/// The row of the table.
pub const ROW: LoginRow = LoginRow {
    id: "auth.distributed",
    title: "Many sources refused on one account",
    class: None,
    sections: &["login.distributed"],
    judge: Judge::Account(judge),
};

fn judge(crowd: &Crowd, settings: &Settings) -> Option<String> {
    let distributed = &settings.distributed;
    if !distributed.enabled || crowd.acts() < distributed.sources_min as usize {
        return None;
    }
    let (sources, _) = crowd.distinct();
    (sources >= distributed.sources_min as usize).then(|| format!("{sources} sources refused on one account"))
}
