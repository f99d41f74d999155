//! One source is refused a few times an hour, for hours.

use crate::classify::behaviour::act::span_text;
use crate::classify::behaviour::login::{Finding, Judge, LoginRow};
use crate::config::login::Login as Settings;
use crate::model::class::Class;
use crate::model::contact::Contact;
use crate::model::time::MICROS_PER_SEC;

/// The row of the table.
pub const ROW: LoginRow = LoginRow {
    id: "auth.slow",
    title: "One source refused a few times an hour, for hours (SSH)",
    class: Some(Class::AuthSsh),
    sections: &["login.slow"],
    judge: Judge::Source(judge),
};

/// SSH only: programs that ask for mail every few minutes with an outdated password are refused all day.
fn judge(refusals: &[Contact], class: Class, settings: &Settings) -> Option<Finding> {
    let slow = &settings.slow;
    let newest = refusals.last()?.time;
    let opens = newest.plus_micros(-i64::from(slow.window_secs) * MICROS_PER_SEC);
    let members = refusals.iter().filter(|refusal| refusal.time >= opens);
    let since = members.clone().next()?.time;
    let count = members.count();
    let is_slow = slow.enabled && class == Class::AuthSsh && count >= slow.refusals_min as usize;
    is_slow.then(|| Finding {
        since,
        excerpt: format!("{count} refused logins in {}", span_text(newest.micros_since(since))),
    })
}
