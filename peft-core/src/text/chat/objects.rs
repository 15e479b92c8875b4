//! What an object is: a mapping, or one of Jinja's own.

use std::sync::Arc;

use minijinja::{
    Value,
    value::{Object, ObjectRepr, ValueKind},
};

/// What Jinja has beside the values of Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Namespace,
    Loop,
    Macro,
}

impl Own {
    /// What it is, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Loop => "`loop`",
            Self::Macro => "macro",
        }
    }
}

/// Which of Jinja's own objects a value is, if it is one. minijinja has all of them as mappings.
pub(super) fn own(value: &Value) -> Option<Own> {
    let name = value.as_object()?.type_name();
    let known = [("Namespace", Own::Namespace), ("Loop", Own::Loop), ("Macro", Own::Macro)];
    known.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, own)| own)
}

/// Whether a value is a mapping of Python.
pub(super) fn is_mapping(value: &Value) -> bool {
    value.kind() == ValueKind::Map && own(value).is_none()
}

/// The keys and values of a mapping.
pub(super) fn entries(value: &Value) -> Vec<(Value, Value)> {
    let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
    pairs.into_iter().flatten().collect()
}

/// A method that is not called.
#[derive(Debug)]
pub(super) struct Method;

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}
