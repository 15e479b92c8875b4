//! The methods of Python's strings, dictionaries and lists that templates call.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Rest, ValueKind, from_args},
};

use super::value::{entries, list, text, tuple};

/// Calls a method by name.
///
/// # Errors
/// [`ErrorKind::UnknownMethod`] for one that is not here; such as for wrong arguments.
pub(super) fn call(
    _: &State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => of_string(value.as_str().unwrap_or_default(), method, args),
        ValueKind::Map => of_dict(value, method, args),
        ValueKind::Seq | ValueKind::Iterable => of_list(value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Whether Python counts a character as white space.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// `text.strip(chars)`, on the sides asked for.
pub(super) fn strip<'t>(text: &'t str, chars: Option<&str>, start: bool, end: bool) -> &'t str {
    let stripped = |letter: char| match chars {
        Some(chars) => chars.contains(letter),
        None => is_space(letter),
    };
    let text = if start { text.trim_start_matches(stripped) } else { text };
    if end { text.trim_end_matches(stripped) } else { text }
}

/// `text.title()`.
pub(super) fn title(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .flat_map(|letter| {
            let cased: Vec<char> = match inside {
                true => letter.to_lowercase().collect(),
                false => letter.to_uppercase().collect(),
            };
            inside = letter.is_alphabetic();
            cased
        })
        .collect()
}

/// `text.capitalize()`.
pub(super) fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters.as_str().to_lowercase().chars()).collect()
}

/// `text.replace(old, new, count)`; a negative count is none.
pub(super) fn replace(text: &str, old: &str, new: &str, count: Option<i64>) -> String {
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => text.replacen(old, new, count),
        None => text.replace(old, new),
    }
}

/// `text.splitlines()`.
pub(super) fn lines(text: &str) -> Vec<&str> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(ENDS) {
        found.push(&rest[..at]);
        let end = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        rest = &rest[at + end..];
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

/// `text.split(separator, limit)`.
fn split<'t>(text: &'t str, separator: Option<&str>, limit: Option<usize>) -> Vec<&'t str> {
    match (separator, limit) {
        (Some(separator), Some(limit)) => text.splitn(limit + 1, separator).collect(),
        (Some(separator), None) => text.split(separator).collect(),
        (None, limit) => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_start_matches(is_space));
            while !rest.is_empty() {
                let end = match limit {
                    Some(limit) if parts.len() == limit => rest.len(),
                    _ => rest.find(is_space).unwrap_or(rest.len()),
                };
                parts.push(&rest[..end]);
                rest = rest[end..].trim_start_matches(is_space);
            }
            parts
        }
    }
}

/// `text.rsplit(separator, limit)`.
fn rsplit<'t>(text: &'t str, separator: Option<&str>, limit: Option<usize>) -> Vec<&'t str> {
    let Some(limit) = limit else { return split(text, separator, None) };
    let mut parts: Vec<&str> = match separator {
        Some(separator) => text.rsplitn(limit + 1, separator).collect(),
        None => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_end_matches(is_space));
            while !rest.is_empty() {
                let space = rest.char_indices().rfind(|(_, letter)| is_space(*letter));
                let start = match space {
                    Some((at, letter)) if parts.len() < limit => at + letter.len_utf8(),
                    _ => 0,
                };
                parts.push(&rest[start..]);
                rest = rest[..start].trim_end_matches(is_space);
            }
            parts
        }
    };
    parts.reverse();
    parts
}

/// The settings of `split`: a separator and a number, by place or by name.
fn split_settings(args: &[Value]) -> Result<(Option<String>, Option<usize>), Error> {
    let (separator, limit, kwargs): (Option<Value>, Option<i64>, minijinja::value::Kwargs) =
        from_args(args)?;
    let separator = match separator {
        None => kwargs.get::<Option<Value>>("sep")?,
        given => given,
    };
    let limit = match limit {
        None => kwargs.get::<Option<i64>>("maxsplit")?,
        given => given,
    };
    kwargs.assert_all_used()?;
    let separator = separator.filter(|separator| !separator.is_none()).map(|value| text(&value));
    if separator.as_deref() == Some("") {
        return Err(invalid("split: the separator is empty"));
    }
    Ok((separator, limit.and_then(|limit| usize::try_from(limit).ok())))
}

/// Whether `text` has one of the ends that a string or a list of strings names.
fn has_end(ends: &Value, has: impl Fn(&str) -> bool) -> Result<bool, Error> {
    match ends.as_str() {
        Some(end) => Ok(has(end)),
        None => Ok(ends.try_iter()?.any(|end| end.as_str().is_some_and(&has))),
    }
}

/// Whether a text is not empty, and all of its characters are of a kind.
fn all(text: &str, is: impl Fn(char) -> bool) -> Value {
    Value::from(!text.is_empty() && text.chars().all(is))
}

/// Whether a text has cased letters, and none of the other case.
fn cased(text: &str, is: impl Fn(char) -> bool, other: impl Fn(char) -> bool) -> Value {
    Value::from(text.chars().any(is) && !text.chars().any(other))
}

/// The place of a part, counted in characters.
fn place(text: &str, at: Option<usize>) -> i64 {
    at.map_or(-1, |at| i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX))
}

fn strings<'t>(parts: impl IntoIterator<Item = &'t str>) -> Value {
    list(parts.into_iter().map(Value::from).collect())
}

fn of_string(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let none = || from_args::<()>(args);
    let one = || from_args::<(&str,)>(args).map(|(part,)| part);
    Ok(match method {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Value::from(strip(text, chars, method != "rstrip", method != "lstrip"))
        }
        "upper" => none().map(|()| Value::from(text.to_uppercase()))?,
        "lower" => none().map(|()| Value::from(text.to_lowercase()))?,
        "casefold" => none().map(|()| Value::from(text.to_lowercase()))?,
        "title" => none().map(|()| Value::from(title(text)))?,
        "capitalize" => none().map(|()| Value::from(capitalize(text)))?,
        "split" => {
            let (separator, limit) = split_settings(args)?;
            strings(split(text, separator.as_deref(), limit))
        }
        "rsplit" => {
            let (separator, limit) = split_settings(args)?;
            strings(rsplit(text, separator.as_deref(), limit))
        }
        "splitlines" => none().map(|()| strings(lines(text)))?,
        "startswith" => {
            let (start,): (&Value,) = from_args(args)?;
            Value::from(has_end(start, |start| text.starts_with(start))?)
        }
        "endswith" => {
            let (end,): (&Value,) = from_args(args)?;
            Value::from(has_end(end, |end| text.ends_with(end))?)
        }
        "removeprefix" => Value::from(text.strip_prefix(one()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(one()?).unwrap_or(text)),
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            Value::from(replace(text, old, new, count))
        }
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            let mut joined = String::new();
            for (i, part) in parts.try_iter()?.enumerate() {
                let part = part.as_str().ok_or_else(|| {
                    invalid(format!(
                        "join: element {i} is of type {}, expected string",
                        part.kind()
                    ))
                })?;
                joined.push_str(if i == 0 { "" } else { text });
                joined.push_str(part);
            }
            Value::from(joined)
        }
        "find" => Value::from(place(text, text.find(one()?))),
        "rfind" => Value::from(place(text, text.rfind(one()?))),
        "index" | "rindex" => {
            let part = one()?;
            let at = if method == "index" { text.find(part) } else { text.rfind(part) };
            match at {
                None => return Err(invalid(format!("{method}: the substring is not found"))),
                at => Value::from(place(text, at)),
            }
        }
        "count" => match one()? {
            "" => Value::from(text.chars().count() + 1),
            part => Value::from(text.matches(part).count()),
        },
        "partition" | "rpartition" => {
            let part = one()?;
            let at = if method == "partition" { text.find(part) } else { text.rfind(part) };
            let parts = match at {
                Some(at) => [&text[..at], part, &text[at + part.len()..]],
                None if method == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            tuple(parts.map(Value::from).into())
        }
        "isspace" => none().map(|()| all(text, is_space))?,
        "isdigit" | "isdecimal" => none().map(|()| all(text, |letter| letter.is_ascii_digit()))?,
        "isnumeric" => none().map(|()| all(text, char::is_numeric))?,
        "isalpha" => none().map(|()| all(text, char::is_alphabetic))?,
        "isalnum" => none().map(|()| all(text, char::is_alphanumeric))?,
        "isupper" => none().map(|()| cased(text, char::is_uppercase, char::is_lowercase))?,
        "islower" => none().map(|()| cased(text, char::is_lowercase, char::is_uppercase))?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn of_dict(dict: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let pair = |(key, value)| tuple(vec![key, value]);
    Ok(match method {
        "get" => {
            let (key, default): (&Value, Option<Value>) = from_args(args)?;
            let found = entries(dict).into_iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value).or(default).unwrap_or_else(|| Value::from(()))
        }
        "items" => {
            from_args::<()>(args)?;
            list(entries(dict).into_iter().map(pair).collect())
        }
        "keys" => {
            from_args::<()>(args)?;
            list(entries(dict).into_iter().map(|(key, _)| key).collect())
        }
        "values" => {
            from_args::<()>(args)?;
            list(entries(dict).into_iter().map(|(_, value)| value).collect())
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn of_list(values: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let unknown = || Err(Error::from(ErrorKind::UnknownMethod));
    let (Rest(given),): (Rest<Value>,) = from_args(args)?;
    let ([item], "count" | "index") = (given.as_slice(), method) else { return unknown() };
    match method {
        "count" => Ok(Value::from(values.try_iter()?.filter(|value| value == item).count())),
        _ => match values.try_iter()?.position(|value| value == *item) {
            Some(at) => Ok(Value::from(at)),
            None => Err(invalid("index: the value is not in the list")),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use minijinja::context;

    fn value(expression: &str) -> String {
        let mut env = minijinja::Environment::new();
        env.set_unknown_method_callback(call);
        let expression = env.compile_expression(expression).unwrap();
        let d = super::super::value::dict(vec![
            ("items".to_owned(), Value::from(1)),
            ("a".to_owned(), Value::from("x")),
        ]);
        match expression.eval(context! {d}) {
            Ok(value) => super::super::value::repr(&value),
            Err(error) => error.to_string(),
        }
    }

    /// The right values are those of Python 3.
    #[test]
    fn methods_are_those_of_python() {
        for (expression, expected) in [
            ("' a\\x1c'.strip()", "'a'"),
            ("'xxay'.lstrip('xy')", "'ay'"),
            ("'a b  c'.split()", "['a', 'b', 'c']"),
            ("' a b  c '.split(none, 1)", "['a', 'b  c ']"),
            ("'a,b,c'.split(',', 1)", "['a', 'b,c']"),
            ("'a,b,c'.split(',', maxsplit=1)", "['a', 'b,c']"),
            ("'a,b,c'.rsplit(',', 1)", "['a,b', 'c']"),
            ("' a b c '.rsplit(none, 1)", "[' a b', 'c']"),
            ("'</a>b</a>'.split('</a>')[-1]", "''"),
            ("'a\\nb\\r\\n\\nc'.splitlines()", "['a', 'b', '', 'c']"),
            ("'abc'.startswith(('x', 'ab'))", "True"),
            ("'abc'.endswith('c')", "True"),
            ("'aXbX'.replace('X', '')", "'ab'"),
            ("'aXbX'.replace('X', 'y', 1)", "'aybX'"),
            ("'they\\'re bill\\'s'.title()", "\"They'Re Bill'S\""),
            ("'éA'.capitalize()", "'Éa'"),
            ("'éa'.find('a')", "1"),
            ("'éa'.find('b')", "-1"),
            ("'aaa'.count('a')", "3"),
            ("'a=b=c'.partition('=')", "('a', '=', 'b=c')"),
            ("'a=b=c'.rpartition('=')", "('a=b', '=', 'c')"),
            ("'-'.join(['a', 'b'])", "'a-b'"),
            ("'12'.isdigit()", "True"),
            ("d.items()", "[('items', 1), ('a', 'x')]"),
            ("d.keys()", "['items', 'a']"),
            ("d.values()", "[1, 'x']"),
            ("d.get('a')", "'x'"),
            ("d.get('z')", "None"),
            ("d.get('z', 3)", "3"),
            ("['a', 'b', 'a'].count('a')", "2"),
            ("['a', 'b'].index('b')", "1"),
        ] {
            assert_eq!(value(expression), expected, "{expression}");
        }
        assert!(value("d.append(1)").contains("unknown method"));
        assert!(value("'a'.format(1)").contains("unknown method"));
    }
}
