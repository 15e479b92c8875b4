//! Filters of numbers: `int`, `float`, `round`, `abs`.

use minijinja::{Error, ErrorKind, Value};

use super::{
    arguments::{named, whole},
    number::{Number, a, as_number, invalid},
    texts::is_space,
};

/// `int(default=0, base=10)`.
pub(super) fn integer(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [default, base] = named("int", args, ["default", "base"])?;
    let default = || default.clone().unwrap_or_else(|| Value::from(0));
    let base = base.as_ref().map_or(Ok(10), |base| whole("int", base))?;
    let Some(text) = value.as_str() else {
        return match as_number(value) {
            Some(number) => truncated(number).map(|made| made.unwrap_or_else(default)),
            None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
            None => Ok(default()),
        };
    };
    match parsed_integer(text, base)? {
        Some(number) => Ok(Number::Integer(number).into()),
        None => match parsed_float(text)? {
            Some(number) => Ok(truncated(Number::Float(number))?.unwrap_or_else(default)),
            None => Ok(default()),
        },
    }
}

/// Truncated towards zero; `None` for what is not finite.
fn truncated(number: Number) -> Result<Option<Value>, Error> {
    match number {
        Number::Float(number) if !number.is_finite() => Ok(None),
        #[allow(clippy::cast_possible_truncation, reason = "compared with the bounds before")]
        Number::Float(number) if number.abs() < 1e38 => {
            Ok(Some(Number::Integer(number as i128).into()))
        }
        Number::Float(_) => Err(invalid("int: the number is too large")),
        integer => Ok(Some(integer.into())),
    }
}

/// The digits of a number without its space and underscores; `None` if it has others.
fn digits(text: &str) -> Result<Option<String>, Error> {
    let text = text.trim_matches(is_space);
    if text.chars().any(|letter| !letter.is_ascii() && letter.is_numeric()) {
        return Err(invalid(format!("a number with digits that are not ASCII: {text:?}")));
    }
    let bytes = text.as_bytes();
    let alone = bytes.iter().enumerate().any(|(at, byte)| {
        let beside = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
        *byte == b'_'
            && !(beside(at.checked_sub(1).and_then(|at| bytes.get(at)))
                && beside(bytes.get(at + 1)))
    });
    Ok((!alone).then(|| text.replace('_', "")))
}

fn parsed_integer(text: &str, base: i64) -> Result<Option<i128>, Error> {
    let Some(digits) = digits(text)? else { return Ok(None) };
    let (negative, digits) = match digits.strip_prefix(['+', '-']) {
        Some(rest) => (digits.starts_with('-'), rest),
        None => (false, digits.as_str()),
    };
    let prefix = match base {
        16 => ["0x", "0X"],
        8 => ["0o", "0O"],
        2 => ["0b", "0B"],
        _ => ["", ""],
    };
    let digits = prefix.iter().find_map(|prefix| digits.strip_prefix(prefix)).unwrap_or(digits);
    let radix = u32::try_from(base).ok().filter(|base| (2..=36).contains(base));
    let radix = radix.ok_or_else(|| invalid("int: expected a base from 2 to 36"))?;
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Ok(None);
    }
    let number =
        i128::from_str_radix(digits, radix).map_err(|_| invalid("int: it is too large"))?;
    Ok(Some(if negative { -number } else { number }))
}

/// `float(default=0.0)`.
pub(super) fn float(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [default] = named("float", args, ["default"])?;
    let number = match (value.as_str(), as_number(value)) {
        (Some(text), _) => parsed_float(text)?,
        (None, Some(number)) => Some(number.float()),
        (None, None) if value.is_undefined() => return Err(Error::from(ErrorKind::UndefinedError)),
        (None, None) => None,
    };
    Ok(number.map(Value::from).or(default).unwrap_or_else(|| Value::from(0.0)))
}

/// Python's `float(text)`.
fn parsed_float(text: &str) -> Result<Option<f64>, Error> {
    // Rust reads the same numbers, `inf` and `nan` included.
    Ok(digits(text)?.and_then(|digits| digits.parse().ok()))
}

/// `abs`.
pub(super) fn absolute(value: &Value) -> Result<Value, Error> {
    match as_number(value) {
        Some(Number::Integer(number)) => Ok(Number::Integer(number.saturating_abs()).into()),
        Some(Number::Float(number)) => Ok(Value::from(number.abs())),
        None => Err(invalid(format!("abs: found {}, expected a number", a(value)))),
    }
}

/// `round(precision=0, method='common')`.
pub(super) fn round(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let [precision, method] = named("round", args, ["precision", "method"])?;
    let precision = precision.as_ref().map_or(Ok(0), |precision| whole("round", precision))?;
    let Some(number) = as_number(value) else {
        return Err(invalid(format!("round: found {}, expected a number", a(value))));
    };
    let places = i32::try_from(precision).ok().filter(|places| (-300..=300).contains(places));
    let places = places.ok_or_else(|| invalid("round: found no usable precision"))?;
    let by: fn(f64) -> f64 = match method.as_ref().map_or(Some("common"), |method| method.as_str())
    {
        Some("common") => return common(number, places),
        Some("ceil") => f64::ceil,
        Some("floor") => f64::floor,
        _ => return Err(invalid("round: expected one of the methods common, ceil, floor")),
    };
    let scale = 10_f64.powi(places);
    Ok(Value::from(by(number.float() * scale) / scale))
}

/// Python's `round`: half to even, of the number as it is stored.
fn common(number: Number, places: i32) -> Result<Value, Error> {
    match number {
        Number::Integer(number) if places >= 0 => Ok(Number::Integer(number).into()),
        Number::Integer(number) => {
            let scale = 10_i128.checked_pow(places.unsigned_abs());
            let Some(scale) = scale else { return Ok(Value::from(0)) };
            let (quotient, rest) = (number.div_euclid(scale), number.rem_euclid(scale));
            let up = 2 * rest > scale || (2 * rest == scale && quotient % 2 != 0);
            Ok(Number::Integer((quotient + i128::from(up)) * scale).into())
        }
        Number::Float(number) if !number.is_finite() => Ok(Value::from(number)),
        Number::Float(number) if places >= 0 => {
            let decimals = usize::try_from(places).unwrap_or(0);
            Ok(Value::from(format!("{number:.decimals$}").parse().unwrap_or(number)))
        }
        Number::Float(number) => {
            let scale = 10_f64.powi(-places);
            Ok(Value::from((number / scale).round_ties_even() * scale))
        }
    }
}
