//! Templates such as `question: {question} answer:` that create a text from a record's fields.
//!
//! | written | stands for |
//! |---|---|
//! | `{name}` | the field, which must be there |
//! | `{translation.en}`, `{answers.0.text}` | what is in an object or a list; a field of exactly this name comes first |
//! | `{name?}` | the field, or nothing |
//! | `{name\|none}` | the field, or `none` |
//! | `{?Input: {name} ?}` | `Input: ...` if all its fields are there, else nothing |
//! | `{{`, `}}` | single braces |
//!
//! For the optional ones, a field that is missing, null, or blank is not there.

use std::fmt;

use serde_json::Value;

use super::record::{Record, describe};
use crate::error::{Error, Result};

/// A text with placeholders for fields, see above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
    /// Left out as a whole if one of its fields is not there.
    Optional(Vec<Part>),
}

/// What stands between a pair of braces.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    /// All of it. A field of exactly this name comes before any other reading.
    whole: String,
    /// The name without `?` or `|default`, and what replaces a field that is not there.
    or_default: Option<(String, String)>,
}

impl Field {
    fn parse(whole: &str) -> Self {
        let parts = whole.split_once('|').or_else(|| Some((whole.strip_suffix('?')?, "")));
        let or_default = parts
            .map(|(name, default)| (name.trim().to_owned(), default.trim().to_owned()))
            .filter(|(name, _)| !name.is_empty());
        Self { whole: whole.to_owned(), or_default }
    }

    fn name(&self) -> &str {
        self.or_default.as_ref().map_or(&self.whole, |(name, _)| name)
    }

    /// Whether it can be filled in without its default.
    fn is_there(&self, record: &Record) -> Result<bool> {
        Ok(match present(record, self.name())? {
            Some(text) => !text.trim().is_empty(),
            None => false,
        })
    }

    fn render(&self, record: &Record) -> Result<String> {
        if let Some(text) = present(record, &self.whole)? {
            return Ok(text);
        }
        match &self.or_default {
            None => Err(missing(record, &self.whole)),
            Some((name, default)) => {
                let text = present(record, name)?.filter(|text| !text.trim().is_empty());
                Ok(text.unwrap_or_else(|| default.clone()))
            }
        }
    }
}

/// The text of a field, `None` if it is missing or `null`: strings unchanged, numbers and booleans as
/// in JSON.
fn present(record: &Record, name: &str) -> Result<Option<String>> {
    match record.optional(name) {
        Some(_) if record.is_repeated(name) => record.get(name).map(|_| None),
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
        Some(value) => Err(record.error(format!(
            "template field `{name}`: found {}, expected a string, a number or a boolean; a dot \
             reaches into it, as in `{name}.{}`",
            describe(value),
            value.as_object().and_then(|fields| fields.keys().next()).map_or("0", String::as_str)
        ))),
    }
}

fn missing(record: &Record, name: &str) -> Error {
    match record.get(name) {
        Err(Error::Data { path, line, message }) => {
            let message = format!("{message}; a field that rows may lack is written `{{{name}?}}`");
            Error::Data { path, line, message }
        }
        Err(error) => error,
        Ok(_) => record.missing(name),
    }
}

impl Template {
    /// Parses a template. `setting` is the name of the setting that it comes from, such as
    /// `source_template`.
    ///
    /// A field's name is everything between the braces, spaces included.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unbalanced brace, for an empty name, and for an optional part
    /// without a field that may be missing, or within another.
    pub fn parse(source: &str, setting: &str) -> Result<Self> {
        let mut parser = Parser { source, setting, rest: source };
        let parts = parser.parts(None)?;
        Ok(Self { source: source.to_owned(), parts })
    }

    /// Returns the template as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Returns the names of the fields that rows must have, in order, including repetitions.
    pub fn required_fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(field) if field.or_default.is_none() => Some(field.whole.as_str()),
            _ => None,
        })
    }

    /// Returns the names of the fields that rows may lack, in order, including repetitions.
    pub fn optional_fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| match part {
            Part::Literal(_) => Vec::new(),
            Part::Field(field) => field.or_default.iter().map(|(name, _)| name.as_str()).collect(),
            Part::Optional(parts) => fields(parts).map(Field::name).collect(),
        })
    }

    /// Fills in a record's fields: strings unchanged, numbers and booleans as in JSON.
    ///
    /// # Errors
    /// [`Error::Data`] for a field that the record lacks (listing the present ones) or that is an
    /// array or an object.
    pub fn render(&self, record: &Record) -> Result<String> {
        let mut text = String::new();
        render(&self.parts, record, &mut text)?;
        Ok(text)
    }
}

/// The fields of the parts, without those of optional parts.
fn fields(parts: &[Part]) -> impl Iterator<Item = &Field> {
    parts.iter().filter_map(|part| match part {
        Part::Field(field) => Some(field),
        Part::Literal(_) | Part::Optional(_) => None,
    })
}

fn render(parts: &[Part], record: &Record, text: &mut String) -> Result<()> {
    for part in parts {
        match part {
            Part::Literal(literal) => text.push_str(literal),
            Part::Field(field) => text.push_str(&field.render(record)?),
            Part::Optional(parts) => {
                let mut needed = fields(parts).filter(|field| field.or_default.is_none());
                if needed.try_fold(true, |all, field| Ok(all && field.is_there(record)?))? {
                    render(parts, record, text)?;
                }
            }
        }
    }
    Ok(())
}

struct Parser<'a> {
    source: &'a str,
    setting: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    /// The parts up to the end of the text or, if the optional part that began at `optional` is
    /// read, up to its end.
    fn parts(&mut self, optional: Option<usize>) -> Result<Vec<Part>> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let close = |literal: &mut String, parts: &mut Vec<Part>| {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(literal)));
            }
        };
        while let Some(found) = self.rest.find(['{', '}']) {
            let at = self.source.len() - self.rest.len() + found;
            let (before, brace) = (&self.rest[..found], &self.rest[found..=found]);
            self.rest = &self.rest[found + 1..];
            if let (Some(start), "}", Some(text)) = (optional, brace, before.strip_suffix('?')) {
                literal.push_str(text);
                close(&mut literal, &mut parts);
                if fields(&parts).all(|field| field.or_default.is_some()) {
                    let what = "found an optional part without a field that may be missing";
                    return Err(self.error(start, what));
                }
                return Ok(parts);
            }
            literal.push_str(before);
            if let Some(after) = self.rest.strip_prefix(brace) {
                literal.push_str(brace);
                self.rest = after;
                continue;
            }
            if brace == "}" {
                let what = "found `}` without `{`; a brace itself is written `}}`";
                return Err(self.error(at, what));
            }
            close(&mut literal, &mut parts);
            parts.push(self.braced(at, optional.is_some())?);
        }
        if let Some(start) = optional {
            return Err(self.error(start, "found `{?` without `?}`, the end of an optional part"));
        }
        literal.push_str(self.rest);
        close(&mut literal, &mut parts);
        Ok(parts)
    }

    /// A field or an optional part, from behind its `{` at byte `at`.
    fn braced(&mut self, at: usize, optional: bool) -> Result<Part> {
        let next = self.rest.find(['{', '}']);
        match next {
            Some(end) if self.rest[end..].starts_with('}') => {
                if end == 0 {
                    let what = "found `{}`, expected the name of a field between the braces";
                    return Err(self.error(at, what));
                }
                let field = Field::parse(&self.rest[..end]);
                self.rest = &self.rest[end + 1..];
                Ok(Part::Field(field))
            }
            // Without a brace in it, `{?name}` is a field of this name.
            Some(_) if self.rest.starts_with('?') && optional => {
                Err(self.error(at, "found an optional part within another"))
            }
            Some(_) if self.rest.starts_with('?') => {
                self.rest = &self.rest[1..];
                self.parts(Some(at)).map(Part::Optional)
            }
            _ => {
                let what = "found `{` without `}`; a brace itself is written `{{`";
                Err(self.error(at, what))
            }
        }
    }

    fn error(&self, at: usize, what: &str) -> Error {
        let place = self.source[..at].chars().count() + 1;
        Error::setting(self.setting, format!("`{}`, character {place}: {what}", self.source))
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
    use std::sync::Arc;

    use super::*;
    use crate::text::record::{Aside, tests::record};
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
        assert_eq!(parse("{b} x").unwrap().to_string(), "{b} x");
    }

    #[test]
    fn columns_of_one_name_are_refused_as_elsewhere() {
        let mut row = record(5, json!({"text": "good", "label": "1"}));
        let repeated = vec![("text".to_owned(), "1 and 3".to_owned())];
        row.aside = Some(Arc::new(Aside { repeated, ..Aside::default() }));
        assert_eq!(parse("{label}").unwrap().render(&row).unwrap(), "1");
        for template in ["{text}", "{text?}", "{?{text}?}"] {
            let error = parse(template).unwrap().render(&row).unwrap_err().to_string();
            assert!(error.contains("columns 1 and 3 have this name and differ"), "{error}");
        }
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
        assert_eq!(
            error,
            "rows.jsonl, line 5: field `x` is missing; the line has: a, b; a field that rows may \
             lack is written `{x?}`"
        );
        assert!(render("{x}", json!({"x": null})).unwrap_err().to_string().contains("is null"));
        let error = render("{x}", json!({"x": [1]})).unwrap_err().to_string();
        assert!(error.contains("template field `x`: found an array of 1 values"), "{error}");
        assert!(render("{x}", json!({"x": {}})).is_err());
    }

    #[test]
    fn objects_and_lists_are_reached_into() {
        let row = json!({"translation": {"en": "sea"}, "answers": [{"text": "a"}], "a.b": "whole",
            "a": {"b": "part"}});
        assert_eq!(
            render("{translation.en}|{answers.0.text}|{a.b}", row.clone()).unwrap(),
            "sea|a|whole"
        );
        let error = render("{translation}", row.clone()).unwrap_err().to_string();
        assert!(error.ends_with("as in `translation.en`"), "{error}");
        let error = render("{answers}", row.clone()).unwrap_err().to_string();
        assert!(error.ends_with("as in `answers.0`"), "{error}");
        let error = render("{translation.fr}", row).unwrap_err().to_string();
        assert!(error.contains("field `translation.fr` is missing"), "{error}");
    }

    #[test]
    fn absent_fields_have_defaults_and_optional_parts() {
        let alpaca = "{instruction}{?\nInput: {input}.?}";
        for (input, expected) in [
            (json!("b"), "a\nInput: b."),
            (json!(3), "a\nInput: 3."),
            (json!(""), "a"),
            (json!(" "), "a"),
            (json!(null), "a"),
        ] {
            let row = json!({"instruction": "a", "input": input});
            assert_eq!(render(alpaca, row).unwrap(), expected, "{input}");
        }
        let row = json!({"instruction": "a", "b": "", "c": null, "x?": 1, "y|z": 2, "?w": 3});
        assert_eq!(render(alpaca, row.clone()).unwrap(), "a");
        assert_eq!(
            render("[{b?}|{c|none}|{d | no one }|{instruction?}]", row.clone()).unwrap(),
            "[|none|no one|a]"
        );
        assert_eq!(render("{x?}{y|z}{?w}", row.clone()).unwrap(), "123", "whole names come first");
        assert_eq!(render("{? {{{instruction}}} {c?}??}", row.clone()).unwrap(), " {a} ?");
        assert_eq!(render("{?{instruction}{c}?}{?{b}{instruction}?}", row).unwrap(), "");
        let optional = parse("{a}{b?}{c|d}{?{e} {f?}?}").unwrap();
        assert_eq!(optional.optional_fields().collect::<Vec<_>>(), ["b", "c", "e", "f"]);
        for (text, what) in [
            ("{?a {b}", "character 1: found `{?` without `?}`"),
            ("é{?a {{ ?}", "character 2: found an optional part without a field"),
            ("{?a {b?} ?}", "character 1: found an optional part without a field"),
            ("{?{a}{?{b}?}?}", "character 6: found an optional part within another"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    proptest! {
        /// Any text with its braces doubled renders as itself.
        #[test]
        fn escaped_text_renders_as_itself(text in "[a{}é ]{0,20}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(render(&escaped, json!({})).unwrap(), text);
        }

        /// No text makes the parser panic, and what is parsed renders or names what is missing.
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a{}é?|.]{0,14}") {
            if let Ok(template) = parse(&text) {
                let _ = template.render(&record(1, json!({"a": "x", "é": {"a": 1}})));
            }
        }

        /// An optional part is there exactly if its field is, and changes nothing around it.
        #[test]
        fn optional_parts_are_whole_or_absent(
            before in "[a ?.|]{0,5}", inside in "[a .|]{0,5}", value in "[a {}?]{0,5}",
        ) {
            let text = format!("{before}{{?{inside}{{x}}{inside}?}}{before}");
            let found = render(&text, json!({ "x": value })).unwrap();
            let part = match value.trim() {
                "" => String::new(),
                _ => format!("{inside}{value}{inside}"),
            };
            prop_assert_eq!(found, format!("{before}{part}{before}"));
        }
    }
}
