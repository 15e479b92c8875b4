//! Templates such as `question: {question} answer:` that create a text from a record's fields.

use std::fmt;

use serde_json::Value;

use super::record::{Record, describe};
use crate::error::{Error, Result};

/// A text with `{field}` placeholders; `{{` and `}}` stand for single braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(String),
}

impl Template {
    /// Parses a template. `setting` is the name of the setting that it comes from, such as
    /// `source_template`.
    ///
    /// A field's name is everything between the braces, spaces included.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unbalanced brace and for an empty name.
    pub fn parse(source: &str, setting: &str) -> Result<Self> {
        let fail = |at: usize, what: &str| {
            let place = source[..at].chars().count() + 1;
            Error::setting(setting, format!("`{source}`, character {place}: {what}"))
        };
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = source;
        while let Some(found) = rest.find(['{', '}']) {
            let at = source.len() - rest.len() + found;
            literal.push_str(&rest[..found]);
            let brace = &rest[found..=found];
            rest = &rest[found + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(fail(at, "found `}` without `{`; a brace itself is written `}}`"));
            }
            let end = match rest.find(['{', '}']) {
                Some(end) if rest[end..].starts_with('}') => end,
                _ => return Err(fail(at, "found `{` without `}`; a brace itself is written `{{`")),
            };
            if end == 0 {
                return Err(fail(
                    at,
                    "found `{}`, expected the name of a field between the braces",
                ));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(rest[..end].to_owned()));
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { source: source.to_owned(), parts })
    }

    /// Returns the template as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Returns the names of the fields it uses, in order, including repetitions.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Fills in a record's fields: strings unchanged, numbers and booleans as in JSON.
    ///
    /// # Errors
    /// [`Error::Data`] for a field that the record lacks (listing the present ones) or that is an
    /// array or an object.
    pub fn render(&self, record: &Record) -> Result<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field(name) => match record.get(name)? {
                    Value::String(value) => text.push_str(value),
                    value @ (Value::Number(_) | Value::Bool(_)) => {
                        text.push_str(&value.to_string());
                    }
                    value => {
                        return Err(record.error(format!(
                            "template field `{name}`: found {}, expected a string, a number or a \
                             boolean",
                            describe(value)
                        )));
                    }
                },
            }
        }
        Ok(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::record::tests::record;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Template> {
        Template::parse(text, "source_template")
    }

    fn render(text: &str, fields: Value) -> Result<String> {
        parse(text)?.render(&record(5, fields))
    }

    #[test]
    fn fields_are_filled_in() {
        let fields = json!({"a": "x{b}", "b b": 1, "c": true, "d": -2.50, "é": "ü"});
        assert_eq!(render("{a}|{b b}|{c}|{d}|{é}", fields.clone()).unwrap(), "x{b}|1|true|-2.5|ü");
        assert_eq!(render("{{a}} {{{a}}} }}{{", fields.clone()).unwrap(), "{a} {x{b}} }{");
        assert_eq!(render("{a}{a}", fields.clone()).unwrap(), "x{b}x{b}");
        assert_eq!(render("plain", fields.clone()).unwrap(), "plain");
        assert_eq!(render("", fields).unwrap(), "");
        assert_eq!(parse("{b} {a} {b}").unwrap().fields().collect::<Vec<_>>(), ["b", "a", "b"]);
        assert_eq!(parse("{b} x").unwrap().to_string(), "{b} x");
    }

    #[test]
    fn braces_without_partner_are_refused_with_their_place() {
        for (text, character) in
            [("é {a", 3), ("{", 1), ("{a{b}}", 1), ("{{{", 3), ("a}", 2), ("{a}}", 4), ("{{}", 3)]
        {
            let error = parse(text).unwrap_err().to_string();
            let start = format!("source_template: `{text}`, character {character}: found");
            assert!(error.starts_with(&start), "{error}");
        }
        assert!(parse("a {} b").unwrap_err().to_string().contains("expected the name of a field"));
    }

    #[test]
    fn records_without_the_field_are_refused() {
        let error = render("{x}", json!({"b": 1, "a": 2})).unwrap_err().to_string();
        assert_eq!(error, "rows.jsonl, line 5: field `x` is missing; the line has: a, b");
        assert!(render("{x}", json!({"x": null})).unwrap_err().to_string().contains("is null"));
        let error = render("{x}", json!({"x": [1]})).unwrap_err().to_string();
        assert!(error.contains("template field `x`: found an array of 1 values"), "{error}");
        assert!(render("{x}", json!({"x": {}})).is_err());
    }

    proptest! {
        /// Any text with its braces doubled renders as itself.
        #[test]
        fn escaped_text_renders_as_itself(text in "[a{}é ]{0,20}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(render(&escaped, json!({})).unwrap(), text);
        }

        /// No text makes the parser panic.
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a{}é]{0,12}") {
            let _ = parse(&text);
        }
    }
}
