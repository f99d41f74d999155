//! Word of each incident's start and end, for whoever hooks on: an alert, fail2ban. gatewatch itself blocks nothing.
//!
//! Under systemd a message with fields of its own goes to the journal by its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>), elsewhere the same text is a line on standard error.

mod notices;

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use crate::app::journal::notices::{Incident, Notice, Notices};
use crate::app::logging::limit::INCIDENT;
use crate::config::report::Report;
use crate::model::time::Timestamp;
use crate::tally::{OpenIncident, Snapshot};

/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// Kinds of messages, which never change: `journalctl MESSAGE_ID=…`.
const STARTED_ID: &str = "06322dfe035f43ee99b8543b86b67787";
const ENDED_ID: &str = "9322e15a468d47d78009e80d35aaa738";
const LEFT_OUT_ID: &str = "f8b22e6b71aa4099bddd1f5076a98916";

/// Tells of incidents.
#[derive(Debug)]
pub struct Herald {
    notices: Notices,
    journal: Option<UnixDatagram>,
    is_on: bool,
}

impl Herald {
    /// To be opened before the process is confined. Incidents that began before `now` were told of by an earlier run.
    pub fn open(settings: &Report, now: Timestamp) -> Self {
        Self { notices: Notices::new(settings, now), journal: journal(), is_on: settings.journal }
    }

    /// Takes the incidents that an earlier run told of and that may go on: their end is told.
    pub fn preload(&mut self, open: &[OpenIncident]) {
        for incident in open {
            self.notices.preload(incident);
        }
    }

    /// Takes new settings.
    pub fn reload(&mut self, settings: &Report) {
        self.is_on = settings.journal;
        self.notices.reload(settings);
    }

    /// Tells of what began and ended by now. What is not told is followed all the same, so that it can be switched on.
    pub fn tell(&mut self, snapshot: &Snapshot) {
        for notice in self.notices.take(snapshot) {
            if self.is_on {
                let (message, fields) = put(&notice);
                let sent = self
                    .journal
                    .as_ref()
                    .is_some_and(|journal| journal.send(&native(&message, &fields)).is_ok());
                if !sent {
                    // Its level is that of any other word.
                    tracing::info!(target: INCIDENT, "{message}");
                }
            }
        }
    }
}

/// The journal, if that is where standard error goes (systemd.exec(5), `$JOURNAL_STREAM`).
fn journal() -> Option<UnixDatagram> {
    let wanted = std::env::var("JOURNAL_STREAM").ok()?;
    let error_stream = std::fs::metadata("/proc/self/fd/2").ok()?;
    if wanted != format!("{}:{}", error_stream.dev(), error_stream.ino()) {
        return None;
    }
    let socket = UnixDatagram::unbound().ok()?;
    // A journal that is slow must hold up nothing.
    socket.set_nonblocking(true).ok()?;
    socket.connect(JOURNAL).ok()?;
    Some(socket)
}

/// Name and value of a field.
type FieldValue = (&'static str, String);

/// The text of a notice, and its fields.
fn put(notice: &Notice) -> (String, Vec<FieldValue>) {
    match notice {
        Notice::Started(incident) => with_fields("incident started", (STARTED_ID, "5"), incident),
        Notice::Ended(incident) => with_fields("incident ended", (ENDED_ID, "6"), incident),
        Notice::LeftOut(count) => {
            let message = format!(
                "incidents left out: {count} more started in a minute than report.journal_per_minute"
            );
            let fields = vec![
                ("MESSAGE_ID", LEFT_OUT_ID.to_owned()),
                ("PRIORITY", "4".to_owned()),
                ("GATEWATCH_LEFT_OUT", count.to_string()),
            ];
            (message, fields)
        }
    }
}

fn with_fields(what: &str, (id, priority): (&str, &str), incident: &Incident) -> (String, Vec<FieldValue>) {
    let Incident { source, class, site, country, grade, attempts, .. } = incident;
    let (first, last) = (incident.first.to_string(), incident.last.to_string());
    let message = format!(
        "{what}: source={source} class={} site={site:?} country={country} grade={grade} attempts={attempts} \
         first={first} last={last}",
        class.id()
    );
    let fields = vec![
        ("MESSAGE_ID", id.to_owned()),
        ("PRIORITY", priority.to_owned()),
        ("GATEWATCH_SOURCE", source.clone()),
        ("GATEWATCH_CLASS", class.id().to_owned()),
        ("GATEWATCH_SITE", site.to_string()),
        ("GATEWATCH_COUNTRY", country.clone()),
        ("GATEWATCH_GRADE", grade.clone()),
        ("GATEWATCH_ATTEMPTS", attempts.to_string()),
        ("GATEWATCH_FIRST", first),
        ("GATEWATCH_LAST", last),
    ];
    (message, fields)
}

/// A datagram of the native protocol. Control characters, a line feed above all, would begin another field.
fn native(message: &str, fields: &[FieldValue]) -> Vec<u8> {
    let plain = |text: &str| text.replace(char::is_control, " ");
    let mut datagram = format!("MESSAGE={}\nSYSLOG_IDENTIFIER=gatewatch\n", plain(message));
    for (name, value) in fields {
        // Writing to a String cannot fail.
        let _ = writeln!(datagram, "{name}={}", plain(value));
    }
    datagram.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::Class;

    fn incident(site: &str) -> Incident {
        Incident {
            source: "8.8.8.8".into(),
            class: Class::WebSqli,
            site: site.into(),
            country: "US".into(),
            grade: "E2".into(),
            attempts: 3,
            first: Timestamp::from_parts(1_800_000_000, 0),
            last: Timestamp::from_parts(1_800_000_005, 0),
        }
    }

    #[test]
    fn no_text_can_begin_another_field() {
        let (message, fields) = put(&Notice::Started(incident("a\nPRIORITY=0\nb")));
        let datagram = String::from_utf8(native(&message, &fields)).unwrap();
        let names: Vec<&str> = datagram.lines().map(|line| line.split('=').next().unwrap()).collect();
        assert_eq!(names.iter().filter(|name| **name == "PRIORITY").count(), 1, "{datagram}");
        assert_eq!(names.len(), fields.len() + 2);
        assert!(datagram.contains("\nPRIORITY=5\n") && datagram.contains("\nGATEWATCH_SOURCE=8.8.8.8\n"));
    }

    #[test]
    fn start_and_end_are_told_apart_by_their_kind() {
        let (started, of_start) = put(&Notice::Started(incident("a")));
        let (ended, of_end) = put(&Notice::Ended(incident("a")));
        assert!(
            started.starts_with(
                "incident started: source=8.8.8.8 class=web.sqli site=\"a\" country=US grade=E2 "
            )
        );
        assert!(ended.starts_with("incident ended: source=8.8.8.8 "));
        assert_ne!(of_start[0], of_end[0]);
        for id in [STARTED_ID, ENDED_ID, LEFT_OUT_ID] {
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let docs = include_str!("../../docs/operating.md");
            assert!(docs.contains(id), "{id} is not in docs/operating.md");
        }
    }
}
