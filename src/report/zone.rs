//! The time zone that times are shown in. What is stored, and the periods, are those of UTC.

use jiff::tz::TimeZone;

use crate::model::period::Period;

/// A time zone of the IANA database; UTC where no other is named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Zone(Option<TimeZone>);

/// Why a zone cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ZoneError {
    /// The machine has no time-zone database.
    #[error("this machine has no time-zone database: install tzdata (/usr/share/zoneinfo), or show UTC")]
    NoDatabase,
    /// It has one, and the name is not in it.
    #[error("{0:?} is no time zone: name one of the IANA database, such as \"Asia/Shanghai\", or \"UTC\"")]
    Unknown(String),
}

impl Zone {
    /// The zone of that name.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        if name == "UTC" {
            return Ok(Self(None));
        }
        TimeZone::get(name).map(|zone| Self(Some(zone))).map_err(|_| {
            if jiff::tz::db().is_definitively_empty() {
                ZoneError::NoDatabase
            } else {
                ZoneError::Unknown(name.chars().take(64).collect())
            }
        })
    }

    /// The zone of a setting that was checked; UTC where the machine has lost its database since.
    pub fn of_setting(name: &str) -> Self {
        Self::named(name).unwrap_or_default()
    }

    /// Its name; none for UTC, in which nothing need be converted.
    pub fn other_than_utc(&self) -> Option<&str> {
        self.0.as_ref().map(|zone| zone.iana_name().unwrap_or("local time"))
    }

    /// A moment (RFC 3339) as it is shown: `2012-06-30 22:00 +08:00`. What is no moment is shown as it is.
    pub fn moment(&self, moment: &str) -> String {
        match (&self.0, moment.parse::<jiff::Timestamp>()) {
            (Some(zone), Ok(time)) => {
                time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M %:z").to_string()
            }
            _ => moment.to_owned(),
        }
    }

    /// A moment to the second, in 19 columns: `2012-06-30 22:00:41`. The zone is told beside it.
    pub fn second(&self, moment: &str) -> String {
        let Ok(time) = moment.parse::<jiff::Timestamp>() else { return moment.to_owned() };
        self.of(time).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// A moment in the zone.
    pub fn of(&self, time: jiff::Timestamp) -> jiff::ZonedDateTime {
        time.to_zoned_datetime(self.0.clone().unwrap_or(TimeZone::UTC))
    }

    /// The beginning of an hour (`2012-06-30T14`) as it is shown, in 16 columns; other periods, which are those of UTC, as they are.
    pub fn hour(&self, period: &str) -> String {
        match (&self.0, period.parse::<Period>()) {
            (Some(zone), Ok(hour)) if period.contains('T') => {
                hour.start().to_jiff().to_zoned_datetime(zone.clone()).strftime("%m-%d %H:%M%z").to_string()
            }
            _ => period.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_zone_and_names_are_checked() {
        let utc = Zone::named("UTC").unwrap();
        assert_eq!(utc.second("2012-06-30T14:05:09.789Z"), "2012-06-30 14:05:09");
        assert_eq!(utc.second("no moment"), "no moment");
        assert_eq!(
            (utc.other_than_utc(), utc.moment("2012-06-30T14:00:00Z").as_str()),
            (None, "2012-06-30T14:00:00Z")
        );
        if jiff::tz::db().is_definitively_empty() {
            assert_eq!(Zone::named("Asia/Shanghai"), Err(ZoneError::NoDatabase));
            return;
        }
        let zone = Zone::named("Asia/Shanghai").unwrap();
        assert_eq!(zone.other_than_utc(), Some("Asia/Shanghai"));
        assert_eq!(zone.moment("2012-06-30T17:00:00Z"), "2012-07-01 01:00 +08:00");
        assert_eq!(
            (zone.hour("2012-06-30T17").as_str(), zone.hour("2012-06").as_str()),
            ("07-01 01:00+0800", "2012-06")
        );
        assert_eq!(zone.moment("soon"), "soon");
        for name in ["Asia/Atlantis", "../../etc/passwd", "", "utc+8"] {
            assert_eq!(Zone::named(name), Err(ZoneError::Unknown(name.into())));
            assert_eq!(Zone::of_setting(name), utc);
        }
    }
}
