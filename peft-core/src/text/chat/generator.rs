//! What Python makes one by one, and gives once.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr},
};

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

/// What Python makes one by one.
pub(super) fn generator(values: Vec<Value>) -> Value {
    Value::from_object(Once(Mutex::new(values)))
}
