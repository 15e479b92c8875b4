//! How Python would print a value.

use minijinja::{Value, value::ValueKind};

use super::{
    characters::is_printable,
    generator::GENERATOR,
    lists::{Kind, list_kind},
    memory::{self, MAX_DEPTH, MOST_BYTES},
    objects::{Method, Own, entries, own},
};

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
    // Lists that hold one list many times print more than they take.
    if out.len() > MOST_BYTES {
        return memory::printed("a value of more than 16 MB of text");
    }
    match value.kind() {
        _ if depth > MAX_DEPTH => memory::printed("a value that is nested too deeply"),
        ValueKind::Undefined if depth > 0 => out.push_str("Undefined"),
        ValueKind::Undefined => {}
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => out.push_str(&number(value, ["inf", "-inf", "nan"])),
        ValueKind::String if value.is_safe() => {
            out.push_str("Markup(");
            write_quoted(out, value.as_str().unwrap_or_default());
            out.push(')');
        }
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = match list_kind(value) {
                Some(Kind::List) => ("[", "]"),
                Some(Kind::Tuple) if value.len() == Some(1) => ("(", ",)"),
                Some(Kind::Tuple | Kind::Group) => ("(", ")"),
                Some(Kind::Range { start, stop, step }) => {
                    out.push_str(&match step {
                        1 => format!("range({start}, {stop})"),
                        step => format!("range({start}, {stop}, {step})"),
                    });
                    return;
                }
                Some(Kind::View(name)) => {
                    out.push_str(name);
                    ("([", "])")
                }
                None => return memory::printed(GENERATOR),
            };
            out.push_str(open);
            for (i, item) in value.try_iter().into_iter().flatten().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_repr(out, &item, depth + 1);
            }
            out.push_str(close);
        }
        ValueKind::Map => {
            let known = |object: &minijinja::value::DynObject| {
                let name = object.type_name();
                ["Dict", "Map", "Kwargs", "Namespace"]
                    .iter()
                    .any(|end| name.split('<').next().unwrap_or(name).ends_with(end))
            };
            if !value.as_object().is_some_and(known) {
                return memory::printed("an object of the template itself, such as `loop`");
            }
            let is_namespace = own(value) == Some(Own::Namespace);
            out.push_str(if is_namespace { "<Namespace {" } else { "{" });
            for (i, (key, item)) in entries(value).into_iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_repr(out, &key, depth + 1);
                out.push_str(": ");
                write_repr(out, &item, depth + 1);
            }
            out.push_str(if is_namespace { "}>" } else { "}" });
        }
        _ if value.downcast_object_ref::<Method>().is_some() => {
            memory::printed(
                "a method that is not called, such as `x.items` (x['items'] is the key)",
            );
        }
        _ => memory::printed("a function that is not called"),
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
            ("\u{61c}\u{600}\u{fff9}", "'\\u061c\\u0600\\ufff9'"),
            ("\u{e0041}\u{f0000}\u{10fffd}", "'\\U000e0041\\U000f0000\\U0010fffd'"),
            ("\u{378}\u{e000}🙂", "'\\u0378\\ue000🙂'"),
        ] {
            assert_eq!(repr(&Value::from(found)), expected);
        }
    }
}
