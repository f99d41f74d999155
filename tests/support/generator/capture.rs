//! Classic pcap files: microseconds, little endian.

use std::io::{self, Write};

use super::conversation::Timed;
use super::frames::Link;
use super::plan::Plan;
use super::schedule::{Captured, Schedule, Slot};

/// Writes a capture file.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    out: W,
    link: Link,
    /// Times of the first and the last packet.
    watched: Option<(u64, u64)>,
}

impl<W: Write> CaptureWriter<W> {
    /// Writes the file header.
    pub fn begin(mut out: W, link: Link) -> io::Result<Self> {
        let words = [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, 262_144, link.number()];
        for word in words {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { out, link, watched: None })
    }

    /// Writes one packet.
    pub fn write(&mut self, timed: &Timed) -> io::Result<()> {
        self.write_as(self.link, timed)
    }

    /// Writes one packet as it was captured. The other port of a mirror tags its frames where the link has tags.
    pub fn write_captured(&mut self, captured: &Captured) -> io::Result<()> {
        let is_tagged = captured.again && self.link == Link::Ethernet;
        self.write_as(if is_tagged { Link::Vlan } else { self.link }, &captured.timed)
    }

    /// Writes one packet behind another header of the same link type: with a VLAN tag, say.
    pub fn write_as(&mut self, link: Link, (time, packet): &Timed) -> io::Result<()> {
        self.watched = Some((self.watched.map_or(*time, |(first, _)| first), *time));
        let header = link.header(packet);
        let length = (header.len() + packet.len()) as u32;
        let words = [(time / 1_000_000) as u32, (time % 1_000_000) as u32, length, length];
        for word in words {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&header)?;
        self.out.write_all(packet)
    }

    /// Microseconds since 1970 of the first and the last packet; what lies between was observed.
    pub const fn watched(&self) -> Option<(u64, u64)> {
        self.watched
    }

    /// Ends the file.
    pub fn end(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes the whole capture of a plan; hours of an outage are left out.
pub fn write_plan<W: Write>(plan: &Plan, link: Link, out: W) -> io::Result<W> {
    let parts = plan.parts();
    write_slots(plan, link, |slot| parts.iter().any(|part| part.contains(&slot)), out)
}

/// Writes the hours that are `wanted`, an hour at a time.
pub fn write_slots<W: Write>(
    plan: &Plan,
    link: Link,
    wanted: impl Fn(Slot) -> bool,
    out: W,
) -> io::Result<W> {
    let mut schedule = Schedule::of(plan);
    let mut writer = CaptureWriter::begin(out, link)?;
    for slot in schedule.slots() {
        if wanted(slot) {
            for captured in schedule.captured(slot) {
                writer.write_captured(&captured)?;
            }
        } else {
            // Made all the same: the ports of later conversations depend on it.
            schedule.conversations(slot);
        }
    }
    writer.end()
}
