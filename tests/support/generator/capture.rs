//! Classic pcap files: microseconds, little endian.

use std::io::{self, Write};

use super::conversation::Timed;
use super::frames::Link;
use super::plan::Plan;
use super::schedule::Schedule;

/// Writes a capture file.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    out: W,
    link: Link,
}

impl<W: Write> CaptureWriter<W> {
    /// Writes the file header.
    pub fn begin(mut out: W, link: Link) -> io::Result<Self> {
        let words = [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 262_144, link.number()];
        for word in words {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, link })
    }

    /// Writes one packet.
    pub fn write(&mut self, (time, packet): &Timed) -> io::Result<()> {
        let header = self.link.header(packet);
        let length = (header.len() + packet.len()) as u32;
        let words = [(time / 1_000_000) as u32, (time % 1_000_000) as u32, length, length];
        for word in words {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&header)?;
        self.out.write_all(packet)
    }

    /// Ends the file.
    pub fn end(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes the whole capture of a plan, an hour at a time.
pub fn write_plan<W: Write>(plan: &Plan, link: Link, out: W) -> io::Result<W> {
    let mut schedule = Schedule::of(plan);
    let mut writer = CaptureWriter::begin(out, link)?;
    for slot in schedule.slots() {
        for packet in schedule.packets(slot) {
            writer.write(&packet)?;
        }
    }
    writer.end()
}
