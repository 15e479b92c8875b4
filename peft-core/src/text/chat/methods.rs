//! The methods of Python's strings, dictionaries and lists that templates call.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{ValueKind, from_args},
};

use super::{
    arguments::{flag, named, plain, string, whole},
    characters::{
        folded, is_decimal, is_digit, is_letter, is_letter_or_number, is_numeric, is_printable,
    },
    comparison::{equal, position},
    lists::{Kind, items, list, list_kind, tuple, view},
    mapping::check_key,
    memory,
    number::{a, invalid},
    objects::{entries, is_mapping},
    texts::{capitalize, cased, is_space, lines, replace, rsplit, split, strip, swapped, title},
};

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
        ValueKind::String => of_string(value, method, args),
        ValueKind::Map if is_mapping(value) => of_dict(value, method, args),
        ValueKind::Seq => of_list(value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// The settings of `split`: a separator and a number, by place or by name.
fn split_settings(args: &[Value]) -> Result<(Option<String>, Option<usize>), Error> {
    let [separator, limit] = named("split", args, ["sep", "maxsplit"])?;
    let separator = separator.filter(|separator| !separator.is_none());
    let separator = separator.as_ref().map(|text| string("split", text)).transpose()?;
    if separator == Some("") {
        return Err(invalid("split: the separator is empty"));
    }
    let limit = limit.as_ref().map(|limit| whole("split", limit)).transpose()?;
    Ok((separator.map(String::from), limit.and_then(|limit| usize::try_from(limit).ok())))
}

/// Whether `text` has one of the ends that a string or a tuple of strings names.
fn has_end(what: &str, ends: &Value, has: impl Fn(&str) -> bool) -> Result<Value, Error> {
    match (ends.as_str(), list_kind(ends)) {
        (Some(end), _) => Ok(Value::from(has(end))),
        (None, Some(Kind::Tuple)) => {
            let mut found = false;
            for end in ends.try_iter()? {
                found |= has(string(what, &end)?);
            }
            Ok(Value::from(found))
        }
        _ => Err(invalid(format!("{what}: found {}, expected a string or a tuple", a(ends)))),
    }
}

/// The part of a text from a character to another, as a slice has it, and where it begins; `None` if it begins behind
/// the end.
fn part<'t>(
    what: &str,
    text: &'t str,
    [start, end]: [&Option<Value>; 2],
) -> Result<Option<(usize, &'t str)>, Error> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let place = |bound: &Option<Value>, otherwise: i64| match bound {
        Some(bound) if !bound.is_none() => {
            let bound = whole(what, bound)?;
            Ok::<_, Error>(if bound < 0 { (bound + length).max(0) } else { bound })
        }
        _ => Ok(otherwise),
    };
    let (start, end) = (place(start, 0)?, place(end, length)?.min(length));
    if start > end {
        return Ok(None);
    }
    let byte = |at: i64| {
        let at = usize::try_from(at).unwrap_or(0);
        text.char_indices().nth(at).map_or(text.len(), |(at, _)| at)
    };
    Ok(Some((usize::try_from(start).unwrap_or(0), &text[byte(start)..byte(end)])))
}

/// `text` between letters that fill it up to `width`.
fn filled(text: &str, args: &[Value], method: &str) -> Result<Value, Error> {
    let [width, fill] = named(method, args, ["width", "fillchar"])?;
    let width = width.as_ref().map_or(Ok(0), |width| whole(method, width))?;
    let width = usize::try_from(width).unwrap_or(0);
    let fill = fill.as_ref().map_or(Ok(" "), |fill| string(method, fill))?;
    let missing = width.saturating_sub(text.chars().count());
    memory::text(text.len().saturating_add(missing.saturating_mul(fill.len())))?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // As CPython divides what is odd.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(Value::from(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))))
}

/// Whether a text is not empty, and all of its characters are of a kind.
fn all(text: &str, is: impl Fn(char) -> bool) -> Value {
    Value::from(!text.is_empty() && text.chars().all(is))
}

/// The same of a kind that is not known of all characters.
fn all_known(method: &str, text: &str, is: impl Fn(char) -> Option<bool>) -> Result<Value, Error> {
    match text.chars().find(|letter| is(*letter).is_none()) {
        Some(letter) => {
            Err(invalid(format!("{method}: of the number `{letter}` is not supported")))
        }
        None => Ok(all(text, |letter| is(letter) == Some(true))),
    }
}

/// The place of a part, counted in characters.
fn place(text: &str, at: Option<usize>) -> Option<i64> {
    at.map(|at| i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX))
}

fn strings<'t>(parts: impl IntoIterator<Item = &'t str>) -> Value {
    list(parts.into_iter().map(Value::from).collect())
}

fn of_string(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    let none = || from_args::<()>(args);
    let one = || {
        let ([one], []) = args.split_at(args.len().min(1)) else {
            return Err(invalid(format!("{method}: expected one argument")));
        };
        string(method, one)
    };
    let changed = |made: String| match value.is_safe() {
        true => Value::from_safe_string(made),
        false => Value::from(made),
    };
    if matches!(
        method,
        "strip"
            | "lstrip"
            | "rstrip"
            | "upper"
            | "lower"
            | "casefold"
            | "swapcase"
            | "title"
            | "capitalize"
    ) {
        memory::text(text.len())?;
    }
    Ok(match method {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = named(method, args, ["chars"])?;
            let chars = chars.filter(|chars| !chars.is_none());
            let chars = chars.as_ref().map(|chars| string(method, chars)).transpose()?;
            changed(strip(text, chars, method != "rstrip", method != "lstrip").to_owned())
        }
        "upper" => none().map(|()| changed(text.to_uppercase()))?,
        "lower" => none().map(|()| changed(text.to_lowercase()))?,
        "casefold" => none().map(|()| changed(folded(text)))?,
        "title" => none().map(|()| changed(title(text)))?,
        "capitalize" => none().map(|()| changed(capitalize(text)))?,
        "swapcase" => none().map(|()| changed(swapped(text)))?,
        "startswith" | "endswith" => {
            let [end, from, to] = named(method, args, ["prefix", "start", "end"])?;
            let end = end.ok_or_else(|| invalid(format!("{method}: expected a string")))?;
            let within = part(method, text, [&from, &to])?;
            has_end(method, &end, |end| match within {
                Some((_, within)) if method == "startswith" => within.starts_with(end),
                Some((_, within)) => within.ends_with(end),
                None => false,
            })?
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let [searched, from, to] = named(method, args, ["sub", "start", "end"])?;
            let searched =
                searched.ok_or_else(|| invalid(format!("{method}: expected a string")))?;
            let searched = string(method, &searched)?;
            let within = part(method, text, [&from, &to])?;
            if method == "count" {
                return Ok(Value::from(match (searched, within) {
                    (_, None) => 0,
                    ("", Some((_, within))) => within.chars().count() + 1,
                    (searched, Some((_, within))) => within.matches(searched).count(),
                }));
            }
            let found = within.and_then(|(start, within)| {
                let at = match method {
                    "find" | "index" => within.find(searched),
                    _ => within.rfind(searched),
                };
                Some(i64::try_from(start).unwrap_or(0) + place(within, at)?)
            });
            match found {
                None if method.ends_with("index") => {
                    return Err(invalid(format!("{method}: the substring is not found")));
                }
                found => Value::from(found.unwrap_or(-1)),
            }
        }
        "isspace" => none().map(|()| all(text, is_space))?,
        "isascii" => none().map(|()| Value::from(text.is_ascii()))?,
        "isdecimal" => none().map(|()| all(text, is_decimal))?,
        "isdigit" => none().and_then(|()| all_known(method, text, is_digit))?,
        "isnumeric" => none().and_then(|()| all_known(method, text, is_numeric))?,
        "isalpha" => none().map(|()| all(text, is_letter))?,
        "isalnum" => none().map(|()| all(text, is_letter_or_number))?,
        "isprintable" => none().map(|()| Value::from(text.chars().all(is_printable)))?,
        "isupper" => none().map(|()| Value::from(cased(text, char::is_uppercase)))?,
        "islower" => none().map(|()| Value::from(cased(text, char::is_lowercase)))?,
        _ => {
            plain(method, value)?;
            return made_of_string(text, method, args, one);
        }
    })
}

/// The methods that make other texts.
fn made_of_string<'v>(
    text: &str,
    method: &str,
    args: &'v [Value],
    one: impl Fn() -> Result<&'v str, Error>,
) -> Result<Value, Error> {
    Ok(match method {
        "split" | "rsplit" => {
            let (separator, limit) = split_settings(args)?;
            let parts = match method {
                "split" => split(text, separator.as_deref(), limit),
                _ => rsplit(text, separator.as_deref(), limit),
            };
            memory::list(parts.len())?;
            strings(parts)
        }
        "splitlines" => {
            let [keep_ends] = named(method, args, ["keepends"])?;
            let lines = lines(text, flag(keep_ends.as_ref()));
            memory::list(lines.len())?;
            strings(lines)
        }
        "removeprefix" => Value::from(text.strip_prefix(one()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(one()?).unwrap_or(text)),
        "replace" => {
            let (old, new, count): (&Value, &Value, Option<&Value>) = from_args(args)?;
            let count = count.map(|count| whole(method, count)).transpose()?;
            replace(text, string(method, old)?, string(method, new)?, count)?
        }
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            let mut joined = String::new();
            for (i, part) in items(parts)?.iter().enumerate() {
                let part = string("join", part)?;
                memory::text(joined.len() + text.len() + part.len())?;
                joined.push_str(if i == 0 { "" } else { text });
                joined.push_str(part);
            }
            Value::from(joined)
        }
        "partition" | "rpartition" => {
            let part = one()?;
            if part.is_empty() {
                return Err(invalid(format!("{method}: the separator is empty")));
            }
            let at = if method == "partition" { text.find(part) } else { text.rfind(part) };
            let parts = match at {
                Some(at) => [&text[..at], part, &text[at + part.len()..]],
                None if method == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            tuple(parts.map(Value::from).into())
        }
        "center" | "ljust" | "rjust" => filled(text, args, method)?,
        "zfill" => {
            let (width,): (&Value,) = from_args(args)?;
            let width = usize::try_from(whole(method, width)?).unwrap_or(0);
            let sign = usize::from(text.starts_with(['+', '-']));
            let missing = width.saturating_sub(text.chars().count());
            memory::text(text.len().saturating_add(missing))?;
            Value::from(format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..]))
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn of_dict(dict: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let pair = |(key, value)| tuple(vec![key, value]);
    Ok(match method {
        "get" => {
            let (key, default): (&Value, Option<Value>) = from_args(args)?;
            if args.last().is_some_and(Value::is_kwargs) {
                return Err(invalid("get: its arguments have no names"));
            }
            check_key(key)?;
            let entries = entries(dict);
            let at = position(entries.iter().map(|(name, _)| name), key)?;
            let found = at.map(|at| entries[at].1.clone());
            found.or(default).unwrap_or_else(|| Value::from(()))
        }
        "items" => {
            from_args::<()>(args)?;
            view("dict_items", entries(dict).into_iter().map(pair).collect())
        }
        "keys" => {
            from_args::<()>(args)?;
            view("dict_keys", entries(dict).into_iter().map(|(key, _)| key).collect())
        }
        "values" => {
            from_args::<()>(args)?;
            view("dict_values", entries(dict).into_iter().map(|(_, value)| value).collect())
        }
        "copy" => from_args::<()>(args).map(|()| dict.clone())?,
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn of_list(values: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if method == "copy" {
        return from_args::<()>(args).map(|()| values.clone());
    }
    let ([item], "count" | "index") = (args, method) else {
        return Err(Error::from(ErrorKind::UnknownMethod));
    };
    let values: Vec<Value> = values.try_iter()?.collect();
    match method {
        "count" => {
            let mut count = 0;
            for value in &values {
                count += usize::from(equal(value, item)?);
            }
            Ok(Value::from(count))
        }
        _ => match position(&values, item)? {
            Some(at) => Ok(Value::from(at)),
            None => Err(invalid("index: the value is not in the list")),
        },
    }
}
