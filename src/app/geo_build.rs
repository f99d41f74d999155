//! `gatewatch geo build`: a country database (.mmdb) from a table of ranges.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use mmdb_writer::{Value, Writer};

use crate::exit::Fatal;
use crate::model::place::Country;

/// A line longer than this is no row of a range table.
const LINE_MAX_BYTES: u64 = 1_024;

/// Reads `first,last,country` or `network,country` lines (plain, .gz or .zst) and writes a database.
///
/// `built` is the build time that the database will carry, in seconds since the epoch: given, not read from a
/// clock, so that two builds of one source are the same to the byte.
pub fn run(source: &Path, output: &Path, built: u64) -> Result<usize, Fatal> {
    let unreadable =
        |error: std::io::Error| Fatal::NoInput(format!("{}: cannot be read: {error}", source.display()));
    let file = File::open(source).map_err(unreadable)?;
    let reader: Box<dyn Read> = match source.extension().and_then(|ending| ending.to_str()) {
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(file).map_err(unreadable)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    let name = source.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut rows = Vec::new();
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        let length = reader.by_ref().take(LINE_MAX_BYTES).read_line(&mut line).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let row = parse(text).map_err(|complaint| {
            Fatal::Unusable(format!("{}: line {number}: {complaint}", source.display()))
        })?;
        rows.extend(row);
    }
    let count = rows.len();
    write(rows, &name, built, output)?;
    Ok(count)
}

/// The networks of one line.
pub(crate) fn parse(line: &str) -> Result<Vec<(IpNet, Country)>, String> {
    let wrong = || {
        format!(
            "{:?} is no row: write first,last,country or network,country",
            line.chars().take(80).collect::<String>()
        )
    };
    let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
    let (networks, code): (Vec<IpNet>, &str) = match fields.as_slice() {
        [network, code] => (vec![network.parse().map_err(|_| wrong())?], code),
        [first, last, code, ..] => {
            let first: IpAddr = first.parse().map_err(|_| wrong())?;
            let last: IpAddr = last.parse().map_err(|_| wrong())?;
            let networks = match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                    Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
                }
                (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                    Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
                }
                _ => return Err(wrong()),
            };
            (networks, code)
        }
        _ => return Err(wrong()),
    };
    let country: Country = code.parse().map_err(|error| format!("{error}"))?;
    Ok(networks.into_iter().map(|network| (network, country)).collect())
}

fn write(mut rows: Vec<(IpNet, Country)>, name: &str, built: u64, output: &Path) -> Result<(), Fatal> {
    // Later inserts win, so the wider networks go first.
    rows.sort_by_key(|(network, _)| network.prefix_len());
    let kind =
        if name.to_ascii_lowercase().contains("dbip") { "DBIP-Country-Lite" } else { "Gatewatch-Country" };
    let description = format!("Countries by address, built by gatewatch from {name}");
    let mut writer = Writer::builder(kind)
        .description(&[("en", description.as_str())])
        .build_epoch(UNIX_EPOCH + Duration::from_secs(built))
        .build();
    for (network, country) in rows {
        let value = Value::map([("country", Value::map([("iso_code", Value::from(country.code()))]))]);
        match writer.insert_value(network, value) {
            // 2002::/16 and 2001::/32 repeat IPv4 space and are answered by the writer's aliases.
            Ok(()) | Err(mmdb_writer::Error::AliasedNetwork { .. }) => {}
            Err(error) => return Err(Fatal::Unusable(format!("{network}: {error}"))),
        }
    }
    let bytes = writer.to_bytes().map_err(|error| Fatal::Bug(error.to_string()))?;
    std::fs::write(output, bytes)
        .map_err(|error| Fatal::CannotWrite(format!("{}: cannot be written: {error}", output.display())))
}
