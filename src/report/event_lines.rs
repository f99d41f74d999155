//! Event lines read back: everything that they tell of the rows they count in. `events` writes them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;

use crate::model::attempt::AttemptId;
use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::origin::Infrastructure;
use crate::model::period::Period;
use crate::model::place::{Country, Place, Sector};
use crate::model::time::Timestamp;
use crate::report::ReportError;
use crate::report::names::parse_event_name;
use crate::tally::CampaignId;

/// Bytes of a line that are read; ours are some kilobytes.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// An event file of the folder.
#[derive(Clone, Debug)]
pub struct EventFile {
    /// Day whose file it is: what it holds counts in that day, late or not.
    pub day: Period,
    /// Its name without `.zst`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes as it lies there.
    pub bytes: u64,
}

impl EventFile {
    /// Whether it was compressed: nothing is added to it any more.
    pub fn is_compressed(&self) -> bool {
        self.path.extension().is_some_and(|ending| ending == "zst")
    }
}

/// The event files of a folder, by day and part. Of one that is there twice, because a compression was cut off, the plain one.
pub fn files(folder: &Path) -> Result<Vec<EventFile>, ReportError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(ReportError::file("read", folder))?,
    };
    let mut found: Vec<(Period, u32, bool, EventFile)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let plain = name.strip_suffix(".zst").unwrap_or(name);
            let (day, part) = parse_event_name(plain)?;
            let (name, compressed) = (plain.to_owned(), plain != name);
            let bytes = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
            Some((day, part, compressed, EventFile { day, name, path, bytes }))
        })
        .collect();
    found.sort_by_key(|(day, part, compressed, _)| (*day, *part, *compressed));
    found.dedup_by_key(|(day, part, ..)| (*day, *part));
    Ok(found.into_iter().map(|(.., file)| file).collect())
}

/// What a line tells.
#[derive(Clone, Debug)]
pub struct Line {
    /// Identity of its attempt.
    pub id: AttemptId,
    /// When that was.
    pub time: Timestamp,
    /// Attempts that it stands for.
    pub attempts: u64,
    /// Conversations that these opened.
    pub sessions: u64,
    /// Incidents that they began.
    pub incidents: u64,
    /// The source as it is written; none for nobody in particular.
    pub source: Option<IpAddr>,
    /// Its site.
    pub site: Arc<str>,
    /// Its class.
    pub class: Class,
    /// Its grade.
    pub grade: Grade,
    /// Where the source is.
    pub place: Place,
    /// Row of the statement.
    pub sector: Sector,
    /// The operator's label.
    pub label: Option<Arc<str>>,
    /// Whether it counts in the headline.
    pub headline: bool,
    /// Its campaign.
    pub campaign: CampaignId,
    /// First rule.
    pub rule: Arc<str>,
    /// Frames of the attempt.
    pub frames: u16,
    /// Autonomous system and its name.
    pub system: Option<(u32, Option<Arc<str>>)>,
    /// The country of the registry.
    pub registered: Option<Country>,
    /// Kind of network.
    pub infrastructure: Option<Infrastructure>,
    /// The prefix that it was looked up in.
    pub prefix: Option<IpNet>,
    /// Whether a second database knew the source, and puts it elsewhere.
    pub second: (bool, bool),
    /// First and last attempt of its incident, and its busiest minute; none for an attempt with a line of its own.
    pub incident: Option<(Timestamp, Timestamp, u64)>,
}

#[derive(Deserialize)]
struct Told {
    timestamp: String,
    src_ip: Option<IpAddr>,
    alert: Alert,
    gatewatch: Own,
}

#[derive(Deserialize)]
struct Alert {
    signature: String,
}

#[derive(Deserialize)]
struct Own {
    id: String,
    class: String,
    site: String,
    grade: String,
    origin: Origin,
    represented: u64,
    counts: Counts,
    incident: Option<Incident>,
}

#[derive(Deserialize)]
struct Origin {
    country: String,
    second_country: Option<String>,
    registered_country: Option<String>,
    asn: Option<u32>,
    as_org: Option<String>,
    prefix: Option<String>,
    infrastructure: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    sector: String,
    label: Option<String>,
    headline: bool,
    campaign: String,
    sessions: u64,
    incidents: u64,
    frames: u16,
}

#[derive(Deserialize)]
struct Incident {
    first: String,
    last: String,
    peak_per_minute: u64,
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond()))
}

/// A line; none of one that was torn, or that an old version wrote, which does not tell its row.
fn parse(text: &[u8]) -> Option<Line> {
    let told: Told = serde_json::from_slice(text).ok()?;
    let Own { id, class, site, grade, origin, represented, counts, incident } = told.gatewatch;
    let incident = match incident {
        Some(told) => Some((time(&told.first)?, time(&told.last)?, told.peak_per_minute)),
        None => None,
    };
    let place = Place::from_code(&origin.country);
    let second = origin.second_country.map(|code| Place::from_code(&code));
    Some(Line {
        id: AttemptId(u64::from_str_radix(&id, 16).ok()?),
        time: time(&told.timestamp)?,
        attempts: represented,
        sessions: counts.sessions,
        incidents: counts.incidents,
        // The address of nobody in particular is no source.
        source: told.src_ip.filter(|address| !address.is_unspecified()),
        site: site.into(),
        class: Class::from_id(&class)?,
        grade: Grade::from_name(&grade)?,
        place,
        sector: Sector::from_name(&counts.sector)?,
        label: counts.label.map(Into::into),
        headline: counts.headline,
        campaign: CampaignId(u64::from_str_radix(&counts.campaign, 16).ok()?),
        rule: told.alert.signature.into(),
        frames: counts.frames,
        system: origin.asn.map(|asn| (asn, origin.as_org.map(Into::into))),
        registered: origin.registered_country.and_then(|code| code.parse().ok()),
        infrastructure: origin.infrastructure.and_then(|name| Infrastructure::from_name(&name)),
        prefix: origin.prefix.and_then(|prefix| prefix.parse().ok()),
        second: (second.is_some(), second.is_some_and(|second| second != place)),
        incident,
    })
}

/// Goes through the whole lines of a file from a byte on: hands over each, none where it cannot be read, and the byte behind
/// it, until `take` says that it is enough.
pub fn each(
    file: &EventFile,
    from: u64,
    mut take: impl FnMut(Option<Line>, u64) -> Result<bool, ReportError>,
) -> Result<(), ReportError> {
    let failed = || ReportError::file("read", &file.path);
    let mut opened = File::open(&file.path).map_err(failed())?;
    let reader: Box<dyn Read> = if file.is_compressed() {
        Box::new(zstd::Decoder::new(opened).map_err(failed())?)
    } else {
        opened.seek(SeekFrom::Start(from)).map_err(failed())?;
        Box::new(opened)
    };
    let mut reader = BufReader::new(reader);
    let (mut bytes, mut at) = (Vec::new(), from);
    loop {
        bytes.clear();
        let read = (&mut reader).take(LINE_MAX_BYTES).read_until(b'\n', &mut bytes).map_err(failed())?;
        at += read as u64;
        // What has no end was being written.
        if bytes.last() != Some(&b'\n') && (read as u64) < LINE_MAX_BYTES {
            return Ok(());
        }
        if !take(parse(&bytes), at)? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::events;
    use crate::tally::event::{Event, Stage};

    #[test]
    fn a_line_tells_everything_that_its_row_needs() {
        let mut attempt = Box::new(crate::testing::attempt());
        attempt.frames = 3;
        let mut origin = crate::model::origin::Origin::of_place(Place::from_code("US"));
        origin.asn = Some(64_500);
        origin.as_org = Some("Example".into());
        origin.registered = "CA".parse().ok();
        origin.second = Some(Place::from_code("CA"));
        origin.infrastructure = Some(Infrastructure::Tor);
        let client = attempt.client.ip();
        let mut contribution = crate::testing::contribution();
        contribution.label = Some("ours".into());
        let event = Event {
            client,
            hidden: false,
            grade: Grade::E2,
            site: "s".into(),
            origin,
            represented: 5,
            contribution: contribution.clone(),
            incident: Some(crate::tally::event::Incident {
                stage: Stage::Begin,
                first: attempt.time,
                last: attempt.time,
                attempts: 5,
                peak_per_minute: 4,
            }),
            attempt,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events-2012-06-30.jsonl");
        fs::write(&path, events::line(&event) + "{\"torn\n" + "{\"being written").unwrap();
        let files = files(folder.path()).unwrap();
        assert_eq!((files.len(), files[0].name.as_str()), (1, "events-2012-06-30.jsonl"));
        let mut found = Vec::new();
        each(&files[0], 0, |line, _| {
            found.push(line);
            Ok(true)
        })
        .unwrap();
        assert!(found.len() == 2 && found[1].is_none(), "{found:?}");
        let line = found[0].clone().unwrap();
        assert_eq!((line.id, line.time, line.attempts), (event.attempt.id, event.attempt.time, 5));
        assert_eq!((line.source, line.class), (Some(client), event.attempt.judgement.class));
        assert_eq!(line.system, Some((64_500, Some("Example".into()))));
        assert_eq!((line.second, line.frames), ((true, true), 3));
        assert_eq!((line.campaign, line.label), (contribution.campaign, contribution.label));
        assert_eq!(line.incident, Some((event.attempt.time, event.attempt.time, 4)));
        assert_eq!(line.infrastructure, Some(Infrastructure::Tor));
        let nobody = Event { client: std::net::Ipv4Addr::UNSPECIFIED.into(), ..event };
        assert_eq!(parse(events::line(&nobody).trim_end().as_bytes()).unwrap().source, None);
    }
}
