//! The HTML report in a real browser: phone and desktop, light and dark, on paper; what it must not do, and that everybody can
//! read it. Pages are made of tallies, without a packet.
//!
//! Needs a Chromium; axe-core for the part on accessibility (`make test-packages` brings both). Pictures of every page are left in
//! `target/html-report`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::browser::Browser;
use support::tallies::{Tallies, pages};

/// Width, colours: a small phone and a desktop.
const WINDOWS: [(u32, &str); 4] = [(360, "light"), (1280, "dark"), (360, "dark"), (1280, "light")];
/// Nobody waits for more than this on a phone: 4 MiB of text.
const PAGE_MAX: usize = 4 << 20;

fn root(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn browser() -> Option<Browser> {
    let found = Browser::start();
    if found.is_none() {
        eprintln!("skipped: no chromium is installed (make test-packages)");
    }
    found
}

/// The source of axe-core, where it was fetched.
fn axe() -> Option<String> {
    let library = root("target/test-python/lib");
    let versions = fs::read_dir(library).ok()?;
    let found = versions
        .flatten()
        .map(|version| version.path().join("site-packages/axe_playwright_python/axe.min.js"))
        .find_map(|path| fs::read_to_string(path).ok());
    if found.is_none() {
        eprintln!("skipped: axe-core is not there (make test-packages)");
    }
    found
}

/// Every page by its name: the fixed plan's and those made of tallies.
fn all(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let golden = fs::read_to_string(root("tests/golden/report.html")).expect("the golden page");
    let made = pages().into_iter().map(|(name, tallies)| (name, tallies.page()));
    std::iter::once(("plan", golden))
        .chain(made)
        .map(|(name, page)| {
            assert!(page.len() < PAGE_MAX, "{name} has {} bytes", page.len());
            let path = folder.join(format!("{name}.html"));
            fs::write(&path, page).expect("a page written");
            (name, path)
        })
        .collect()
}

/// What axe-core finds against the page, a line each.
fn barriers(browser: &mut Browser, axe: &str) -> Vec<String> {
    browser.value(&format!("{axe}; undefined"));
    let found = browser.value(
        "axe.run(document, { resultTypes: ['violations'] }).then((told) => told.violations.flatMap((rule) =>
            rule.nodes.map((node) => rule.id + ': ' + node.html.slice(0, 150) + ' ' + node.failureSummary)))",
    );
    found.as_array().expect("a list").iter().map(ToString::to_string).collect()
}

#[test]
fn every_page_is_quiet_narrow_and_open_to_all() {
    let Some(mut browser) = browser() else { return };
    let axe = axe();
    let folder = tempfile::tempdir().unwrap();
    let pictures = root("target/html-report");
    fs::create_dir_all(&pictures).unwrap();
    for (name, path) in all(folder.path()) {
        // Both widths and both colours of each page; of the plan's all four together.
        let windows = if name == "plan" { 4 } else { 2 };
        for (width, colours) in WINDOWS.into_iter().take(windows) {
            let case = format!("{name}-{width}-{colours}");
            browser.window(width, colours);
            browser.open(&path);
            assert_eq!(browser.requests(), [format!("file://{}", path.display())], "{case}");
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{case}");
            let widest = browser.value("document.scrollingElement.scrollWidth").as_u64().unwrap();
            assert!(widest <= u64::from(width), "{case} is {widest} wide");
            let picture = browser.picture();
            fs::write(pictures.join(format!("{case}.png")), STANDARD.decode(picture).unwrap()).unwrap();
            if let Some(axe) = &axe {
                assert_eq!(barriers(&mut browser, axe), Vec::<String>::new(), "{case}");
            }
            assert_eq!(browser.requests().len(), 1, "{case}: nothing was asked for later");
        }
    }
}

#[test]
fn every_page_comes_out_on_paper() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(root("target/html-report")).unwrap();
    for (name, path) in all(folder.path()) {
        // Heads with buttons in them are not repeated on the next page.
        browser.window(1280, "light");
        browser.open(&path);
        browser.call("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
        let shown = browser.value(
            "[...new Set([...document.querySelectorAll('thead button')].map((button) => getComputedStyle(button).display))].join()",
        );
        assert!(["", "contents"].contains(&shown.as_str().unwrap()), "{name}: {shown}");
        browser.call("Emulation.setEmulatedMedia", &json!({ "media": "" }));
        // Whoever reads in the dark prints black on white.
        browser.window(1280, "dark");
        browser.open(&path);
        let paper = STANDARD.decode(browser.paper()).unwrap();
        assert!(paper.starts_with(b"%PDF-"), "{name}");
        fs::write(root("target/html-report").join(format!("{name}.pdf")), &paper).unwrap();
        let page = b"/Type /Page\n";
        let pages = paper.windows(page.len()).filter(|window| window == page).count();
        assert!((2..=120).contains(&pages), "{name} has {pages} pages");
    }
}

#[test]
fn what_attackers_wrote_is_shown_and_never_obeyed() {
    let page = Tallies::hostile().page();
    for forbidden in
        ["<script>window", "<img", "<iframe", "\u{1b}", "\u{0}", "\u{202e}", "\u{2066}", "\u{feff}"]
    {
        assert!(!page.contains(forbidden), "{forbidden:?} is in the page");
    }
    assert!(page.contains("&lt;script&gt;window.obeyed=1"), "it is shown");
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.html");
    fs::write(&path, page).unwrap();
    browser.window(1280, "light");
    browser.open(&path);
    let told = browser.value(
        "JSON.stringify([typeof window.obeyed, document.scripts.length, document.styleSheets.length,
            document.querySelectorAll('img, iframe, object, embed, form, base, link[rel=stylesheet]').length,
            [...document.querySelectorAll('*')].filter((element) => element.getAttributeNames().some((name) => name.startsWith('on'))).length,
            [...document.links].filter((link) => !['file:', 'https:'].includes(link.protocol)).length])",
    );
    assert_eq!(told, r#"["undefined",1,1,0,0,0]"#);
    // Even markup that came through would not run: the policy of the page forbids it.
    browser.value(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.obeyed=1\"><p style=\"color:red\">x</p>');
         const script = document.createElement('script'); script.textContent = 'window.obeyed=2'; document.body.append(script);
         fetch('https://example.org/').catch(() => {}).then(() => new Promise((done) => setTimeout(done, 50)))",
    );
    assert_eq!(browser.value("typeof window.obeyed"), "undefined");
}

#[test]
fn a_column_sorts_by_number_and_the_numbers_stay() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = all(folder.path()).remove(0);
    browser.window(1280, "light");
    browser.open(&path);
    let sorted = |browser: &mut Browser| -> Vec<u64> {
        let told = browser.value(
            "const table = document.querySelector('#origins table');
             const header = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === 'All attempts');
             header.querySelector('button').click();
             [...table.tBodies[0].rows].map((row) => Number(row.cells[header.cellIndex].textContent.replaceAll(',', '')))"
                .replace("const ", "var ")
                .as_str(),
        );
        told.as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect()
    };
    let down = sorted(&mut browser);
    assert!(down.len() > 3 && down.is_sorted_by(|a, b| a >= b), "{down:?}");
    let up = sorted(&mut browser);
    assert!(up.is_sorted() && up.iter().sum::<u64>() == down.iter().sum::<u64>(), "{up:?}");
}

#[test]
fn ten_million_attempts_add_up_on_the_page() {
    let tallies = Tallies::ten_million();
    let report = tallies.report();
    assert_eq!(report.totals.attempts, 10_000_000);
    report.reconcile().unwrap();
    let page = tallies.page();
    assert!(page.contains("10,000,000"));
    for broken in ["=\"NaN", "=\"inf", ">NaN", ">inf", "=\"-"] {
        assert!(!page.contains(broken), "{broken}");
    }
}

#[test]
fn the_policy_names_style_and_script_by_their_hashes_and_nothing_else() {
    let page = Tallies::none().page();
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    let inside = |open: &str, close: &str| -> String {
        page.split(open).nth(1).and_then(|rest| rest.split(close).next()).unwrap().to_owned()
    };
    for (kind, text) in
        [("style", inside("<style>", "</style>")), ("script", inside("<script>", "</script>"))]
    {
        let hash = STANDARD.encode(<sha2::Sha256 as sha2::Digest>::digest(text));
        assert!(policy.contains(&format!("{kind}-src 'sha256-{hash}'")), "{kind}: {policy}");
    }
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("style=\""), "a style of its own would be refused");
}
