//! Filters and tests whose results differ between minijinja and Jinja.

use std::cmp::Ordering;

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, ValueKind},
};

use super::{
    dumps::to_json,
    methods::{capitalize, lines, replace, strip, title},
    value::{entries, list, text, tuple},
};

/// Adds them to an environment, and removes what Jinja lacks.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_filter("tojson", to_json);
    env.add_filter("string", |value: &Value| text(value));
    env.add_filter("trim", |value: &Value, chars: Option<String>| {
        strip(&text(value), chars.as_deref(), true, true).to_owned()
    });
    env.add_filter("upper", |value: &Value| text(value).to_uppercase());
    env.add_filter("lower", |value: &Value| text(value).to_lowercase());
    env.add_filter("title", |value: &Value| title(&text(value)));
    env.add_filter("capitalize", |value: &Value| capitalize(&text(value)));
    env.add_filter("replace", |value: &Value, old: String, new: String, count: Option<i64>| {
        replace(&text(value), &old, &new, count)
    });
    env.add_filter("safe", |value: &Value| text(value));
    for name in ["escape", "e", "forceescape"] {
        env.add_filter(name, |value: &Value| escape(&text(value)));
    }
    for name in ["length", "count"] {
        env.add_filter(name, length);
    }
    env.add_filter("join", join);
    env.add_filter("list", |value: &Value| items(value).map(list));
    env.add_filter("first", |value: &Value| Ok::<_, Error>(end(items(value)?.into_iter().next())));
    env.add_filter("last", |value: &Value| Ok::<_, Error>(end(items(value)?.pop())));
    env.add_filter("items", |value: &Value| match value.kind() {
        ValueKind::Undefined => Ok(list(Vec::new())),
        ValueKind::Map => Ok(pairs(entries(value))),
        kind => Err(invalid(format!("items: found a value of type {kind}, expected a mapping"))),
    });
    env.add_filter("dictsort", dictsort);
    env.add_filter("indent", indent);
    env.add_filter("wordcount", |value: &Value| text(value).split_whitespace().count());
    env.add_filter("int", |value: &Value, default: Option<i64>| integer(value, default));
    env.add_filter("float", |value: &Value, default: Option<f64>| float(value, default));

    env.add_test("sequence", |value: &Value| is_iterable(value));
    env.add_test("iterable", |value: &Value| is_iterable(value));
    env.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
    env.add_test("callable", |value: &Value| {
        value.as_object().is_some_and(|_| value.kind() == ValueKind::Plain)
    });

    // Of minijinja alone: a template that uses them works nowhere else.
    for name in ["lines", "split", "bool", "chain", "zip", "pprint", "format"] {
        env.remove_filter(name);
    }
    for name in ["startingwith", "endingwith", "safe", "int"] {
        env.remove_test(name);
    }
    env.remove_global("debug");
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// What `list(value)` holds in Python: the keys of a mapping, the characters of a text, nothing for an undefined
/// value.
fn items(value: &Value) -> Result<Vec<Value>, Error> {
    /// More are never meant: each costs memory, and a template may multiply lists.
    const MOST: usize = 1_000_000;
    if value.len().is_some_and(|length| length > MOST) {
        return Err(invalid(format!("a list of more than {MOST} values")));
    }
    match value.as_str() {
        Some(text) => Ok(text.chars().map(Value::from).collect()),
        None => Ok(value.try_iter()?.take(MOST).collect()),
    }
}

fn end(item: Option<Value>) -> Value {
    item.unwrap_or(Value::UNDEFINED)
}

fn pairs(entries: Vec<(Value, Value)>) -> Value {
    list(entries.into_iter().map(|(key, value)| tuple(vec![key, value])).collect())
}

fn is_iterable(value: &Value) -> bool {
    // An undefined value is both to Jinja.
    let kinds = [ValueKind::String, ValueKind::Seq, ValueKind::Map, ValueKind::Iterable];
    value.is_undefined() || kinds.contains(&value.kind())
}

fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        kind => value.len().ok_or_else(|| {
            invalid(format!("length: found a value of type {kind}, which has no length"))
        }),
    }
}

fn join(
    value: &Value,
    separator: Option<Value>,
    attribute: Option<String>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let separator = separator.or(kwargs.get("d")?).map_or_else(String::new, |value| text(&value));
    let attribute = attribute.or(kwargs.get("attribute")?);
    kwargs.assert_all_used()?;
    let mut joined = String::new();
    for (i, item) in items(value)?.into_iter().enumerate() {
        joined.push_str(if i == 0 { "" } else { &separator });
        match &attribute {
            Some(name) => joined.push_str(&text(&item.get_attr(name)?)),
            None => joined.push_str(&text(&item)),
        }
    }
    Ok(joined)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// `indent(width=4, first=False, blank=False)`.
fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let width = width.or(kwargs.get("width")?);
    let first = first.or(kwargs.get("first")?).unwrap_or(false);
    let blank = blank.or(kwargs.get("blank")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    let indention = match &width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(width.as_usize().unwrap_or(0).min(1000)),
        },
    };
    // Jinja appends a line end, so that one at the end of the text is kept.
    let text = text(value) + "\n";
    let mut lines = lines(&text).into_iter();
    let mut indented = String::new();
    if first {
        indented.push_str(&indention);
    }
    indented.push_str(lines.next().unwrap_or_default());
    for line in lines {
        indented.push('\n');
        if blank || !line.is_empty() {
            indented.push_str(&indention);
        }
        indented.push_str(line);
    }
    Ok(indented)
}

/// `dictsort(case_sensitive=False, by='key', reverse=False)`.
fn dictsort(value: &Value, args: Rest<Value>) -> Result<Value, Error> {
    let (Rest(case, ..), kwargs): (Rest<Value>, Kwargs) = minijinja::value::from_args(&args)?;
    let sensitive = match case.first() {
        Some(case) => case.is_true(),
        None => kwargs.get::<Option<bool>>("case_sensitive")?.unwrap_or(false),
    };
    let by: Option<String> = kwargs.get("by")?;
    let reverse: Option<bool> = kwargs.get("reverse")?;
    kwargs.assert_all_used()?;
    let by_value = by.as_deref() == Some("value");
    let mut entries = entries(value);
    let compare = |a: &Value, b: &Value| -> Ordering {
        match (a.as_str(), b.as_str()) {
            (Some(a), Some(b)) if !sensitive => a.to_lowercase().cmp(&b.to_lowercase()),
            _ => a.cmp(b),
        }
    };
    entries.sort_by(|a, b| match by_value {
        true => compare(&a.1, &b.1),
        false => compare(&a.0, &b.0),
    });
    if reverse == Some(true) {
        entries.reverse();
    }
    Ok(pairs(entries))
}

fn integer(value: &Value, default: Option<i64>) -> Value {
    let parsed = match value.as_str() {
        Some(text) => {
            let text = text.trim();
            let whole = text.parse::<i64>().ok();
            // Truncated towards zero, as in Python.
            whole.or_else(|| text.parse::<f64>().ok().map(|number| number as i64))
        }
        None => i64::try_from(value.clone())
            .ok()
            .or_else(|| f64::try_from(value.clone()).ok().map(|number| number as i64)),
    };
    Value::from(parsed.or(default).unwrap_or(0))
}

fn float(value: &Value, default: Option<f64>) -> Value {
    let parsed = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    };
    Value::from(parsed.or(default).unwrap_or(0.0))
}

/// `raise_exception`: the error that a template makes.
pub(super) fn raise_exception(_: &State<'_, '_>, message: &Value) -> Result<Value, Error> {
    Err(invalid(format!("the template refuses it: {}", text(message))))
}
