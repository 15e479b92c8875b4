//! The date that a template may print.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAY: i64 = 86_400;

/// A moment, for a template's `strftime_now`. It has no time zone: the clock of [`Clock::now`] is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since the beginning of 1970.
    seconds: i64,
}

impl Clock {
    /// Returns the present moment in UTC.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: i64::try_from(since.as_secs()).unwrap_or(0) }
    }

    /// Parses a day, `2026-01-31`: its first moment.
    ///
    /// # Errors
    /// [`Error::Setting`] naming `chat_date` for anything else.
    pub fn parse(day: &str) -> Result<Self> {
        let parts: Vec<&str> = day.split('-').collect();
        let number = |at: usize, width: usize| {
            let digits = parts.get(at).filter(|part| part.len() == width)?;
            digits
                .bytes()
                .all(|digit| digit.is_ascii_digit())
                .then(|| digits.parse::<i64>().ok())?
        };
        let found = match (parts.len(), number(0, 4), number(1, 2), number(2, 2)) {
            (3, Some(year), Some(month @ 1..=12), Some(date @ 1..)) => {
                let clock = Self { seconds: days_before(year, month, date) * DAY };
                (clock.date() == (year, month, date)).then_some(clock)
            }
            _ => None,
        };
        found.ok_or_else(|| {
            Error::setting("chat_date", format!("found `{day}`, expected a day such as 2026-01-31"))
        })
    }

    /// Returns the day, as [`Clock::parse`] reads it.
    pub fn day(self) -> String {
        let (year, month, date) = self.date();
        format!("{year:04}-{month:02}-{date:02}")
    }

    /// Year, month and day of the month, both counted from 1.
    fn date(self) -> (i64, i64, i64) {
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": civil_from_days.
        let days = self.seconds.div_euclid(DAY) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let date = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, date)
    }

    /// `datetime.strftime(format)`, in the C locale.
    ///
    /// # Errors
    /// The directive that is not known.
    pub(super) fn format(self, format: &str) -> std::result::Result<String, String> {
        let (year, month, date) = self.date();
        let days = self.seconds.div_euclid(DAY);
        let weekday = (days + 4).rem_euclid(7);
        let day_of_year = days - days_before(year, 1, 1) + 1;
        let time = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        let twelve = (hour + 11) % 12 + 1;
        let named = |names: &[&'static str], at: i64| {
            usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default()
        };
        let (month_name, day_name) = (named(&MONTHS, month - 1), named(&DAYS, weekday));
        let mut text = String::new();
        let mut letters = format.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                text.push(letter);
                continue;
            }
            // `-` drops zeros in front.
            let mut directive = letters.next();
            let bare = directive == Some('-');
            if bare {
                directive = letters.next();
            }
            let padded = |number: i64, width: usize| match bare {
                true => number.to_string(),
                false => format!("{number:0width$}"),
            };
            let both = |first: &str, second: &str| {
                Ok::<_, String>(self.format(first)? + &self.format(second)?)
            };
            text.push_str(&match directive {
                Some('Y') => padded(year, 4),
                Some('y') => padded(year.rem_euclid(100), 2),
                Some('m') => padded(month, 2),
                Some('d') => padded(date, 2),
                Some('e') if bare => date.to_string(),
                Some('e') => format!("{date:2}"),
                Some('H') => padded(hour, 2),
                Some('I') => padded(twelve, 2),
                Some('M') => padded(minute, 2),
                Some('S') => padded(second, 2),
                Some('f') => "000000".to_owned(),
                Some('j') => padded(day_of_year, 3),
                Some('w') => weekday.to_string(),
                Some('u') => ((weekday + 6) % 7 + 1).to_string(),
                Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
                Some('B') => month_name.to_owned(),
                Some('b' | 'h') => month_name[..3].to_owned(),
                Some('A') => day_name.to_owned(),
                Some('a') => day_name[..3].to_owned(),
                Some('F') => both("%Y-%m", "-%d")?,
                Some('T' | 'X') => both("%H:%M", ":%S")?,
                Some('R') => both("%H", ":%M")?,
                Some('D' | 'x') => both("%m/%d", "/%y")?,
                Some('c') => both("%a %b %e ", "%H:%M:%S %Y")?,
                // A moment without a time zone has neither.
                Some('Z' | 'z') => String::new(),
                Some('%') => "%".to_owned(),
                Some('n') => "\n".to_owned(),
                Some('t') => "\t".to_owned(),
                other => {
                    let directive = other.map_or_else(String::new, String::from);
                    return Err(format!("strftime_now: `%{directive}` is not known"));
                }
            });
        }
        Ok(text)
    }
}

/// Days from 1970 to a day; the inverse of [`Clock::date`].
fn days_before(year: i64, month: i64, date: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + date - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The right values are those of Python's `datetime.strftime` in the C locale.
    #[test]
    fn dates_are_written_as_in_python() {
        let formats = "%Y-%m-%d|%d %b %Y|%B %-d, %Y|%A %a|%j %y|%H:%M:%S %I %p|%e|%%";
        let written = |seconds| Clock { seconds }.format(formats).unwrap();
        assert_eq!(
            written(1_709_210_096),
            "2024-02-29|29 Feb 2024|February 29, 2024|Thursday Thu|060 24|12:34:56 12 PM|29|%"
        );
        assert_eq!(
            written(0),
            "1970-01-01|01 Jan 1970|January 1, 1970|Thursday Thu|001 70|00:00:00 12 AM| 1|%"
        );
        assert!(Clock { seconds: 0 }.format("%Q").unwrap_err().contains("`%Q` is not known"));
    }

    #[test]
    fn days_are_read_and_written() {
        for day in ["1970-01-01", "2000-02-29", "2026-12-31", "1969-12-31", "2100-03-01"] {
            assert_eq!(Clock::parse(day).unwrap().day(), day);
        }
        for day in
            ["2026-02-29", "2026-13-01", "2026-1-1", "today", "", "2026-01-01-01", "2026-01-00"]
        {
            let error = Clock::parse(day).unwrap_err().to_string();
            assert!(error.starts_with("chat_date: found `"), "{error}");
        }
    }
}
