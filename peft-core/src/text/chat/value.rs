//! The values of a record as a template sees them.

use minijinja::Value;

use super::{lists::list, mapping::dict};
use crate::text::ordered::Ordered;

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
