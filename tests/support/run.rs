//! A run of the live writer, with the classifier in front of it and a clock of the test's own.

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

impl Run {
    /// Begins one ten minutes before a midnight.
    pub fn begin(reports: &Path, state: &Path, keep_free: u64) -> Self {
        let mut settings = Settings::default();
        reports.clone_into(&mut settings.report.directory);
        state.clone_into(&mut settings.state.directory);
        settings.report.formats = vec!["json".into(), "text".into()];
        settings.report.periods = vec!["day".into()];
        settings.report.keep_free = Size(keep_free);
        let (detector, geo) = (prepare::detector(&settings).unwrap(), prepare::geo(&settings).unwrap());
        let setup = Setup {
            state: settings.state.clone(),
            settings: settings.report.clone(),
            privacy: settings.privacy.clone(),
            mode: Mode::Live,
            provenance: prepare::provenance(&settings, "", &detector, &geo),
            prefixes: (24, 48),
        };
        let (writer, told) = Writer::open(setup).unwrap();
        let classifier = Classifier::new(&settings, geo, Fallback::Responders, 1, false);
        let now = "2026-11-26".parse::<Period>().unwrap().start().plus_micros(-600_000_000);
        Self { writer, classifier, attempts: 0, now, told }
    }

    /// A second passes, with so many attempts.
    pub fn pass(&mut self, attempts: u64) -> Snapshot {
        for _ in 0..attempts {
            self.attempts += 1;
            self.classifier.attempt(attempt(self.attempts, self.now));
        }
        let before = self.now;
        self.now = self.now.plus_micros(1_000_000);
        let mut counters = Counters::default();
        counters.add(Counter::FramesReceived, 1);
        self.classifier.progress(
            0,
            &Progress {
                now: self.now,
                observed: Some((before, self.now)),
                stepped: false,
                hour: self.now.hour(),
                counters,
                served: Vec::new(),
            },
        );
        self.classifier.take_snapshot()
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

fn attempt(number: u64, time: Timestamp) -> Box<Attempt> {
    let client: SocketAddr = format!("8.8.{}.{}:4000", number / 250 % 250, number % 250 + 1).parse().unwrap();
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
