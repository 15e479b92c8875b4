//! JSON whose objects keep the order of the file.
//!
//! A chat template prints tools and their arguments as they stand in the row, so the order of their keys is part of
//! the text. `serde_json` sorts keys, unless a feature changes that for every crate of the program.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// A JSON value; objects are lists of keys and values.
#[derive(Clone, Debug, PartialEq)]
pub enum Ordered {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Ordered>),
    /// An object; no key stands twice.
    Object(Vec<(String, Ordered)>),
}

impl Ordered {
    /// Returns the value of an object's key, `None` if it is missing, `null`, or this is no object.
    pub fn get(&self, key: &str) -> Option<&Ordered> {
        let Self::Object(fields) = self else { return None };
        let (_, value) = fields.iter().find(|(name, _)| name == key)?;
        (*value != Self::Null).then_some(value)
    }

    /// Returns the same value with sorted keys.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(values) => values.iter().map(Self::to_value).collect(),
            Self::Object(fields) => Value::Object(
                fields.iter().map(|(key, value)| (key.clone(), value.to_value())).collect(),
            ),
        }
    }
}

impl From<&Value> for Ordered {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(values) => Self::Array(values.iter().map(Self::from).collect()),
            Value::Object(fields) => Self::from(fields),
        }
    }
}

impl From<&Map<String, Value>> for Ordered {
    fn from(fields: &Map<String, Value>) -> Self {
        Self::Object(fields.iter().map(|(key, value)| (key.clone(), value.into())).collect())
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Ordered, E> {
                Ok(Ordered::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Ordered, E> {
                Ok(Ordered::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Ordered, E> {
                Ok(Ordered::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Ordered, E> {
                Ok(Number::from_f64(value).map_or(Ordered::Null, Ordered::Number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
                Ok(Ordered::String(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Ordered, E> {
                Ok(Ordered::String(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Ordered, A::Error> {
                let mut array = Vec::new();
                while let Some(value) = values.next_element()? {
                    array.push(value);
                }
                Ok(Ordered::Array(array))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
                let mut fields: Vec<(String, Ordered)> = Vec::new();
                while let Some((key, value)) = entries.next_entry::<String, Ordered>()? {
                    // As in Python, the last value counts, at the first one's place.
                    match fields.iter_mut().find(|(name, _)| *name == key) {
                        Some((_, old)) => *old = value,
                        None => fields.push((key, value)),
                    }
                }
                Ok(Ordered::Object(fields))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_the_last_of_two_values_counts() {
        let text =
            r#"{"b": [1, -2, 1.5, null, true], "a": {"z": "é", "y": {}}, "b": 3, "n": null}"#;
        let read: Ordered = serde_json::from_str(text).unwrap();
        let Ordered::Object(fields) = &read else { panic!("an object") };
        let keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "n"]);
        assert_eq!(read.to_value(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(Ordered::from(&read.to_value()).to_value(), read.to_value());
        assert!(read.get("n").is_none() && read.get("x").is_none() && read.get("a").is_some());
    }
}
