//! The filter `tojson`: `json.dumps` of Python.

use std::cmp::Ordering;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

use super::{
    comparison::order,
    lists::{Kind, list_kind},
    memory::{self, MAX_DEPTH, MOST_BYTES},
    objects::{Own, entries, own},
    print::{number, text},
};

/// The filter `tojson`, as transformers defines it: `json.dumps` with these of its settings.
pub(super) fn to_json(
    value: &Value,
    positional: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let ensure_ascii: Option<bool> = kwargs.get("ensure_ascii")?;
    let indent: Option<Value> = kwargs.get("indent")?;
    let separators: Option<Value> = kwargs.get("separators")?;
    let sort_keys: Option<bool> = kwargs.get("sort_keys")?;
    kwargs.assert_all_used()?;
    let indent = indent.filter(|indent| !indent.is_none()).map(|indent| match indent.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(indent.as_usize().unwrap_or(0).min(64)),
    });
    let item = if indent.is_some() { "," } else { ", " };
    let separators = match separators.filter(|separators| !separators.is_none()) {
        None => [item.to_owned(), ": ".to_owned()],
        Some(given) => {
            let given: Vec<String> = given.try_iter()?.map(|part| text(&part)).collect();
            given.try_into().map_err(|_| {
                let message = "tojson: separators: expected two of them";
                Error::new(ErrorKind::InvalidOperation, message)
            })?
        }
    };
    let ascii = positional.map(|ascii| ascii.is_true()).or(ensure_ascii).unwrap_or(false);
    let dump = Dump { ascii, indent, separators, sort_keys: sort_keys.unwrap_or(false) };
    let mut out = String::new();
    dump.write(&mut out, value, 0)?;
    memory::text(out.len())?;
    Ok(out)
}

/// The settings of `json.dumps`.
struct Dump {
    ascii: bool,
    indent: Option<String>,
    separators: [String; 2],
    sort_keys: bool,
}

impl Dump {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        let refused =
            |what: String| Err(Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}")));
        if out.len() > MOST_BYTES {
            return memory::text(out.len());
        }
        if depth > MAX_DEPTH {
            return refused("the value is nested too deeply".to_owned());
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value, ["Infinity", "-Infinity", "NaN"])),
            ValueKind::String => self.write_string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable
                if !matches!(list_kind(value), Some(Kind::List | Kind::Tuple | Kind::Group)) =>
            {
                let what = list_kind(value).map_or("generator", Kind::name);
                return refused(format!(
                    "found a {what}, which JSON lacks (put `| list` in front)"
                ));
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.write_all(out, "[]", items.len(), depth, |out, i| {
                    self.write(out, &items[i], depth + 1)
                })?;
            }
            ValueKind::Map if own(value) == Some(Own::Namespace) => {
                return refused("found a namespace, which JSON lacks".to_owned());
            }
            ValueKind::Map => {
                let mut entries = entries(value);
                if self.sort_keys {
                    let mut fault = None;
                    entries.sort_by(|(a, _), (b, _)| match order(a, b, "<") {
                        Ok(order) => order.unwrap_or(Ordering::Equal),
                        Err(error) => {
                            fault.get_or_insert(error);
                            Ordering::Equal
                        }
                    });
                    if let Some(fault) = fault {
                        return Err(fault);
                    }
                }
                self.write_all(out, "{}", entries.len(), depth, |out, i| {
                    let (key, value) = &entries[i];
                    match key.kind() {
                        ValueKind::String => self.write_string(out, &text(key)),
                        kind @ (ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) => {
                            return refused(format!("found a key of type {kind}"));
                        }
                        _ => {
                            let mut plain = String::new();
                            self.write(&mut plain, key, depth + 1)?;
                            self.write_string(out, &plain);
                        }
                    }
                    out.push_str(&self.separators[1]);
                    self.write(out, value, depth + 1)
                })?;
            }
            kind => return refused(format!("found a value of type {kind}, which JSON lacks")),
        }
        Ok(())
    }

    /// The elements of an array or an object, between its brackets.
    fn write_all(
        &self,
        out: &mut String,
        brackets: &str,
        count: usize,
        depth: usize,
        write: impl Fn(&mut String, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let (Some(indent), true) = (&self.indent, count > 0) {
                out.push('\n');
                (0..depth).for_each(|_| out.push_str(indent));
            }
        };
        out.push_str(&brackets[..1]);
        for i in 0..count {
            out.push_str(if i == 0 { "" } else { &self.separators[0] });
            line(out, depth + 1);
            write(out, i)?;
        }
        line(out, depth);
        out.push_str(&brackets[1..]);
        Ok(())
    }

    fn write_string(&self, out: &mut String, text: &str) {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
                _ if self.ascii && !matches!(letter, ' '..='~') => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => out.push(letter),
            }
        }
        out.push('"');
    }
}
