//! Mappings, whose keys have an order.

use std::sync::Arc;

use minijinja::{
    Error, Value,
    value::{Enumerator, Object, ValueKind},
};

use super::{
    comparison::equal,
    lists::{Kind, list_kind},
    memory::{self, MAX_DEPTH},
    number::invalid,
    objects::is_mapping,
};

/// A mapping, with its keys in order.
#[derive(Debug)]
struct Dict(Vec<(Value, Value)>);

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        // A rendering that compares too much fails, whatever is found here.
        let entry = self.0.iter().find(|(name, _)| equal(name, key).unwrap_or(false));
        entry.map(|(_, value)| value.clone())
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let entry = self.0.iter().find(|(name, _)| name.as_str() == Some(key));
        entry.map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(key, _)| key.clone()).collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.0.len())
    }
}

/// A mapping from strings.
pub(super) fn dict(entries: Vec<(String, Value)>) -> Value {
    Value::from_object(Dict(
        entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect(),
    ))
}

/// A mapping; the last of two values of a key counts, at the place of the first.
///
/// # Errors
/// A key that is none, and comparisons without end.
pub(super) fn dict_of(pairs: impl IntoIterator<Item = (Value, Value)>) -> Result<Value, Error> {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        check_key(&key)?;
        let mut at = 0;
        while at < entries.len() && !equal(&entries[at].0, &key)? {
            at += 1;
        }
        match entries.get_mut(at) {
            Some((_, old)) => *old = value,
            None => entries.push((key, value)),
        }
    }
    Ok(Value::from_object(Dict(entries)))
}

/// Refuses what is no key of a mapping.
///
/// # Errors
/// Of lists and mappings, and of tuples with one of them.
pub(super) fn check_key(key: &Value) -> Result<(), Error> {
    check_key_at(key, 0)
}

fn check_key_at(key: &Value, depth: usize) -> Result<(), Error> {
    memory::compared()?;
    match (key.kind(), list_kind(key)) {
        _ if depth > MAX_DEPTH => Err(invalid("a key is nested too deeply")),
        (_, Some(Kind::Tuple | Kind::Group)) => {
            key.try_iter()?.try_for_each(|part| check_key_at(&part, depth + 1))
        }
        (_, Some(Kind::List)) => Err(invalid("a list or a mapping is no key")),
        (ValueKind::Map, _) if is_mapping(key) => Err(invalid("a list or a mapping is no key")),
        _ => Ok(()),
    }
}
