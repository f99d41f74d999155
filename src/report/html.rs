//! One self-contained page: no request to anywhere, whole without its script. Escaped by construction (maud), cleaned of letters
//! that nobody sees (`words`), and closed by a policy that runs and loads nothing else (`page`).

mod chart;
mod map;
mod method;
mod origins;
mod overview;
mod page;
mod sites;
mod tables;
mod time;
mod words;

use maud::Markup;
use serde_json::Value;

use crate::report::format::Output;
use crate::report::shape::Report;

/// A part of the page.
struct Section {
    /// Where links go.
    id: &'static str,
    title: &'static str,
    /// Its content; none where there is nothing to tell.
    write: fn(&Report, &Value) -> Option<Markup>,
}

/// The parts of the page below its head, in their order.
const SECTIONS: &[Section] = &[
    Section { id: "figures", title: "Key figures", write: |report, _| Some(overview::figures(report)) },
    Section { id: "coverage", title: "Time observed", write: |report, _| Some(overview::coverage(report)) },
    Section { id: "time", title: "Over time", write: |report, _| time::series(report) },
    Section { id: "week", title: "When in the week", write: |report, _| time::rhythm(report) },
    Section { id: "trend", title: "Month by month", write: |report, _| time::trend(report) },
    Section { id: "sites", title: "Protected sites", write: |report, _| sites::sites(report) },
    Section { id: "origins", title: "Where from", write: |report, _| Some(origins::places(report)) },
    Section { id: "networks", title: "Networks", write: |report, _| origins::networks(report) },
    Section { id: "classes", title: "What was tried", write: |report, _| sites::classes(report) },
    Section {
        id: "apart",
        title: "Counted apart: not in the headline",
        write: |report, _| origins::apart(report),
    },
    Section { id: "incidents", title: "Largest incidents", write: |report, _| origins::incidents(report) },
    Section { id: "campaigns", title: "Campaigns", write: |report, _| origins::campaigns(report) },
    Section {
        id: "evidence",
        title: "Evidence of the origin",
        write: |report, _| Some(origins::evidence(report)),
    },
    Section {
        id: "unseen",
        title: "What could not be seen",
        write: |report, _| Some(method::unseen(report)),
    },
    Section { id: "doubtful", title: "Likely false alarms", write: |report, _| method::doubtful(report) },
    Section { id: "method", title: "How it was counted", write: |report, _| Some(method::method(report)) },
    Section {
        id: "verify",
        title: "How to verify it",
        write: |report, sealed| Some(method::verify(report, sealed)),
    },
];

/// Writes the page.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    vec![Output { suffix: ".html".into(), content: page::page(report, sealed).into_string() }]
}
