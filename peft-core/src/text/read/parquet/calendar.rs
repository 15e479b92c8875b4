//! Days and times as text, as Python's `isoformat` writes them; those with a time zone in UTC, whatever the zone.

/// What a time is counted in: how many make up a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit(pub i64);

/// The day this many days after 1 January 1970.
pub(super) fn date(days: i64) -> String {
    // Howard Hinnant's `civil_from_days`: years begin in March, and 400 of them are 146097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time of day. Its fraction has six digits, nine where they are needed, or none.
pub(super) fn time(value: i64, unit: Unit) -> String {
    let (seconds, fraction) = (value.div_euclid(unit.0), value.rem_euclid(unit.0));
    let nanos = fraction * (1_000_000_000 / unit.0);
    let shown = match (nanos, nanos % 1000) {
        (0, _) => String::new(),
        (_, 0) => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}{shown}")
}

/// A time since 1 January 1970, in UTC if the file says so.
pub(super) fn timestamp(value: i64, unit: Unit, is_utc: bool) -> String {
    let a_day = 86_400 * unit.0;
    let (days, rest) = (value.div_euclid(a_day), value.rem_euclid(a_day));
    let zone = if is_utc { "+00:00" } else { "" };
    format!("{}T{}{zone}", date(days), time(rest, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (11_016, "2000-02-29"),
            (-25_508, "1900-03-01"),
            (2_932_896, "9999-12-31"),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn times_have_the_digits_they_need() {
        assert_eq!(timestamp(-1, Unit(1000), false), "1969-12-31T23:59:59.999000");
        assert_eq!(timestamp(86_400_000_000, Unit(1_000_000), true), "1970-01-02T00:00:00+00:00");
        assert_eq!(time(3_723_000_000_001, Unit(1_000_000_000)), "01:02:03.000000001");
    }
}
