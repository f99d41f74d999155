//! A run of the live writer, with the classifier in front of it and a clock of the test's own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;

use gatewatch::app::prepare;
use gatewatch::classify::classifier::Classifier;
use gatewatch::classify::site::Fallback;
use gatewatch::config::Settings;
use gatewatch::config::size::Size;
use gatewatch::model::attempt::{Attempt, AttemptId, Evidence, HttpFields, Judgement, Outcome, Transport};
use gatewatch::model::class::{Class, ClassSet};
use gatewatch::model::grade::Grade;
use gatewatch::model::marks::Marks;
use gatewatch::model::period::Period;
use gatewatch::model::progress::{Counter, Counters, Progress};
use gatewatch::model::time::Timestamp;
use gatewatch::report::ReportError;
use gatewatch::report::writer::closing::Settled;
use gatewatch::report::writer::{Mode, Setup, Writer};
use gatewatch::tally::Snapshot;

/// A run of the live writer, with the classifier in front of it.
pub struct Run {
    /// The writer.
    pub writer: Writer,
    classifier: Classifier,
    /// Attempts so far.
    pub attempts: u64,
    /// What the clock shows.
    pub now: Timestamp,
    /// What was repaired when it was opened.
    pub told: Vec<String>,
}

/// Settings of a run: reports of days in JSON and text, in this folder, the store in that.
pub fn settings(reports: &Path, state: &Path) -> Settings {
    let mut settings = Settings::default();
    reports.clone_into(&mut settings.report.directory);
    state.clone_into(&mut settings.state.directory);
    settings.report.formats = vec!["json".into(), "text".into()];
    settings.report.periods = vec!["day".into()];
    settings.report.keep_free = Size(0);
    settings
}

impl Run {
    /// Begins one ten minutes before a midnight.
    pub fn begin(settings: &Settings) -> Self {
        let (detector, geo) = (prepare::detector(settings).unwrap(), prepare::geo(settings).unwrap());
        let setup = Setup {
            state: settings.state.clone(),
            settings: settings.report.clone(),
            privacy: settings.privacy.clone(),
            mode: Mode::Live,
            provenance: prepare::provenance(settings, "", &detector, &geo),
            prefixes: (24, 48),
        };
        let (writer, told) = Writer::open(setup).unwrap();
        let classifier = Classifier::new(settings, geo, Fallback::Responders, 1, false);
        let now = "2026-11-26".parse::<Period>().unwrap().start().plus_micros(-600_000_000);
        Self { writer, classifier, attempts: 0, now, told }
    }

    /// A client makes an attempt.
    pub fn attempt(&mut self, client: SocketAddr, time: Timestamp) {
        self.attempts += 1;
        self.classifier.attempt(attempt(client, time));
    }

    /// A second passes, with so many attempts.
    pub fn pass(&mut self, attempts: u64) -> Snapshot {
        for _ in 0..attempts {
            let number = self.attempts;
            let client =
                format!("8.8.{}.{}:{}", number / 250 % 250, number % 250 + 1, 4_000 + number / 62_500);
            self.attempt(client.parse().unwrap(), self.now);
        }
        self.now = self.now.plus_micros(1_000_000);
        self.observe(1_000_000);
        self.classifier.take_snapshot()
    }

    /// The clock shows `now`, half a minute on; a packet came. It is recorded, and reports that are due are written.
    pub fn reach(&mut self, now: Timestamp) {
        self.now = now;
        self.observe(30_000_000);
        let mut snapshot = self.classifier.take_snapshot();
        self.writer.record(&mut snapshot).unwrap();
        self.writer.settle().unwrap();
    }

    /// The last so many microseconds were observed.
    fn observe(&mut self, micros: i64) {
        let mut counters = Counters::default();
        counters.add(Counter::FramesReceived, 1);
        let now = self.now;
        let observed = Some((now.plus_micros(-micros), now));
        self.classifier.progress(
            0,
            &Progress { now, observed, stepped: false, hour: now.hour(), counters, served: Vec::new() },
        );
    }

    /// The same; it is recorded, and reports that are due are written.
    pub fn second(&mut self, attempts: u64) -> Result<Settled, ReportError> {
        let mut snapshot = self.pass(attempts);
        self.writer.record(&mut snapshot).unwrap();
        self.writer.settle()
    }

    /// Over midnight, so that the day closes, in steps that no clock was set by.
    pub fn close_day(&mut self) {
        let end = "2026-11-26".parse::<Period>().unwrap().start().plus_micros(90_000_000);
        while self.now.micros_since(end) < 0 {
            self.now = self.now.plus_micros(50_000_000);
            self.second(0).unwrap();
        }
    }
}

fn attempt(client: SocketAddr, time: Timestamp) -> Box<Attempt> {
    let mut hasher = DefaultHasher::new();
    (client, time.0).hash(&mut hasher);
    let number = hasher.finish();
    let evidence = Evidence {
        rule: "sqli.union".into(),
        place: "query:id".into(),
        excerpt: "union select ".repeat(8).into(),
    };
    Box::new(Attempt {
        id: AttemptId(number),
        time,
        client,
        server: "203.0.113.10:80".parse().unwrap(),
        transport: Transport::Tcp,
        app_proto: "http",
        flow_id: number,
        opens_session: true,
        grade: Grade::E2,
        one_sided: false,
        inferred: false,
        frames: 1,
        judgement: Judgement {
            class: Class::WebSqli,
            labels: ClassSet::default(),
            score: 0.99,
            evidence: vec![evidence],
        },
        outcome: Outcome::Refused,
        marks: Marks::default(),
        http: Some(HttpFields { url: "/".into(), method: "GET".into(), ..HttpFields::default() }),
    })
}
