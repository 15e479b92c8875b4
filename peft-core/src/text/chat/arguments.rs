//! Arguments by place or by name, as Python takes them.

use minijinja::{
    Error, Value,
    value::{Kwargs, Rest, from_args},
};

use super::number::{Number, a, as_number, invalid};

/// The arguments of a filter or a method with these parameters.
///
/// # Errors
/// Too many, or one that is not known, or given twice.
pub(super) fn named<const N: usize>(
    what: &str,
    given: &[Value],
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    let (Rest(places), kwargs): (Rest<Value>, Kwargs) = from_args(given)?;
    if places.len() > N {
        return Err(invalid(format!(
            "{what}: found {} arguments, expected {N} at most",
            places.len()
        )));
    }
    let mut places = places.into_iter();
    let mut found = [const { None }; N];
    for (slot, name) in found.iter_mut().zip(names) {
        *slot = places.next();
        if kwargs.has(name) {
            let value: Value = kwargs.get(name)?;
            if slot.replace(value).is_some() {
                return Err(invalid(format!("{what}: `{name}` is given twice")));
            }
        }
    }
    kwargs.assert_all_used()?;
    Ok(found)
}

/// Whether a flag is given and true.
pub(super) fn flag(value: Option<&Value>) -> bool {
    value.is_some_and(Value::is_true)
}

/// A whole number.
pub(super) fn whole(what: &str, value: &Value) -> Result<i64, Error> {
    let number = match as_number(value) {
        Some(Number::Integer(number)) => i64::try_from(number).ok(),
        _ => None,
    };
    number.ok_or_else(|| invalid(format!("{what}: found {}, expected a whole number", a(value))))
}

/// A string.
pub(super) fn string<'v>(what: &str, value: &'v Value) -> Result<&'v str, Error> {
    let text = value.as_str();
    text.ok_or_else(|| invalid(format!("{what}: found {}, expected a string", a(value))))
}

/// Refuses escaped text, with which Jinja would escape more.
pub(super) fn plain(what: &str, value: &Value) -> Result<(), Error> {
    match value.is_safe() {
        true => Err(invalid(format!("{what}: of text that is escaped or safe is not supported"))),
        false => Ok(()),
    }
}
