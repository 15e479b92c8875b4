//! Which values are equal, and which comes first.

use std::cmp::Ordering;

use minijinja::{Error, Value, tests::is_sameas, value::ValueKind};

use super::{
    lists::{Kind, list_kind},
    memory::{self, MAX_DEPTH},
    number::{a, as_number, invalid},
    objects::{entries, is_mapping},
};

/// `left == right`.
///
/// # Errors
/// More comparisons than a rendering may take, and values that are nested too deeply.
pub(super) fn equal(left: &Value, right: &Value) -> Result<bool, Error> {
    equal_at(left, right, 0)
}

fn equal_at(left: &Value, right: &Value, depth: usize) -> Result<bool, Error> {
    memory::compared()?;
    if depth > MAX_DEPTH {
        return Err(invalid("a comparison of values that are nested too deeply"));
    }
    if let (Some(left), Some(right)) = (as_number(left), as_number(right)) {
        return Ok(left.cmp(right) == Some(Ordering::Equal));
    }
    // As in Python, one object is equal to itself without a look at what it holds.
    if left.as_object().is_some() && is_sameas(left, right) {
        return Ok(true);
    }
    match (left.kind(), right.kind()) {
        (ValueKind::Map, ValueKind::Map) => {
            let (mine, others) = (entries(left), entries(right));
            if !is_mapping(left) || !is_mapping(right) || mine.len() != others.len() {
                return Ok(false);
            }
            for (key, value) in &mine {
                let at = position(others.iter().map(|(other, _)| other), key)?;
                let found = at.map(|at| equal_at(value, &others[at].1, depth + 1)).transpose()?;
                if found != Some(true) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            let (kind, other) = (list_kind(left), list_kind(right));
            if kind.is_none()
                || kind.map(Kind::name) != other.map(Kind::name)
                || left.len() != right.len()
            {
                return Ok(false);
            }
            for (left, right) in left.try_iter()?.zip(right.try_iter()?) {
                if !equal_at(&left, &right, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (left_kind, right_kind) => Ok(left_kind == right_kind && left == right),
    }
}

/// Counts as many comparisons as another value that is compared with this one takes at most.
///
/// # Errors
/// Those of [`equal`].
pub(super) fn count(value: &Value, depth: usize) -> Result<(), Error> {
    memory::compared()?;
    if depth > MAX_DEPTH {
        return Err(invalid("a comparison of values that are nested too deeply"));
    }
    match value.kind() {
        ValueKind::Map if is_mapping(value) => {
            entries(value).iter().try_for_each(|(_, value)| count(value, depth + 1))
        }
        ValueKind::Seq => value.try_iter()?.try_for_each(|part| count(&part, depth + 1)),
        _ => Ok(()),
    }
}

/// The place of the first value that is equal to one.
///
/// # Errors
/// Those of [`equal`].
pub(super) fn position<'v>(
    values: impl IntoIterator<Item = &'v Value>,
    searched: &Value,
) -> Result<Option<usize>, Error> {
    for (at, value) in values.into_iter().enumerate() {
        if equal(value, searched)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// How two values are ordered; `None` for what is not a number.
///
/// # Errors
/// Values of which Python orders none before the other, and those of [`equal`].
pub(super) fn order(
    left: &Value,
    right: &Value,
    operator: &str,
) -> Result<Option<Ordering>, Error> {
    memory::compared()?;
    if let (Some(left), Some(right)) = (as_number(left), as_number(right)) {
        return Ok(left.cmp(right));
    }
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Ok(Some(left.cmp(right)));
    }
    match (list_kind(left), list_kind(right)) {
        (Some(kind @ (Kind::List | Kind::Tuple)), Some(other)) if *kind == *other => {
            for (left, right) in left.try_iter()?.zip(right.try_iter()?) {
                if !equal(&left, &right)? {
                    return order(&left, &right, operator);
                }
            }
            Ok(Some(left.len().cmp(&right.len())))
        }
        _ => Err(unsupported(left, operator, right)),
    }
}

/// An operator that is not there for two values.
pub(super) fn unsupported(left: &Value, operator: &str, right: &Value) -> Error {
    invalid(format!("`{operator}` of {} and {} is not supported", a(left), a(right)))
}
