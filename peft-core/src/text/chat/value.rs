//! Values as a template sees them, and how Python would print them.
//!
//! Templates are written against Jinja in Python: a list that is printed is Python's `repr`.

use std::{fmt, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object, ObjectRepr, ValueKind},
};

use crate::text::ordered::Ordered;

/// Containers in containers at most. JSON from files has less than 128.
pub(super) const MAX_DEPTH: usize = 256;

/// An object of a row, with its keys in the row's order.
#[derive(Debug)]
struct Dict(Vec<(Value, Value)>);

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
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

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&repr(&Value::from_dyn_object(self.clone())))
    }
}

/// An array of a row, or a tuple: what Python writes in other brackets.
#[derive(Debug)]
struct List {
    values: Vec<Value>,
    is_tuple: bool,
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.values.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&repr(&Value::from_dyn_object(self.clone())))
    }
}

/// A list of values.
pub(super) fn list(values: Vec<Value>) -> Value {
    Value::from_object(List { values, is_tuple: false })
}

/// A tuple of values.
pub(super) fn tuple(values: Vec<Value>) -> Value {
    Value::from_object(List { values, is_tuple: true })
}

/// A mapping from strings.
pub(super) fn dict(entries: Vec<(String, Value)>) -> Value {
    Value::from_object(Dict(
        entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect(),
    ))
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

/// `str(value)` in Python; nothing for an undefined value.
pub(super) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => repr(value),
    }
}

/// `repr(value)` in Python; nothing for an undefined value.
pub(super) fn repr(value: &Value) -> String {
    let mut text = String::new();
    write_repr(&mut text, value, 0);
    text
}

fn write_repr(out: &mut String, value: &Value, depth: usize) {
    match value.kind() {
        _ if depth > MAX_DEPTH => out.push_str("..."),
        ValueKind::Undefined => {}
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&number(value, ["inf", "-inf", "nan"])),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let is_tuple = value.downcast_object_ref::<List>().is_some_and(|list| list.is_tuple);
            out.push(if is_tuple { '(' } else { '[' });
            for (i, item) in value.try_iter().into_iter().flatten().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_repr(out, &item, depth + 1);
            }
            out.push_str(match is_tuple {
                true if value.len() == Some(1) => ",)",
                true => ")",
                false => "]",
            });
        }
        ValueKind::Map => {
            out.push('{');
            for (i, (key, item)) in entries(value).into_iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_repr(out, &key, depth + 1);
                out.push_str(": ");
                write_repr(out, &item, depth + 1);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}

/// A string in quotes, as Python's `repr` writes it.
fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => {
                out.push('\\');
                out.push(letter);
            }
            _ if is_printable(letter) => out.push(letter),
            _ => out.push_str(&match u32::from(letter) {
                code @ ..=0xff => format!("\\x{code:02x}"),
                code @ ..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
}

/// Whether Python prints a character as it is: neither a control nor a space other than U+0020, of those that occur
/// in text.
fn is_printable(letter: char) -> bool {
    let hidden = letter.is_control()
        || (letter.is_whitespace() && letter != ' ')
        || matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}');
    !hidden
}

/// A number as Python prints it. `special` are infinity, its opposite, and not a number.
pub(super) fn number(value: &Value, special: [&str; 3]) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(number) if number.is_nan() => special[2].to_owned(),
        Ok(number) if number.is_infinite() => {
            special[usize::from(number.is_sign_negative())].to_owned()
        }
        Ok(number) => float(number),
        Err(_) => value.to_string(),
    }
}

/// The shortest digits that give the number back, with an exponent where Python has one.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The keys and values of a mapping.
pub(super) fn entries(value: &Value) -> Vec<(Value, Value)> {
    let pairs = value.as_object().and_then(|object| object.try_iter_pairs());
    pairs.into_iter().flatten().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_python_s() {
        for (found, expected) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e16, "1.5e+16"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-2.5, "-2.5"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(repr(&Value::from(found)), expected);
        }
    }

    #[test]
    fn strings_are_quoted_as_in_python() {
        for (found, expected) in [
            ("a", "'a'"),
            ("it's", "\"it's\""),
            ("'\"", "'\\'\"'"),
            ("\n\t\\", "'\\n\\t\\\\'"),
            ("é\u{0}\u{a0}\u{2028}", "'é\\x00\\xa0\\u2028'"),
        ] {
            assert_eq!(repr(&Value::from(found)), expected);
        }
    }
}
