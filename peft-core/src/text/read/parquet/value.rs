//! A value of a column as JSON has it.

use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type},
    data_type::Int96,
    schema::types::ColumnDescriptor,
};
use serde_json::Number;

use super::calendar::{self, Unit};
use crate::text::ordered::Ordered;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// `true` or `false`.
    Bool,
    /// An integer of so many bits without a sign, or with one.
    Integer { unsigned: Option<u32> },
    /// A number.
    Float,
    /// A number in 16 bits.
    Half,
    /// An integer to be divided by ten to this power. Outside of lists it is text, which keeps all of its digits.
    Decimal { scale: i32, in_list: bool },
    /// Text in UTF-8.
    Text,
    /// 16 bytes, written as is usual.
    Uuid,
    /// Days since 1 January 1970.
    Date,
    /// A time of day.
    Time(Unit),
    /// A time since 1 January 1970.
    Timestamp(Unit, bool),
}

impl Meaning {
    /// What the values of a column are; `None` for bytes that are no text.
    pub fn of(column: &ColumnDescriptor) -> Option<Self> {
        let (physical, converted) = (column.physical_type(), column.converted_type());
        let logical = column.logical_type_ref();
        let is_binary = matches!(physical, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
        if matches!(logical, Some(LogicalType::Decimal(_))) || converted == ConvertedType::DECIMAL {
            let in_list = column.max_rep_level() > 0;
            return Some(Self::Decimal { scale: column.type_scale(), in_list });
        }
        Some(match (physical, logical, converted) {
            (
                Type::BYTE_ARRAY,
                Some(LogicalType::String | LogicalType::Enum | LogicalType::Json),
                _,
            )
            | (
                Type::BYTE_ARRAY,
                None,
                ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON,
            ) => Self::Text,
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), _) => Self::Half,
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), _) => Self::Uuid,
            _ if is_binary => return None,
            (Type::BOOLEAN, ..) => Self::Bool,
            (Type::FLOAT | Type::DOUBLE, ..) => Self::Float,
            (Type::INT96, ..) => Self::Timestamp(Unit(1_000_000_000), false),
            (_, Some(LogicalType::Date), _) | (_, None, ConvertedType::DATE) => Self::Date,
            (_, Some(LogicalType::Time(time)), _) => Self::Time(unit(&time.unit)),
            (_, Some(LogicalType::Timestamp(time)), _) => {
                Self::Timestamp(unit(&time.unit), time.is_adjusted_to_u_t_c)
            }
            (_, None, ConvertedType::TIME_MILLIS) => Self::Time(Unit(1000)),
            (_, None, ConvertedType::TIME_MICROS) => Self::Time(Unit(1_000_000)),
            (_, None, ConvertedType::TIMESTAMP_MILLIS) => Self::Timestamp(Unit(1000), true),
            (_, None, ConvertedType::TIMESTAMP_MICROS) => Self::Timestamp(Unit(1_000_000), true),
            (_, Some(LogicalType::Integer(integer)), _) if !integer.is_signed => {
                Self::Integer { unsigned: Some(integer.bit_width.unsigned_abs().into()) }
            }
            (_, None, ConvertedType::UINT_8) => Self::Integer { unsigned: Some(8) },
            (_, None, ConvertedType::UINT_16) => Self::Integer { unsigned: Some(16) },
            (_, None, ConvertedType::UINT_32) => Self::Integer { unsigned: Some(32) },
            (_, None, ConvertedType::UINT_64) => Self::Integer { unsigned: Some(64) },
            _ => Self::Integer { unsigned: None },
        })
    }

    /// An integer of this meaning.
    pub fn of_integer(self, value: i64) -> Ordered {
        match self {
            Self::Integer { unsigned: None } => Ordered::Number(value.into()),
            Self::Integer { unsigned: Some(bits) } => {
                let mask = u64::MAX >> 64u32.saturating_sub(bits.clamp(1, 64));
                Ordered::Number((value as u64 & mask).into())
            }
            Self::Decimal { scale, in_list } => decimal(i128::from(value), scale, in_list),
            Self::Date => Ordered::String(calendar::date(value)),
            Self::Time(unit) => Ordered::String(calendar::time(value, unit)),
            Self::Timestamp(unit, is_utc) => {
                Ordered::String(calendar::timestamp(value, unit, is_utc))
            }
            _ => Ordered::Null,
        }
    }

    /// Bytes of this meaning.
    ///
    /// # Errors
    /// What is wrong with text that is not UTF-8, or with a number of another length.
    pub fn of_bytes(self, bytes: &[u8]) -> Result<Ordered, String> {
        match self {
            Self::Text => std::str::from_utf8(bytes)
                .map(|text| Ordered::String(text.to_owned()))
                .map_err(|_| "holds text that is not UTF-8".to_owned()),
            Self::Half => match bytes {
                &[low, high] => Ok(float(half(u16::from_le_bytes([low, high])))),
                _ => Err(format!("holds a number of {} bytes, expected 2", bytes.len())),
            },
            Self::Decimal { scale, in_list } => {
                unscaled(bytes).map(|value| decimal(value, scale, in_list)).ok_or_else(|| {
                    format!("holds a decimal of {} bytes, expected 1 to 16", bytes.len())
                })
            }
            Self::Uuid => {
                let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let digits = digits.concat();
                let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
                let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
                Ok(Ordered::String(parts.join("-")))
            }
            _ => Ok(Ordered::Null),
        }
    }
}

fn unit(unit: &TimeUnit) -> Unit {
    Unit(match unit {
        TimeUnit::MILLIS => 1000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    })
}

/// A number; infinity and what is none are `null`, as in JSON.
pub(super) fn float(value: f64) -> Ordered {
    Number::from_f64(value).map_or(Ordered::Null, Ordered::Number)
}

/// A time as old programs write it: nanoseconds of a day, and the day.
pub(super) fn old_timestamp(value: &Int96) -> Ordered {
    /// The day of 1 January 1970, from noon on.
    const FIRST_DAY: i64 = 2_440_588;
    let &[low, high, day] = value.data() else { return Ordered::Null };
    let nanos = (u64::from(high) << 32 | u64::from(low)) as i64;
    let (days, nanos) = (i64::from(day) - FIRST_DAY, nanos.rem_euclid(86_400_000_000_000));
    let time = calendar::time(nanos, Unit(1_000_000_000));
    Ordered::String(format!("{}T{time}", calendar::date(days)))
}

/// The integer of a decimal, which is stored with its highest byte first.
fn unscaled(bytes: &[u8]) -> Option<i128> {
    let (&first, rest) = bytes.split_first()?;
    let start = i128::from(first as i8);
    (rest.len() < 16).then(|| rest.iter().fold(start, |value, &byte| value << 8 | i128::from(byte)))
}

/// An integer divided by ten to a power: as text, as a whole number, or in a list rounded once.
fn decimal(value: i128, scale: i32, in_list: bool) -> Ordered {
    if scale == 0
        && let Ok(value) = i64::try_from(value)
    {
        return Ordered::Number(value.into());
    }
    match usize::try_from(scale) {
        Ok(scale) if !in_list => Ordered::String(decimal_text(value, scale)),
        _ => float(format!("{value}e{}", -i64::from(scale)).parse().unwrap_or(f64::NAN)),
    }
}

/// A decimal as `str` of Python's `Decimal` writes it: with all digits behind the point (`1.50`), and a power of ten where
/// it is small (`1E-7`).
fn decimal_text(value: i128, scale: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    match digits.len().checked_sub(scale) {
        Some(before @ 1..) => format!("{sign}{}.{}", &digits[..before], &digits[before..]),
        _ if scale - digits.len() < 6 => format!("{sign}0.{digits:0>scale$}"),
        _ => {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            format!("{sign}{first}{point}{rest}E-{}", scale - rest.len())
        }
    }
}

/// The value of a number in 16 bits.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_are_stored() {
        let number = |value: Ordered| value.to_value().to_string();
        assert_eq!(number(decimal(-12_345, 2, true)), "-123.45");
        assert_eq!(number(decimal(7, 0, false)), "7");
        assert_eq!(unscaled(&[0xff, 0x38]), Some(-200));
        assert_eq!((unscaled(&[]), unscaled(&[0; 17])), (None, None));
        let integer = |bits, value| number(Meaning::Integer { unsigned: bits }.of_integer(value));
        assert_eq!(integer(Some(32), -1), "4294967295");
        assert_eq!(integer(Some(64), -1), "18446744073709551615");
        assert_eq!(integer(Some(8), -1), "255");
        assert_eq!(integer(None, -1), "-1");
        assert_eq!(
            (half(0x3555), half(0xc000), half(1)),
            (0.333_251_953_125, -2.0, 2f64.powi(-24))
        );
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
        assert_eq!(number(float(f64::NAN)), "null");
    }

    /// Expected: `str(decimal.Decimal(value).scaleb(-scale))` of Python.
    #[test]
    fn decimals_keep_all_of_their_digits() {
        for (value, scale, expected) in [
            (150, 2, "1.50"),
            (-5, 2, "-0.05"),
            (0, 2, "0.00"),
            (10, 1, "1.0"),
            (i128::from(i64::MAX) * 10, 0, "92233720368547758070"),
            (1_234_567_890_123_456_789_015, 1, "123456789012345678901.5"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
            (-150, 9, "-1.50E-7"),
            (0, 8, "0E-8"),
        ] {
            assert_eq!(decimal(value, scale, false), Ordered::String(expected.into()), "{value}");
        }
        assert_eq!(decimal(150, 2, true).to_value().to_string(), "1.5");
    }

    #[test]
    fn bytes_of_another_length_are_no_numbers() {
        assert!(Meaning::Half.of_bytes(&[1]).is_err() && Meaning::Text.of_bytes(&[0xff]).is_err());
        let uuid = Meaning::Uuid.of_bytes(&[0xab; 16]);
        assert_eq!(uuid, Ok(Ordered::String("abababab-abab-abab-abab-abababababab".into())));
    }
}
