//! Packs a country database as it is embedded: `cargo run --example pack-geo -- dbip.mmdb dbip.packed`. See `config/geo/README.md`.

#![allow(clippy::print_stderr, reason = "a tool for developers")]

use std::process::ExitCode;

use gatewatch::classify::packed::pack;
use maxminddb::Reader;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, output] = arguments.as_slice() else {
        eprintln!("usage: pack-geo FILE.mmdb OUTPUT");
        return ExitCode::from(64);
    };
    match packed(source)
        .and_then(|bytes| std::fs::write(output, bytes).map_err(|error| format!("{output}: {error}")))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("pack-geo: {complaint}");
            ExitCode::FAILURE
        }
    }
}

fn packed(source: &str) -> Result<Vec<u8>, String> {
    let file = std::fs::read(source).map_err(|error| format!("{source}: {error}"))?;
    let reader = Reader::from_source(file.as_slice()).map_err(|error| format!("{source}: {error}"))?;
    let metadata = reader.metadata();
    if metadata.record_size != 24 {
        return Err(format!("{source}: has records of {} bits; 24 are packed", metadata.record_size));
    }
    pack(&file, metadata.node_count).map_err(|complaint| format!("{source}: {complaint}"))
}
