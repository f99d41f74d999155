//! The page around the sections: head, contents, landmarks, and a policy that lets nothing else in.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::report::html::words::{period, shown};
use crate::report::html::{SECTIONS, overview};
use crate::report::shape::Report;

const STYLE: &str = include_str!("style.css");
/// Makes tables sortable; without it the page is whole.
const SCRIPT: &str = include_str!("sort.js");

/// Nothing is fetched and nothing runs but the style and the script of this page, which are named by their hashes: even if a
/// string from the wire became markup, a browser would not obey it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The whole page.
pub fn page(report: &Report, sealed: &Value) -> Markup {
    let sections: Vec<_> = SECTIONS
        .iter()
        .filter_map(|section| Some((section.id, section.title, (section.write)(report, sealed)?)))
        .collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(*POLICY);
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Attacks in " (period(&report.period.name)) " – gatewatch report" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the numbers" }
                (overview::head(report))
                nav aria-label="Contents" {
                    ul { @for (id, title, _) in &sections { li { a href=(format!("#{id}")) { (title) } } } }
                }
                main id="main" {
                    @for (id, title, content) in &sections {
                        section id=(id) aria-labelledby=(format!("{id}-title")) {
                            h2 id=(format!("{id}-title")) { (title) }
                            (content)
                        }
                    }
                }
                footer {
                    p { "Made by gatewatch " (shown(&report.gatewatch_version)) " from " code { "report-" (shown(&report.period.name)) ".json" } ". This page asks nothing of any network." }
                }
                (hatching())
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Lines for what has no number: holes in time, land without a code.
fn hatching() -> Markup {
    html! {
        svg.defs width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    line x1="0" y1="0" x2="0" y2="6" {}
                }
            }
        }
    }
}
