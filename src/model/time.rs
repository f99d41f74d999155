//! Points in time and spans, both in whole microseconds.

use std::fmt;

/// Microseconds in a second.
pub const MICROS_PER_SEC: i64 = 1_000_000;
/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SEC;
/// Microseconds in a day. UTC as used here has no leap seconds.
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, as a capture gives them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From the seconds and microseconds of a capture record. Out-of-range values saturate.
    pub const fn from_parts(secs: i64, micros: i64) -> Self {
        Self(secs.saturating_mul(MICROS_PER_SEC).saturating_add(micros))
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SEC)
    }

    /// The hour this point lies in.
    pub const fn hour(self) -> Hour {
        Hour(self.0.div_euclid(MICROS_PER_HOUR))
    }

    /// Microseconds from `earlier` to `self`; negative when the order is the other way round.
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This point moved by `micros`.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The nearest point that the calendar library can express (years -9999 to 9999).
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with microseconds, UTC: `2012-06-30T14:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff().strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))
    }
}

/// An hour of UTC: whole hours since the epoch. The finest step of the tally.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hour(pub i64);

impl Hour {
    /// The hour's first microsecond.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(MICROS_PER_HOUR))
    }

    /// The first microsecond after the hour.
    pub const fn end(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1).saturating_mul(MICROS_PER_HOUR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_rfc_3339_with_microseconds() {
        assert_eq!(Timestamp::from_parts(1_341_064_800, 42).to_string(), "2012-06-30T14:00:00.000042Z");
    }

    #[test]
    fn an_hour_holds_its_first_and_not_its_last_microsecond() {
        let hour = Timestamp::from_parts(1_341_064_800, 0).hour();
        assert_eq!(hour.start(), Timestamp::from_parts(1_341_064_800, 0));
        assert_eq!(hour.end().hour(), Hour(hour.0 + 1));
        assert_eq!(hour.end().plus_micros(-1).hour(), hour);
        assert_eq!(Timestamp(-1).hour(), Hour(-1));
    }
}
