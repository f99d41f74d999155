//! One source is refused again and again: a bucket that leaks, one a protocol family.

use crate::classify::behaviour::act::span_text;
use crate::classify::behaviour::login::{Finding, Judge, LoginRow};
use crate::config::login::{Bucket, Login as Settings};
use crate::model::class::Class;
use crate::model::contact::Contact;
use crate::model::time::MICROS_PER_SEC;

/// The row of the table.
pub const ROW: LoginRow = LoginRow {
    id: "auth.guessing",
    title: "One source refused again and again",
    class: None,
    sections: &[
        "login.web",
        "login.ssh",
        "login.mail",
        "login.ftp",
        "login.telnet",
        "login.remote",
        "login.db",
        "login.voip",
    ],
    judge: Judge::Source(judge),
};

/// The bucket of a class.
fn bucket_of(class: Class, settings: &Settings) -> Option<Bucket> {
    Some(match class {
        Class::AuthDb => settings.db.bucket(),
        Class::AuthFtp => settings.ftp.bucket(),
        Class::AuthMail => settings.mail.bucket(),
        Class::AuthRemote => settings.remote.bucket(),
        Class::AuthSsh => settings.ssh.bucket(),
        Class::AuthTelnet => settings.telnet.bucket(),
        Class::AuthVoip => settings.voip.bucket(),
        Class::AuthWeb => settings.web.bucket(),
        _ => return None,
    })
}

/// The level is kept in microseconds: each refusal adds the time in which one leaks away. What is in the bucket since it was
/// last empty belongs together.
fn judge(refusals: &[Contact], class: Class, settings: &Settings) -> Option<Finding> {
    let bucket = bucket_of(class, settings).filter(|bucket| bucket.enabled)?;
    let leak = i64::from(bucket.leak_secs) * MICROS_PER_SEC;
    let mut since = refusals.first()?.time;
    let mut last = since;
    let (mut level, mut held) = (0_i64, 0_u32);
    for refusal in refusals {
        level = level.saturating_sub(refusal.time.micros_since(last)).max(0);
        last = refusal.time;
        if level == 0 {
            (since, held) = (refusal.time, 0);
        }
        level = level.saturating_add(leak);
        held += 1;
    }
    // A started one is a whole one: six within seconds are six.
    let is_full = level > leak.saturating_mul(i64::from(bucket.refusals_min) - 1);
    is_full.then(|| Finding {
        since,
        excerpt: format!("{held} refused logins in {}", span_text(last.micros_since(since))),
    })
}
