//! `text % values`, without widths and precisions.

use minijinja::{
    Error, Value,
    value::{Kwargs, Rest, ValueKind, from_args},
};

use super::{
    memory,
    number::{Number, a, as_number, invalid},
    print::{repr, text},
};

/// `text % args`; the arguments may have names.
///
/// # Errors
/// Directives that are not known here, and too few or too many arguments.
pub(super) fn percent(format: &str, args: &[Value]) -> Result<Value, Error> {
    let (Rest(places), names): (Rest<Value>, Kwargs) = from_args(args)?;
    let mut places = places.into_iter();
    let mut written = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            written.push(letter);
            continue;
        }
        let mut directive = letters.next();
        if directive == Some('%') {
            written.push('%');
            continue;
        }
        let value = if directive == Some('(') {
            let name: String = letters.by_ref().take_while(|letter| *letter != ')').collect();
            directive = letters.next();
            names.get::<Value>(&name)?
        } else {
            places.next().ok_or_else(|| invalid("`%`: too few values"))?
        };
        let part = match (directive, as_number(&value)) {
            (Some('s'), _) => text(&value),
            (Some('r'), _) => repr(&value),
            (Some('d' | 'i'), Some(Number::Integer(number))) => number.to_string(),
            (Some('d' | 'i'), Some(Number::Float(number))) if number.abs() < 1e15 => {
                format!("{:.0}", number.trunc())
            }
            (Some('d' | 'i'), _) => return Err(invalid(format!("`%d` of {}", a(&value)))),
            (other, _) => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(invalid(format!("`%{other}` is not supported: %s, %r, %d and %% are")));
            }
        };
        memory::text(written.len() + part.len())?;
        written.push_str(&part);
    }
    match places.next() {
        Some(_) => Err(invalid("`%`: not all values are used")),
        None => {
            names.assert_all_used().or(Ok::<_, Error>(()))?;
            Ok(Value::from(written))
        }
    }
}

/// The arguments of `text % value`: those of a tuple, the names of a mapping, or the value.
pub(super) fn of_operator(value: &Value, is_tuple: bool) -> Result<Vec<Value>, Error> {
    match value.kind() {
        _ if is_tuple => Ok(value.try_iter()?.collect()),
        ValueKind::Map => Err(invalid("`%` with a mapping is not supported")),
        _ => Ok(vec![value.clone()]),
    }
}
