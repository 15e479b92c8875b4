//! Numbers of bytes in flags: `2GB`, `500 MB`, `0`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "Written")]
pub struct ByteSize(pub u64);

/// The units, the largest first.
const UNITS: [(&str, u64); 5] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("found `{text}`, expected a number of bytes such as 2GB, 500MB or 0");
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = (text[..end].trim(), text[end..].trim());
        let number: f64 = number.parse().map_err(|_| refuse())?;
        let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let factor = match (unit, known) {
            ("", _) => 1,
            (_, Some((_, factor))) => *factor,
            (_, None) => return Err(refuse()),
        };
        let bytes = number * factor as f64;
        match (0.0..u64::MAX as f64).contains(&bytes) {
            true => Ok(Self(bytes.round() as u64)),
            false => Err(refuse()),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match whole {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// How a file writes it: as a flag does, or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for ByteSize {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, bytes, shown) in [
            ("2GB", 2_000_000_000, "2GB"),
            ("1.5 gb", 1_500_000_000, "1500MB"),
            ("500mb", 500_000_000, "500MB"),
            ("64 kB", 64_000, "64kB"),
            ("0", 0, "0"),
            ("1001", 1001, "1001B"),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), shown);
            assert_eq!(shown.parse(), Ok(ByteSize(bytes)));
        }
        for (json, bytes) in [("0", 0), ("2000000000", 2_000_000_000), ("\"2GB\"", 2_000_000_000)] {
            assert_eq!(serde_json::from_str::<ByteSize>(json).ok(), Some(ByteSize(bytes)));
        }
        for bad in ["", "GB", "-1GB", "2G", "2 GiB", "1GB 2", "nan", "infMB", "99999999999TB"] {
            let message = bad.parse::<ByteSize>().expect_err(bad);
            assert!(message.contains(bad) && message.contains("2GB"), "{message}");
        }
    }
}
