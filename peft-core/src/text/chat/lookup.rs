//! Attributes, items and slices as Jinja in Python finds them, for the calls that `expressions` writes.
//!
//! `x.items` of a mapping is the method, whatever keys it has, and `x["items"]` is the method too where there is no
//! such key: a template that asks for it takes it for true.

use minijinja::{Environment, Error, ErrorKind, Value, value::ValueKind};

use super::{
    lists::{Kind, list, list_kind, range, tuple},
    memory,
    number::{Number, a, as_number, invalid},
    objects::{Method, own},
};

const OF_TEXTS: &str = "capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha \
    isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip \
    maketrans partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines \
    startswith strip swapcase title translate upper zfill";
const OF_MAPPINGS: &str = "clear copy fromkeys get items keys pop popitem setdefault update values";
const OF_LISTS: &str = "append clear copy count extend index insert pop remove reverse sort";
/// Those that change their object.
const CHANGE: &str = "append clear extend insert pop popitem remove reverse setdefault sort update";
const OF_TUPLES: &str = "count index";
const OF_NUMBERS: &str = "as_integer_ratio bit_count bit_length conjugate denominator from_bytes fromhex hex imag is_integer \
    numerator real to_bytes";

/// Adds the functions.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_function("_attr", attribute);
    env.add_function("_item", item);
    env.add_function("_slice", slice);
    env.add_function("_iter", |value: &Value| match value.kind() {
        ValueKind::None | ValueKind::Number | ValueKind::Bool => {
            Err(invalid(format!("a loop over {}", a(value))))
        }
        _ if own(value).is_some() => Err(invalid(format!("a loop over {}", a(value)))),
        // All of it at once, as for `loop.length`.
        ValueKind::Iterable => Ok(list(value.try_iter()?.collect())),
        _ => Ok(value.clone()),
    });
}

/// Whether a value has a method of this name.
fn has_method(value: &Value, name: &str) -> bool {
    let names = match value.kind() {
        ValueKind::String => OF_TEXTS,
        ValueKind::Map if own(value).is_some() => "",
        ValueKind::Map => OF_MAPPINGS,
        ValueKind::Number | ValueKind::Bool => OF_NUMBERS,
        ValueKind::Seq | ValueKind::Iterable => match list_kind(value) {
            Some(Kind::List) => OF_LISTS,
            Some(Kind::Tuple | Kind::Group) => OF_TUPLES,
            _ => "",
        },
        _ => "",
    };
    names.split(' ').any(|known| !known.is_empty() && known == name)
}

/// `value.name`.
fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    // The sandbox of transformers keeps them from templates.
    if name.starts_with("__") {
        return Ok(Value::UNDEFINED);
    }
    match method(value, name)? {
        Some(method) => Ok(method),
        None => value.get_attr(name),
    }
}

/// The method of this name.
///
/// # Errors
/// One that the sandbox of transformers refuses, as it changes its object.
fn method(value: &Value, name: &str) -> Result<Option<Value>, Error> {
    if !has_method(value, name) {
        return Ok(None);
    }
    let changes = match value.kind() {
        ValueKind::Map | ValueKind::Seq => CHANGE.split(' ').any(|known| known == name),
        _ => false,
    };
    match changes {
        true => Err(invalid(format!("`{name}` of {} would change it, which is refused", a(value)))),
        false => Ok(Some(Value::from_object(Method))),
    }
}

/// `value | attr(name)`: a field of an object, never an item.
pub(super) fn attr(value: &Value, name: &str) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let has_fields = own(value).is_some() || list_kind(value) == Some(&Kind::Group);
    match method(value, name)? {
        Some(method) => Ok(method),
        None if has_fields && !name.starts_with("__") => value.get_attr(name),
        None => Ok(Value::UNDEFINED),
    }
}

/// `value[key]`.
pub(super) fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let indexed = value.as_str().is_some() || list_kind(value).is_some();
    let found = match as_number(key) {
        // A float is no index.
        Some(Number::Float(_)) if indexed => Value::UNDEFINED,
        Some(Number::Integer(index)) if indexed => {
            match list_kind(value).is_some_and(|kind| !kind.has_indices()) {
                true => Value::UNDEFINED,
                false => value.get_item(&Value::from(index))?,
            }
        }
        _ => value.get_item(key)?,
    };
    match key.as_str().filter(|_| found.is_undefined()) {
        Some(name) => Ok(method(value, name)?.unwrap_or(found)),
        None => Ok(found),
    }
}

/// `value[start:stop:step]`.
fn slice(value: &Value, start: &Value, stop: &Value, step: &Value) -> Result<Value, Error> {
    let bound = |value: &Value| match as_number(value) {
        Some(Number::Integer(number)) => Ok(Some(number)),
        _ if value.is_none() => Ok(None),
        _ => Err(invalid(format!("a slice by {}", a(value)))),
    };
    let (start, stop) = (bound(start)?, bound(stop)?);
    let step = bound(step)?.unwrap_or(1);
    if step == 0 {
        return Err(invalid("a slice by steps of zero"));
    }
    if let Some(text) = value.as_str() {
        let letters: Vec<char> = text.chars().collect();
        memory::text(text.len())?;
        let made: String = picked(letters.len(), start, stop, step).map(|at| letters[at]).collect();
        return Ok(if value.is_safe() { Value::from_safe_string(made) } else { Value::from(made) });
    }
    let Some(kind) = list_kind(value).filter(|kind| kind.has_indices()) else {
        return Err(match value.is_undefined() {
            true => Error::from(ErrorKind::UndefinedError),
            false => invalid(format!("a slice of {}", a(value))),
        });
    };
    let values: Vec<Value> = value.try_iter()?.collect();
    let picked: Vec<usize> = picked(values.len(), start, stop, step).collect();
    memory::list(picked.len())?;
    let made = || picked.iter().map(|at| values[*at].clone()).collect();
    Ok(match kind {
        Kind::Tuple => tuple(made()),
        Kind::Range { start: first, step: by, .. } => {
            let (from, to) = bounds(values.len(), start, stop, step);
            let at = |index: i128| first + i64::try_from(index).unwrap_or(0) * by;
            range(at(from), at(to), by * i64::try_from(step).unwrap_or(1))?
        }
        _ => list(made()),
    })
}

/// Where a slice begins and ends, as `slice.indices` of Python has it.
fn bounds(length: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> (i128, i128) {
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |bound: i128| {
        let bound = if bound < 0 { bound.saturating_add(length) } else { bound };
        bound.clamp(lowest, highest.max(lowest))
    };
    let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    (start.map_or(first, clamp), stop.map_or(last, clamp))
}

/// The places that a slice takes.
fn picked(
    length: usize,
    start: Option<i128>,
    stop: Option<i128>,
    step: i128,
) -> impl Iterator<Item = usize> {
    let (from, to) = bounds(length, start, stop, step);
    let mut at = from;
    std::iter::from_fn(move || {
        let inside = if step > 0 { at < to } else { at > to };
        let index = usize::try_from(at).ok().filter(|_| inside)?;
        at = at.saturating_add(step);
        Some(index)
    })
}
