//! Values as a template sees them, and how Python would print them.
//!
//! Templates are written against Jinja in Python: a list that is printed is Python's `repr`.

use std::{
    cmp::Ordering,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    Error, Value,
    value::{Enumerator, Object, ObjectRepr, ValueKind},
};

use super::{
    memory,
    number::{as_number, invalid},
};
use crate::text::ordered::Ordered;

/// Containers in containers at most. JSON from files has less than 128.
pub(super) const MAX_DEPTH: usize = 256;
/// Elements of a range. No template means more.
const LONGEST_RANGE: usize = 100_000;

/// A mapping, with its keys in order.
#[derive(Debug)]
struct Dict(Vec<(Value, Value)>);

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let entry = self.0.iter().find(|(name, _)| equal(name, key));
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

/// What Python has several types for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Tuple,
    /// `range(start, stop, step)`.
    Range {
        start: i64,
        stop: i64,
        step: i64,
    },
    /// A group of `groupby`: a tuple whose parts have the names `grouper` and `list`.
    Group,
    /// What `dict.items`, `keys` and `values` return, by the name that is printed.
    View(&'static str),
}

impl Kind {
    /// Python's name of the type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Tuple | Self::Group => "tuple",
            Self::Range { .. } => "range",
            Self::View(name) => name,
        }
    }

    /// Whether it has indices and slices.
    pub(super) fn has_indices(&self) -> bool {
        !matches!(self, Self::View(_))
    }
}

/// A list, or what is like one.
#[derive(Debug)]
struct List {
    values: Vec<Value>,
    kind: Kind,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some(name) => self.get_value_by_str(name),
            None => self.values.get(key.as_usize()?).cloned(),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let at = ["grouper", "list"].iter().position(|name| *name == key)?;
        (self.kind == Kind::Group).then(|| self.values.get(at).cloned())?
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.values.len())
    }
}

/// What a generator of Python has: each value once.
#[derive(Debug)]
struct Once(Mutex<Vec<Value>>);

impl Object for Once {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        None
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Enumerator::Values(std::mem::take(&mut *values))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

pub(super) const GENERATOR: &str = "what a filter makes one by one (put `| list` behind it)";

/// A list of values.
pub(super) fn list(values: Vec<Value>) -> Value {
    Value::from_object(List { values, kind: Kind::List })
}

/// A tuple of values.
pub(super) fn tuple(values: Vec<Value>) -> Value {
    Value::from_object(List { values, kind: Kind::Tuple })
}

/// A view of a mapping; `name` is what Python prints.
pub(super) fn view(name: &'static str, values: Vec<Value>) -> Value {
    Value::from_object(List { values, kind: Kind::View(name) })
}

/// A group of `groupby`.
pub(super) fn group(grouper: Value, members: Value) -> Value {
    Value::from_object(List { values: vec![grouper, members], kind: Kind::Group })
}

/// What Python makes one by one.
pub(super) fn generator(values: Vec<Value>) -> Value {
    Value::from_object(Once(Mutex::new(values)))
}

/// `range(start, stop, step)`.
pub(super) fn range(start: i64, stop: i64, step: i64) -> Result<Value, Error> {
    if step == 0 {
        return Err(invalid("range: the step is zero"));
    }
    let mut values = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        if values.len() == LONGEST_RANGE {
            return Err(invalid("range: it has more than 100000 elements"));
        }
        values.push(Value::from(at));
        at = at.saturating_add(step);
    }
    memory::list(values.len())?;
    Ok(Value::from_object(List { values, kind: Kind::Range { start, stop, step } }))
}

/// What a list is in Python. What minijinja itself makes is a list; a generator is none.
pub(super) fn list_kind(value: &Value) -> Option<&Kind> {
    match value.downcast_object_ref::<List>() {
        Some(list) => Some(&list.kind),
        None if value.kind() == ValueKind::Seq => Some(&Kind::List),
        None => None,
    }
}

/// A mapping from strings.
pub(super) fn dict(entries: Vec<(String, Value)>) -> Value {
    Value::from_object(Dict(
        entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect(),
    ))
}

/// A mapping; the last of two values of a key counts, at the place of the first.
pub(super) fn dict_of(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        match entries.iter_mut().find(|(known, _)| equal(known, &key)) {
            Some((_, old)) => *old = value,
            None => entries.push((key, value)),
        }
    }
    Value::from_object(Dict(entries))
}

/// Whether a mapping is a namespace of Jinja's; `None` for what is no object.
pub(super) fn is_namespace(value: &Value) -> Option<bool> {
    value.as_object().map(|object| object.type_name().ends_with("Namespace"))
}

impl From<&Ordered> for Value {
    fn from(json: &Ordered) -> Self {
        match json {
            Ordered::Null => Value::from(()),
            Ordered::Bool(value) => Value::from(*value),
            Ordered::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), ..) => Value::from(number),
                (_, Some(number), _) => Value::from(number),
                (.., number) => Value::from(number.unwrap_or_default()),
            },
            Ordered::String(text) => Value::from(text.as_str()),
            Ordered::Array(values) => list(values.iter().map(Value::from).collect()),
            Ordered::Object(fields) => {
                dict(fields.iter().map(|(key, value)| (key.clone(), value.into())).collect())
            }
        }
    }
}

/// The keys and values of a mapping.
pub(super) fn entries(value: &Value) -> Vec<(Value, Value)> {
    let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
    pairs.into_iter().flatten().collect()
}

/// Refuses what is no key of a mapping.
///
/// # Errors
/// Of lists and mappings, and of tuples with one of them.
pub(super) fn check_key(key: &Value) -> Result<(), Error> {
    match (key.kind(), list_kind(key)) {
        (_, Some(Kind::Tuple | Kind::Group)) => {
            key.try_iter()?.try_for_each(|part| check_key(&part))
        }
        (_, Some(Kind::List)) | (ValueKind::Map, _) => {
            Err(invalid("a list or a mapping is no key"))
        }
        _ => Ok(()),
    }
}

/// `left == right`.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    if let (Some(left), Some(right)) = (as_number(left), as_number(right)) {
        return left.cmp(right) == Some(Ordering::Equal);
    }
    match (left.kind(), right.kind()) {
        (ValueKind::Map, ValueKind::Map) => {
            let (left, right) = (entries(left), entries(right));
            left.len() == right.len()
                && left.iter().all(|(key, value)| {
                    right.iter().any(|(other, found)| equal(key, other) && equal(value, found))
                })
        }
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            let (kind, other) = (list_kind(left), list_kind(right));
            kind.is_some()
                && kind.map(Kind::name) == other.map(Kind::name)
                && left.len() == right.len()
                && left
                    .try_iter()
                    .into_iter()
                    .flatten()
                    .zip(right.try_iter().into_iter().flatten())
                    .all(|(left, right)| equal(&left, &right))
        }
        (left_kind, right_kind) => left_kind == right_kind && left == right,
    }
}

/// What `list(value)` holds in Python: the keys of a mapping, the characters of a text, nothing for an undefined value.
///
/// # Errors
/// Of `none` and numbers.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    memory::list(value.len().unwrap_or(0))?;
    match (value.as_str(), value.kind()) {
        (Some(text), _) => Ok(text.chars().map(Value::from).collect()),
        (_, ValueKind::None) => Err(invalid("the elements of none are asked for")),
        _ => Ok(value.try_iter()?.collect()),
    }
}

/// A method that is not called.
#[derive(Debug)]
pub(super) struct Method;

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}
