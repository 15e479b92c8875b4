//! Numbers as Python has them, and what a value is, for messages.

use std::cmp::Ordering;

use minijinja::{Error, ErrorKind, Value, value::ValueKind};

use super::objects::own;

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// What a value is, for messages.
pub(super) fn a(value: &Value) -> String {
    if let Some(own) = own(value) {
        return format!("Jinja's {}", own.name());
    }
    match value.kind() {
        ValueKind::Undefined => "an undefined value".to_owned(),
        ValueKind::None => "none".to_owned(),
        ValueKind::String => "a string".to_owned(),
        ValueKind::Bool => "a boolean".to_owned(),
        ValueKind::Number => "a number".to_owned(),
        ValueKind::Map => "a mapping".to_owned(),
        ValueKind::Seq | ValueKind::Iterable => "a list".to_owned(),
        other => format!("a value of type {other}"),
    }
}

/// A number of Python; a boolean is one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    #[allow(clippy::cast_precision_loss, reason = "as Python makes floats of integers")]
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    pub(super) fn cmp(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            _ => self.float().partial_cmp(&other.float()),
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(number) => i64::try_from(number).map_or(Self::from(number), Self::from),
            Number::Float(number) => Self::from(number),
        }
    }
}

pub(super) fn as_number(value: &Value) -> Option<Number> {
    match value.kind() {
        ValueKind::Bool => Some(Number::Integer(i128::from(value.is_true()))),
        ValueKind::Number => match value.is_integer() {
            true => i128::try_from(value.clone()).ok().map(Number::Integer),
            false => f64::try_from(value.clone()).ok().map(Number::Float),
        },
        _ => None,
    }
}
