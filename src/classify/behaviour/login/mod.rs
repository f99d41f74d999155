//! Refused logins: who guesses. A bucket for each source, class and site; crowds upon one account or one site.
//!
//! A person who mistypes a password is no attack: few refusals are forgiven, and a success forgives all of them.

pub mod distributed;
pub mod guessing;
pub mod slow;
pub mod spraying;
pub mod stuffing;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::classify::behaviour::act::{self, Reason};
use crate::classify::behaviour::crowd::{Crowd, Member};
use crate::classify::behaviour::table::{Held, Table};
use crate::classify::behaviour::{Aim, Judged};
use crate::config::login::Login as Settings;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::class::Class;
use crate::model::contact::{Act, Contact, Login, NameHash};
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_DAY, MICROS_PER_SEC, Timestamp};

/// Refusals that are kept of a bucket while it is not judged: the largest threshold is 48. Each has some 140 bytes.
const REFUSALS_MAX: usize = 64;
/// How long the last refusal waits for a success that may follow: guessing tools try again within seconds.
const SUCCESS_MICROS: i64 = 10 * MICROS_PER_SEC;

/// A detector of this family.
#[derive(Debug)]
pub struct LoginRow {
    /// Stable id of the rule.
    pub id: &'static str,
    /// For people: what it sees.
    pub title: &'static str,
    /// The class, where its logins are all of one.
    pub class: Option<Class>,
    /// Tables of the settings.
    pub sections: &'static [&'static str],
    /// The detector.
    pub judge: Judge,
}

/// What a detector looks at.
#[derive(Clone, Copy, Debug)]
pub enum Judge {
    /// The refusals of one account of a site, whoever asked: what it saw, for people.
    Account(fn(&Crowd, &Settings) -> Option<String>),
    /// The refusals of a site.
    Site(fn(&Crowd, &Settings) -> Option<String>),
    /// The refusals of a source in one class at one site, in the order of time.
    Source(fn(&[Contact], Class, &Settings) -> Option<Finding>),
}

/// The detectors.
pub const LOGINS: &[LoginRow] = &[guessing::ROW, spraying::ROW, slow::ROW, distributed::ROW, stuffing::ROW];

/// What a detector found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Refusals from then on belong to it.
    pub since: Timestamp,
    /// What it saw, for people.
    pub excerpt: String,
}

type Key = (SourceKey, Class, Arc<str>);
/// Site, class, and the account; none for the site as a whole.
type CrowdKey = (Arc<str>, Class, Option<u64>);

/// The refusals of one source in one class at one site.
#[derive(Debug, Default)]
struct Bucket {
    /// Not judged yet, in the order of time.
    refusals: Vec<Contact>,
    /// Why it was judged, and the last refusal since.
    judged: Option<(Reason, Timestamp)>,
    /// The last refusal that counts; it is told when no success follows.
    last: Option<Box<Attempt>>,
    /// Conversation of the last one.
    flow: Option<u64>,
}

impl Held for Bucket {
    fn held(&self) -> usize {
        let last = self.last.as_ref().map_or(0, |_| size_of::<Attempt>() + 256);
        let marks: usize = self.refusals.iter().map(|refusal| refusal.marks.held()).sum();
        self.refusals.capacity() * size_of::<Contact>() + marks + last
    }
}

/// The state machines of all logins.
#[derive(Debug)]
pub struct Logins {
    buckets: Table<Key, Bucket>,
    crowds: Table<CrowdKey, Crowd>,
    /// Buckets whose last refusal waits, by the time it is told.
    waiting: VecDeque<(Timestamp, Key)>,
    settings: Settings,
    gap_micros: i64,
}

/// The account that a login named.
const fn login_of(act: &Contact) -> Option<Login> {
    match act.act {
        Act::Login(login) => Some(login),
        Act::Touched(_) | Act::Unmet(_) => None,
    }
}

fn account_of(act: &Contact) -> Option<u64> {
    login_of(act).and_then(|login| login.account).map(NameHash::number)
}

impl Logins {
    /// Uses up to `memory_bytes`.
    pub fn new(memory_bytes: usize, settings: &Settings, gap_micros: i64) -> Self {
        Self {
            buckets: Table::new(memory_bytes / 4 * 3, MICROS_PER_DAY),
            crowds: Table::new(memory_bytes / 4, MICROS_PER_DAY),
            waiting: VecDeque::new(),
            settings: settings.clone(),
            gap_micros,
        }
    }

    /// Takes new settings; windows and what was judged stay.
    pub fn reload(&mut self, settings: &Settings, gap_micros: i64) {
        self.settings = settings.clone();
        self.gap_micros = gap_micros;
    }

    /// Takes a credential and its fate.
    pub fn login(&mut self, act: &Contact, aim: &Aim, out: &mut Judged) {
        let Some(login) = login_of(act) else { return };
        if aim.is_proxy {
            // Everybody behind the proxy would share a bucket.
            out.sums.logins += u64::from(!login.accepted);
            return;
        }
        self.turn(act.time, out);
        let key = (aim.source, login.class, Arc::clone(&aim.site));
        if login.accepted {
            self.buckets.known(&key, |bucket| bucket.accept(act, account_of(act), out));
        } else if !self.refused_by_source(act, &key, out) {
            self.refused_in_crowds(act, &key, out);
        }
    }

    /// The refusal of a source. Says whether it counted.
    fn refused_by_source(&mut self, act: &Contact, key: &Key, out: &mut Judged) -> bool {
        let (settings, gap_micros) = (&self.settings, self.gap_micros);
        let waited = self.buckets.known(key, |bucket| bucket.last.is_some()).unwrap_or(false);
        let counted = self.buckets.entry(key, Bucket::default, |bucket| {
            if bucket.goes_on(act, key.1, gap_micros, out) {
                return true;
            }
            bucket.insert(act.clone(), out);
            for row in LOGINS {
                let Judge::Source(judge) = row.judge else { continue };
                if let Some(finding) = judge(&bucket.refusals, key.1, settings) {
                    bucket.convict(row, key.1, finding, out);
                    return true;
                }
            }
            false
        });
        let counted = counted.unwrap_or(false);
        if counted && !waited {
            self.waiting.push_back((act.time.plus_micros(SUCCESS_MICROS), key.clone()));
        }
        counted
    }

    /// The refusal as one of many sources'.
    fn refused_in_crowds(&mut self, act: &Contact, (source, class, site): &Key, out: &mut Judged) {
        let settings = &self.settings;
        let account = account_of(act);
        for row in LOGINS {
            let (judge, account, window_secs) = match (row.judge, account) {
                (Judge::Account(judge), Some(_)) => (judge, account, settings.distributed.window_secs),
                (Judge::Site(judge), _) => (judge, None, settings.stuffing.window_secs),
                _ => continue,
            };
            let crowd_key = (Arc::clone(site), *class, account);
            let target = account_of(act).unwrap_or_default();
            let found = self.crowds.entry(&crowd_key, Crowd::default, |crowd| {
                crowd.note(Member { time: act.time, source: *source, target }, window_secs);
                judge(crowd, settings).map(|excerpt| (excerpt, crowd.sources()))
            });
            let Some((excerpt, sources)) = found.flatten() else { continue };
            let since = act.time.plus_micros(-i64::from(window_secs) * MICROS_PER_SEC);
            let reason = Reason { rule: row.id, excerpt: excerpt.into(), targets: None };
            for source in sources {
                let key = (source, *class, Arc::clone(site));
                self.buckets.known(&key, |bucket| bucket.give((account, since), *class, &reason, out));
            }
            return;
        }
    }

    /// Tells the refusals after which no success came.
    pub fn progress(&mut self, now: Timestamp, out: &mut Judged) {
        while let Some((due, _)) = self.waiting.front()
            && *due <= now
            && let Some((_, key)) = self.waiting.pop_front()
        {
            let next = self.buckets.known(&key, |bucket| {
                let told = bucket.last.as_ref()?.time.plus_micros(SUCCESS_MICROS);
                if told <= now {
                    out.attempts.extend(bucket.last.take());
                    return None;
                }
                Some(told)
            });
            if let Some(told) = next.flatten() {
                self.waiting.push_back((told, key));
            }
        }
    }

    /// The end: what waits is told, what was not judged is counted as that.
    pub fn finish(&mut self, out: &mut Judged) {
        self.waiting.clear();
        for (_, bucket) in self.buckets.take().into_iter().flatten() {
            bucket.forget(out);
        }
    }

    /// Makes room.
    fn turn(&mut self, now: Timestamp, out: &mut Judged) {
        if let Some((gone, is_full)) = self.buckets.turn(now) {
            out.sums.windows_forgotten += if is_full { gone.len() as u64 } else { 0 };
            for bucket in gone.into_values() {
                bucket.forget(out);
            }
        }
        if let Some((gone, true)) = self.crowds.turn(now) {
            out.sums.windows_forgotten += gone.len() as u64;
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.buckets.bytes() + self.crowds.bytes()
    }
}

impl Bucket {
    /// Keeps a refusal in its place; of too many, and of those a day old, the oldest go.
    fn insert(&mut self, act: Contact, out: &mut Judged) {
        let at = self.refusals.partition_point(|known| (known.time, known.id.0) <= (act.time, act.id.0));
        let newest = self.refusals.last().map_or(act.time, |last| last.time.max(act.time));
        self.refusals.insert(at, act);
        let old = self.refusals.partition_point(|known| newest.micros_since(known.time) > MICROS_PER_DAY);
        let over = self.refusals.len().saturating_sub(REFUSALS_MAX).max(old);
        self.refusals.drain(..over);
        out.sums.logins += over as u64;
    }

    /// A bucket that was judged: the refusal counts at once.
    fn goes_on(&mut self, act: &Contact, class: Class, gap_micros: i64, out: &mut Judged) -> bool {
        let Some((reason, last)) = &mut self.judged else { return false };
        if act.time.micros_since(*last).saturating_abs() > gap_micros {
            self.judged = None;
            out.attempts.extend(self.last.take());
            return false;
        }
        *last = act.time.max(*last);
        let attempt = act::attempt(act, class, reason);
        self.hold(attempt, out);
        true
    }

    /// Judged: the refusals since the window opened count, the earlier ones do not.
    fn convict(&mut self, row: &LoginRow, class: Class, finding: Finding, out: &mut Judged) {
        let reason = Reason { rule: row.id, excerpt: finding.excerpt.into(), targets: None };
        let mut last = finding.since;
        for act in std::mem::take(&mut self.refusals) {
            if act.time < finding.since {
                out.sums.logins += 1;
                continue;
            }
            last = last.max(act.time);
            let attempt = act::attempt(&act, class, &reason);
            self.hold(attempt, out);
        }
        self.judged = Some((reason, last));
    }

    /// Takes an attempt in the place of the last one, which is told.
    fn hold(&mut self, mut attempt: Box<Attempt>, out: &mut Judged) {
        attempt.opens_session = self.flow.replace(attempt.flow_id) != Some(attempt.flow_id);
        out.attempts.extend(self.last.replace(attempt));
    }

    /// Gives the refusals that belong to a crowd.
    fn give(
        &mut self,
        (account, since): (Option<u64>, Timestamp),
        class: Class,
        reason: &Reason,
        out: &mut Judged,
    ) {
        let belongs = |act: &Contact| act.time >= since && (account.is_none() || account_of(act) == account);
        let (given, kept) = std::mem::take(&mut self.refusals).into_iter().partition(belongs);
        self.refusals = kept;
        let given: Vec<Contact> = given;
        for act in given {
            let mut attempt = act::attempt(&act, class, reason);
            attempt.opens_session = self.flow.replace(act.flow_id) != Some(act.flow_id);
            out.attempts.push(attempt);
        }
    }

    /// A login that succeeds forgives what went before; after a judgement it is the outcome of the last refusal.
    fn accept(&mut self, act: &Contact, account: Option<u64>, out: &mut Judged) {
        if let Some(mut last) = self.last.take() {
            last.outcome = Outcome::LikelySuccess;
            out.attempts.push(last);
            return;
        }
        let before = self.refusals.len();
        // Somebody who has an account of his own must not wash himself clean of guessing at others'.
        self.refusals.retain(|refusal| {
            let is_other = account.is_some() && account_of(refusal).is_some_and(|name| Some(name) != account);
            is_other || refusal.time > act.time
        });
        out.sums.logins += (before - self.refusals.len()) as u64;
    }

    /// The window is over.
    fn forget(mut self, out: &mut Judged) {
        out.attempts.extend(self.last.take());
        out.sums.logins += self.refusals.len() as u64;
    }
}

#[cfg(test)]
mod tests;
