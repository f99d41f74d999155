//! One source is refused on many accounts.

use crate::classify::behaviour::act::span_text;
use crate::classify::behaviour::login::{Finding, Judge, LoginRow, account_of};
use crate::config::login::Login as Settings;
use crate::model::class::Class;
use crate::model::contact::Contact;
use crate::model::time::MICROS_PER_SEC;

/// The row of the table.
pub const ROW: LoginRow = LoginRow {
    id: "auth.spraying",
    title: "One source refused on many accounts",
    class: None,
    sections: &["login.spraying"],
    judge: Judge::Source(judge),
};

fn judge(refusals: &[Contact], _: Class, settings: &Settings) -> Option<Finding> {
    let spraying = &settings.spraying;
    let newest = refusals.last()?.time;
    let opens = newest.plus_micros(-i64::from(spraying.window_secs) * MICROS_PER_SEC);
    let members = refusals.iter().filter(|refusal| refusal.time >= opens);
    let since = members.clone().next()?.time;
    let mut accounts: Vec<u64> = members.filter_map(account_of).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let is_spraying = spraying.enabled && accounts.len() >= spraying.accounts_min as usize;
    is_spraying.then(|| Finding {
        since,
        excerpt: format!("{} accounts refused in {}", accounts.len(), span_text(newest.micros_since(since))),
    })
}
