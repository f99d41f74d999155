//! Cost of a verdict, from a parsed request to the judgement. Budgets: 500 ns for a benign request of about 450
//! bytes, 10 µs for a typical attack, and nothing an attacker can send may cost more than its length explains.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a bench"
)]

use std::net::SocketAddr;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use gatewatch::config::Settings;
use gatewatch::detect::{Detector, Scratch, Verdict};
use gatewatch::protocol::request::{Defects, Header, Request};

fn main() {
    divan::main();
}

/// The fields of a browser; with a request line they make about 450 bytes.
const BROWSER: [(&str, &str); 8] = [
    ("Host", "www.town.example"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.7"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Cookie", "session=5f3a9c0e7b1d4826; lang=en"),
    ("Referer", "https://www.town.example/news/2026/"),
    ("Connection", "keep-alive"),
];

struct Case {
    target: String,
    body: String,
    kind: &'static str,
    attack: bool,
}

fn case(name: &str) -> Case {
    let page =
        |target: &str, attack| Case { target: target.to_owned(), body: String::new(), kind: "", attack };
    let repeated = |piece: &str| page(&format!("/search?q={}", piece.repeat((8 << 10) / piece.len())), false);
    match name {
        "benign page" => page("/news/2026/budget?page=2&sort=date", false),
        "benign form" => Case {
            body: "name=Anna+O%27Brien&message=Please+select+the+best+offer+from+the+list+and+call+me".into(),
            kind: "application/x-www-form-urlencoded",
            ..page("/contact", false)
        },
        "sql injection" => page("/item?id=1%27%20UNION%20SELECT%20user,password%20FROM%20users--%20-", true),
        "cross-site scripting" => {
            page("/search?q=%22%3E%3Cscript%3Ealert(document.cookie)%3C/script%3E", true)
        }
        "path traversal" => page("/view?file=..%2f..%2f..%2f..%2fetc%2fpasswd", true),
        // 8 KiB each of what makes a careless matcher slow: near misses of many rules, decoding in layers.
        "8 KiB of quotes" => repeated("'"),
        "8 KiB of near selects" => repeated("%27+union+selec+"),
        "8 KiB of open tags" => repeated("%3Cscrip%3C"),
        "8 KiB of dots" => repeated("..%2f"),
        "8 KiB of percents" => repeated("%2525"),
        "8 KiB of comments" => repeated("/**/"),
        _ => panic!("no case {name}"),
    }
}

#[divan::bench(args = [
    "benign page", "benign form", "sql injection", "cross-site scripting", "path traversal", "8 KiB of quotes",
    "8 KiB of near selects", "8 KiB of open tags", "8 KiB of dots", "8 KiB of percents", "8 KiB of comments",
])]
fn verdict(bencher: Bencher<'_, '_>, name: &str) {
    let case = case(name);
    let mut headers: Vec<Header<'_>> = BROWSER
        .iter()
        .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
        .collect();
    if !case.kind.is_empty() {
        headers.push(Header { name: b"Content-Type", value: case.kind.as_bytes() });
    }
    let request = Request {
        method: if case.body.is_empty() { b"GET" } else { b"POST" },
        target: case.target.as_bytes(),
        headers: &headers,
        body: case.body.as_bytes(),
        defects: Defects::default(),
    };
    let detector = Detector::new(&Settings::default()).unwrap();
    let server: SocketAddr = "203.0.113.10:80".parse().unwrap();
    let mut scratch = Scratch::default();
    let judged = detector.judge(&request, server, &mut scratch);
    if case.attack || name.starts_with("benign") {
        assert_eq!(matches!(judged, Verdict::Attack(_)), case.attack, "{name}: {judged:?}");
    }
    let fields: usize = headers.iter().map(|field| field.name.len() + field.value.len() + 4).sum();
    let bytes = request.method.len() + case.target.len() + fields + case.body.len() + 13;
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| detector.judge(divan::black_box(&request), server, &mut scratch));
}

/// Visitors of whom nothing was seen before: more of them than the memory of clean values holds.
const VISITORS: usize = 20_000;

#[divan::bench(sample_count = 10)]
fn first_visits(bencher: Bencher<'_, '_>) {
    let pages: Vec<(String, Vec<(&str, String)>)> = (0..VISITORS)
        .map(|visitor| {
            let target = format!("/news/2026/budget-{visitor}?page={visitor}&sort=date");
            let fields = BROWSER.iter().map(|(name, value)| match *name {
                "User-Agent" | "Cookie" | "Referer" => (*name, format!("{value}{visitor}")),
                _ => (*name, (*value).to_owned()),
            });
            (target, fields.collect())
        })
        .collect();
    let detector = Detector::new(&Settings::default()).unwrap();
    let server: SocketAddr = "203.0.113.10:80".parse().unwrap();
    let mut scratch = Scratch::default();
    bencher.counter(ItemsCount::new(VISITORS)).bench_local(|| {
        for (target, fields) in &pages {
            let mut headers = [Header { name: b"", value: b"" }; BROWSER.len()];
            for (header, (name, value)) in headers.iter_mut().zip(fields) {
                *header = Header { name: name.as_bytes(), value: value.as_bytes() };
            }
            let request = Request {
                method: b"GET",
                target: target.as_bytes(),
                headers: &headers,
                body: b"",
                defects: Defects::default(),
            };
            divan::black_box(detector.judge(&request, server, &mut scratch));
        }
    });
}
