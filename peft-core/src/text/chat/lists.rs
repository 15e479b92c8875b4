//! Lists, and what Python has that is like one.

use std::sync::Arc;

use minijinja::{
    Error, Value,
    value::{Enumerator, Object, ObjectRepr, ValueKind},
};

use super::{
    memory,
    number::{a, invalid},
    objects::own,
};

/// Elements of a range. No template means more.
const LONGEST_RANGE: usize = 100_000;

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

/// What `list(value)` holds in Python: the keys of a mapping, the characters of a text, nothing for an undefined value.
///
/// # Errors
/// Of `none`, numbers, and Jinja's own objects.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    memory::list(value.len().unwrap_or(0))?;
    if own(value).is_some() {
        return Err(invalid(format!("the elements of {} are asked for", a(value))));
    }
    match (value.as_str(), value.kind()) {
        (Some(text), _) => Ok(text.chars().map(Value::from).collect()),
        (_, ValueKind::None) => Err(invalid("the elements of none are asked for")),
        _ => Ok(value.try_iter()?.collect()),
    }
}
