//! Reports made of tallies alone: what a month looks like that was quiet, or large, or hostile.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use gatewatch::model::class::Class;
use gatewatch::model::grade::Grade;
use gatewatch::model::origin::Infrastructure;
use gatewatch::model::period::{Period, PeriodKind};
use gatewatch::model::place::{Place, Sector, SourceKey, SourcePrefix};
use gatewatch::model::progress::{Counter, Counters, Reading};
use gatewatch::model::time::{Hour, Timestamp};
use gatewatch::report::format;
use gatewatch::report::provenance::{Database, Provenance};
use gatewatch::report::reading;
use gatewatch::report::shape::Report;
use gatewatch::report::span::Span;
use gatewatch::report::store::Store;
use gatewatch::report::summary;
use gatewatch::report::writer::Mode;
use gatewatch::tally::{
    Campaign, CampaignId, Endpoint, EndpointSums, FrameKey, IncidentKey, IncidentSums, Snapshot, SourceDay,
    SourceSums, Sums, TallyKey,
};

/// The month of all of them.
pub const MONTH: &str = "2026-09";

/// Markup, quotes, control and direction characters, scripts of several kinds, and lengths that nobody expects.
pub const HOSTILE: [&str; 8] = [
    "<script>window.obeyed=1</script>",
    "\"><img src=x onerror=window.obeyed=1>",
    "</title></style><script>window.obeyed=1</script>",
    "' onmouseover='window.obeyed=1' x='",
    "javascript:window.obeyed=1//\u{202e}txt.exe\u{2066}",
    "\u{1b}[2J\u{0}\r\n\u{7}bell\u{feff}\u{200b}hidden",
    "名前の長いサイト\u{0301}\u{0301}\u{0301} مرحبا \u{202e}",
    "]]><svg/onload=window.obeyed=1>{{7*7}}${7*7}<!--",
];

/// Attempts that are alike.
pub struct Many<'m> {
    pub day: u8,
    pub site: &'m str,
    pub class: Class,
    pub place: &'m str,
    pub attempts: u64,
    pub source: u32,
}

/// A month of tallies.
pub struct Tallies {
    snapshot: Snapshot,
    provenance: Provenance,
}

/// Every page that is made here, by name.
pub fn pages() -> Vec<(&'static str, Tallies)> {
    vec![
        ("none", Tallies::none()),
        ("one", Tallies::one()),
        ("unknown", Tallies::unknown()),
        ("million", Tallies::ten_million()),
        ("hostile", Tallies::hostile()),
    ]
}

fn first_hour() -> i64 {
    MONTH.parse::<Period>().expect("a month").first_hour().0
}

impl Tallies {
    /// A month that was watched but for its third day.
    fn watched() -> Self {
        let mut snapshot = Snapshot::default();
        let hour = |day: i64| Hour(first_hour() + day * 24).start();
        snapshot.add_observed(hour(0), hour(2));
        snapshot.add_observed(hour(3), hour(30));
        let mut counters = Counters::default();
        counters.add(Counter::FramesReceived, 123_456_789);
        snapshot.add_counters(Hour(first_hour()), &counters);
        let provenance = Provenance {
            databases: vec![Database {
                kind: "Example-Country".into(),
                build_date: "2026-08-01T00:00:00Z".into(),
                sha256: "0f".repeat(32),
                path: "/var/lib/gatewatch/geo/example.mmdb".into(),
                attribution: Some("Country data of the example project.".into()),
            }],
            detector_set: "d5".repeat(32),
            config_hash: "c0".repeat(32),
            version: "0.1.0".into(),
            home: vec!["CN".into()],
            home_declared: true,
            addresses: [("CN", 340_u64), ("DE", 120), ("US", 1_500)]
                .map(|(code, count)| (code.into(), count))
                .into(),
            privacy: "full".into(),
            sites: vec!["www.town.example".into(), "files.town.example".into()],
        };
        Self { snapshot, provenance }
    }

    /// No attack at all.
    pub fn none() -> Self {
        Self::watched()
    }

    /// One attack.
    pub fn one() -> Self {
        let mut tallies = Self::watched();
        tallies.add(&Many {
            day: 5,
            site: "www.town.example",
            class: Class::WebSqli,
            place: "SG",
            attempts: 1,
            source: 1,
        });
        tallies
    }

    /// Attacks from addresses that no database knows.
    pub fn unknown() -> Self {
        let mut tallies = Self::watched();
        for (day, place) in [(1, "unknown"), (9, "unknown"), (9, "EU"), (20, "private"), (28, "proxy")] {
            tallies.add(&Many {
                day,
                site: "www.town.example",
                class: Class::WebRce,
                place,
                attempts: 40,
                source: day.into(),
            });
        }
        tallies
    }

    /// Ten million attempts of many classes and countries, and a flood.
    pub fn ten_million() -> Self {
        const PLACES: [&str; 40] = [
            "US", "RU", "BR", "DE", "IN", "VN", "NL", "GB", "FR", "KR", "ID", "TR", "UA", "SG", "HK", "TH",
            "IT", "PL", "RO", "JP", "CA", "MX", "AR", "ZA", "EG", "NG", "IR", "PK", "BD", "PH", "MT", "SC",
            "BH", "AU", "NZ", "CL", "KZ", "SJ", "CN", "unknown",
        ];
        const CLASSES: [Class; 6] =
            [Class::WebSqli, Class::AuthSsh, Class::WebRce, Class::WebXss, Class::AuthMail, Class::ScanPort];
        let mut tallies = Self::watched();
        let mut left = 10_000_000_u64;
        for at in 0..6_000_u32 {
            let place = PLACES[(at % 7 * at % 40) as usize];
            let attempts = if at == 5_999 { left } else { 20 + u64::from(at % 97) * 30 };
            left -= attempts;
            let site = ["www.town.example", "files.town.example", "mail.town.example"][at as usize % 3];
            let class = CLASSES[at as usize % 6];
            tallies.add(&Many { day: (at % 30) as u8, site, class, place, attempts, source: at / 3 });
        }
        tallies
    }

    /// A month in which every text is an attack on its reader.
    pub fn hostile() -> Self {
        let mut tallies = Self::watched();
        let long = "A".repeat(1 << 16);
        for (at, text) in HOSTILE.into_iter().chain([long.as_str()]).enumerate() {
            let source = at as u32;
            tallies.add(&Many { day: 4, site: text, class: Class::WebXss, place: "US", attempts: 3, source });
            let id = CampaignId(u64::from(source) + 1);
            tallies.snapshot.campaigns.insert(
                id,
                Campaign {
                    id,
                    class: Class::WebXss,
                    rule: text.into(),
                    client: text.into(),
                    payload: text.into(),
                },
            );
            tallies.snapshot.add_system(64_500 + source, &text.into());
            let day = Period::containing(PeriodKind::Day, Hour(first_hour() + 96).start());
            let endpoint =
                Endpoint { day, site: text.into(), path: text.into(), place: text.into(), rule: text.into() };
            let sums = EndpointSums { attempts: 500, answered: 500, clean_sources: 100 };
            tallies.snapshot.add_endpoint(endpoint, sums);
            tallies.provenance.databases.push(Database {
                kind: text.into(),
                build_date: text.into(),
                sha256: format!("{at}{text}"),
                path: text.into(),
                attribution: Some(text.into()),
            });
            tallies.provenance.home.push(text.into());
        }
        let text = HOSTILE.concat();
        tallies.provenance.detector_set.clone_from(&text);
        tallies.provenance.config_hash.clone_from(&text);
        tallies.provenance.version.clone_from(&text);
        tallies.provenance.privacy = text;
        tallies
    }

    /// Adds attempts that are alike, of one source in one incident.
    pub fn add(&mut self, many: &Many<'_>) {
        let hour = Hour(first_hour() + i64::from(many.day) * 24 + i64::from(many.source % 24));
        let time = hour.start();
        let site: Arc<str> = many.site.into();
        let place = Place::from_code(many.place);
        let headline = many.class.in_headline() && many.place != "proxy";
        let sector = match place {
            Place::Country(country) if country.code() == "CN" => Sector::Domestic,
            Place::Country(_) => Sector::Overseas,
            Place::Region(_) => Sector::Region,
            Place::Private => Sector::Private,
            Place::Proxy => Sector::Proxy,
            Place::Unknown => Sector::Unknown,
        };
        let grade = if many.place == "proxy" { Grade::X } else { Grade::E2 };
        let sums = Sums { attempts: many.attempts, sessions: many.attempts, incidents: 1, ..Sums::default() };
        let key = TallyKey {
            hour,
            site: Arc::clone(&site),
            class: many.class,
            grade,
            place,
            sector,
            label: Some(Arc::clone(&site)).filter(|_| many.site.contains('<')),
            headline,
        };
        self.snapshot.add_row(key, sums);
        self.snapshot.add_source(source(many, time, (place, sector, grade, headline)), &seen(sums, time));
        let key = IncidentKey {
            first: time,
            source: Some(SourceKey::of(address(many))),
            class: many.class,
            site: Arc::clone(&site),
        };
        let sums = IncidentSums {
            last: time.plus_micros(1_800_000_000),
            attempts: many.attempts,
            peak_per_minute: many.attempts.div_ceil(3),
            headline,
            place,
            grade,
        };
        self.snapshot.add_incident(key, sums);
        self.snapshot.add_frames(
            FrameKey { hour, site: Arc::clone(&site), frames: 2 },
            headline,
            sector == Sector::Overseas,
        );
        // Two conversations in clear for each that is encrypted.
        let conversations = self.snapshot.conversations.entry((hour, site)).or_default();
        for (reading, count) in Reading::ALL.into_iter().zip(conversations) {
            *count += match reading {
                Reading::Clear => 2,
                Reading::Hidden => 1,
                Reading::Unknown => 0,
            };
        }
    }

    /// The report of the month.
    pub fn report(&self) -> Report {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut store, _) = Store::open(folder.path()).expect("a store");
        store.set_regime(&self.provenance).expect("a regime");
        let readings = reading::counters(&self.snapshot);
        let extra: Vec<_> =
            readings.iter().map(|(hour, name, count)| (*hour, name.as_str(), *count)).collect();
        store.add(&self.snapshot, &[], &extra, Mode::Live).expect("a store that takes it");
        let span = Span::of(MONTH.parse().expect("a month"));
        summary::build(&store, &span, None, &self.provenance).expect("a report")
    }

    /// Its page.
    pub fn page(&self) -> String {
        let report = self.report();
        report.reconcile().expect("rows that add up");
        let write = format::by_name("html").expect("the format").write;
        write(&report, &format::seal(&report)).remove(0).content
    }
}

fn address(many: &Many<'_>) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0800_0000 + many.source * 97))
}

fn seen(sums: Sums, time: Timestamp) -> SourceSums {
    SourceSums { sums, infrastructure: Some(Infrastructure::Hosting), ..SourceSums::at(time) }
}

fn source(
    many: &Many<'_>,
    time: Timestamp,
    (place, sector, grade, headline): (Place, Sector, Grade, bool),
) -> SourceDay {
    let address = address(many);
    SourceDay {
        day: Period::containing(PeriodKind::Day, time),
        source: Some((SourceKey::of(address), SourcePrefix::of(address, (24, 48)))),
        place,
        asn: Some(64_500 + many.source % 80),
        grade,
        class: many.class,
        site: many.site.into(),
        headline,
        campaign: CampaignId(u64::from(many.source % 50) + 1),
        sector,
    }
}
