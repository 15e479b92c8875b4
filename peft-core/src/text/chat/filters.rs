//! Filters, tests and functions as Jinja in Python has them.

use std::cmp::Ordering;

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Rest, ValueKind},
};

use super::{
    arguments::{flag, named, plain, string, whole},
    characters::is_word,
    comparison::{equal, order},
    dumps::to_json,
    format::percent,
    generator::generator,
    lists::{Kind, items, list, list_kind, range, tuple},
    lookup::attr,
    memory,
    number::{a, as_number, invalid},
    number_filters as numbers,
    objects::{Method, Own, entries, is_mapping, own},
    operators::{computed, contains},
    print::text,
    sequences::{self, got},
    texts::{capitalize, cased, escape, is_space, lines, replace, strip},
};

type Many = Rest<Value>;

/// Adds them to an environment, and removes what Jinja lacks.
pub(super) fn add_to(env: &mut Environment<'_>) {
    add_texts(env);
    sequences::add_to(env);
    env.add_filter("tojson", to_json);
    for name in ["length", "count"] {
        env.add_filter(name, length);
    }
    env.add_filter("join", join);
    env.add_filter("list", |value: &Value| items(value).map(list));
    env.add_filter("first", |value: &Value| Ok::<_, Error>(end(items(value)?.into_iter().next())));
    env.add_filter("last", |value: &Value| match value.kind() {
        ValueKind::Iterable => Err(invalid("last: of what a filter makes one by one")),
        _ => Ok(end(items(value)?.pop())),
    });
    env.add_filter("reverse", |value: &Value| match value.as_str() {
        Some(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
        None => Ok::<_, Error>(generator(items(value)?.into_iter().rev().collect())),
    });
    env.add_filter("items", |value: &Value| match value.kind() {
        ValueKind::Undefined => Ok(generator(Vec::new())),
        ValueKind::Map if is_mapping(value) => Ok(generator(pairs(entries(value)))),
        _ => Err(invalid(format!("items: found {}, expected a mapping", a(value)))),
    });
    for name in ["default", "d"] {
        env.add_filter(name, |value: &Value, Rest(args): Many| {
            let [default, boolean] = named("default", &args, ["default_value", "boolean"])?;
            let replaced = value.is_undefined() || (flag(boolean.as_ref()) && !value.is_true());
            Ok::<_, Error>(match replaced {
                true => default.unwrap_or_else(|| Value::from("")),
                false => value.clone(),
            })
        });
    }
    env.add_filter("attr", |value: &Value, name: &str| attr(value, name));
    env.add_filter("int", |value: &Value, Rest(args): Many| numbers::integer(value, &args));
    env.add_filter("float", |value: &Value, Rest(args): Many| numbers::float(value, &args));
    env.add_filter("round", |value: &Value, Rest(args): Many| numbers::round(value, &args));
    env.add_filter("abs", numbers::absolute);
    add_tests(env);
    env.add_function("range", |Rest(args): Many| {
        let args: Vec<i64> =
            args.iter().map(|arg| whole("range", arg)).collect::<Result<_, _>>()?;
        match args.as_slice() {
            [stop] => range(0, *stop, 1),
            [start, stop] => range(*start, *stop, 1),
            [start, stop, step] => range(*start, *stop, *step),
            _ => Err(invalid("range: expected one to three numbers")),
        }
    });
    env.add_function("dict", sequences::dict);
    // Jinja has them, so they are defined.
    for name in ["cycler", "joiner", "lipsum"] {
        env.add_function(name, move |_: Rest<Value>| {
            Err::<Value, _>(invalid(format!("{name}() is not supported")))
        });
    }
    env.add_function("namespace", sequences::namespace);
    // Of minijinja alone: a template that uses them works nowhere else.
    for name in ["lines", "split", "bool", "chain", "zip", "pprint"] {
        env.remove_filter(name);
    }
    for name in ["startingwith", "endingwith", "safe", "int"] {
        env.remove_test(name);
    }
    env.remove_global("debug");
}

/// The filters of texts.
fn add_texts(env: &mut Environment<'_>) {
    env.add_filter("string", |value: &Value| match value.as_str() {
        Some(_) => value.clone(),
        None => Value::from(text(value)),
    });
    env.add_filter("trim", |value: &Value, Rest(args): Many| {
        let [chars] = named("trim", &args, ["chars"])?;
        let chars = chars.filter(|chars| !chars.is_none());
        let chars = chars.as_ref().map(|chars| string("trim", chars)).transpose()?;
        Ok::<_, Error>(like(value, strip(&text(value), chars, true, true).to_owned()))
    });
    env.add_filter("upper", |value: &Value| like(value, text(value).to_uppercase()));
    env.add_filter("lower", |value: &Value| like(value, text(value).to_lowercase()));
    env.add_filter("title", |value: &Value| like(value, title(&text(value))));
    env.add_filter("capitalize", |value: &Value| like(value, capitalize(&text(value))));
    env.add_filter("replace", |value: &Value, Rest(args): Many| {
        let [old, new, count] = named("replace", &args, ["old", "new", "count"])?;
        let (Some(old), Some(new)) = (old, new) else {
            return Err(invalid("replace: expected the old and the new text"));
        };
        plain("replace", value)?;
        let count = count.filter(|count| !count.is_none());
        let count = count.as_ref().map(|count| whole("replace", count)).transpose()?;
        replace(&text(value), &text(&old), &text(&new), count)
    });
    env.add_filter("safe", |value: &Value| Value::from_safe_string(text(value)));
    for name in ["escape", "e"] {
        env.add_filter(name, |value: &Value| match value.is_safe() {
            true => Ok(value.clone()),
            false => escaped(value),
        });
    }
    env.add_filter("forceescape", escaped);
    env.add_filter("indent", indent);
    env.add_filter("wordcount", |value: &Value| {
        text(value).split(|letter| !is_word(letter)).filter(|word| !word.is_empty()).count()
    });
    env.add_filter("format", |value: &Value, Rest(args): Many| {
        plain("format", value)?;
        percent(&text(value), &args)
    });
}

/// A text that is escaped.
fn escaped(value: &Value) -> Result<Value, Error> {
    let text = escape(&text(value));
    memory::text(text.len())?;
    Ok(Value::from_safe_string(text))
}

/// A text that is escaped where another one is.
fn like(value: &Value, text: String) -> Value {
    if value.is_safe() { Value::from_safe_string(text) } else { Value::from(text) }
}

fn add_tests(env: &mut Environment<'_>) {
    env.add_test("sequence", |value: &Value| {
        let has_indices = list_kind(value).is_some_and(Kind::has_indices);
        has_indices
            || is_mapping(value)
            || matches!(value.kind(), ValueKind::String | ValueKind::Undefined)
    });
    env.add_test("iterable", |value: &Value| {
        // An undefined value is, to Jinja.
        let kinds = [ValueKind::String, ValueKind::Seq, ValueKind::Map, ValueKind::Iterable];
        let is_own = matches!(own(value), Some(Own::Namespace | Own::Macro));
        value.is_undefined() || (kinds.contains(&value.kind()) && !is_own)
    });
    env.add_test("mapping", is_mapping);
    env.add_test("number", |value: &Value| as_number(value).is_some());
    env.add_test("callable", |value: &Value| {
        // An undefined value is, to Jinja.
        value.is_undefined()
            || (value.as_object().is_some() && value.kind() == ValueKind::Plain)
            || matches!(own(value), Some(Own::Loop | Own::Macro))
            || value.downcast_object_ref::<Method>().is_some()
    });
    env.add_test("escaped", Value::is_safe);
    // Whether there are cased letters, and none of the other case.
    env.add_test("lower", |value: &Value| cased(&text(value), char::is_lowercase));
    env.add_test("upper", |value: &Value| cased(&text(value), char::is_uppercase));
    env.add_test("in", |item: &Value, container: &Value| contains(container, item));
    for name in ["eq", "equalto", "=="] {
        env.add_test(name, |left: &Value, right: &Value| equal(left, right));
    }
    for name in ["ne", "!="] {
        env.add_test(name, |left: &Value, right: &Value| equal(left, right).map(|equal| !equal));
    }
    let comparisons = [
        ("lt", Ordering::is_lt as fn(Ordering) -> bool),
        ("lessthan", Ordering::is_lt),
        ("<", Ordering::is_lt),
        ("le", Ordering::is_le),
        ("<=", Ordering::is_le),
        ("gt", Ordering::is_gt),
        ("greaterthan", Ordering::is_gt),
        (">", Ordering::is_gt),
        ("ge", Ordering::is_ge),
        (">=", Ordering::is_ge),
    ];
    for (name, is) in comparisons {
        env.add_test(name, move |left: &Value, right: &Value| {
            Ok::<_, Error>(order(left, right, name)?.is_some_and(is))
        });
    }
    for (name, rest) in [("even", 0), ("odd", 1)] {
        env.add_test(name, move |value: &Value| {
            equal(&computed(value, "%", &Value::from(2))?, &Value::from(rest))
        });
    }
    env.add_test("divisibleby", |value: &Value, by: &Value| {
        equal(&computed(value, "%", by)?, &Value::from(0))
    });
}

fn end(item: Option<Value>) -> Value {
    item.unwrap_or(Value::UNDEFINED)
}

fn pairs(entries: Vec<(Value, Value)>) -> Vec<Value> {
    entries.into_iter().map(|(key, value)| tuple(vec![key, value])).collect()
}

fn length(value: &Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        _ if own(value).is_some() => {
            Err(invalid(format!("length: found {}, which has none here", a(value))))
        }
        _ => value
            .len()
            .ok_or_else(|| invalid(format!("length: found {}, which has no length", a(value)))),
    }
}

/// `join(d='', attribute=None)`.
fn join(value: &Value, Rest(args): Many) -> Result<Value, Error> {
    let [separator, attribute] = named("join", &args, ["d", "attribute"])?;
    let attribute = attribute.filter(|attribute| !attribute.is_none());
    let separator = separator.map_or_else(String::new, |separator| text(&separator));
    let mut joined = String::new();
    for (i, item) in items(value)?.into_iter().enumerate() {
        let part = attribute.as_ref().map_or(Ok(item.clone()), |name| got(&item, name))?;
        let part = text(&part);
        memory::text(joined.len() + separator.len() + part.len())?;
        joined.push_str(if i == 0 { "" } else { &separator });
        joined.push_str(&part);
    }
    Ok(Value::from(joined))
}

/// Words with a capital letter, which begin behind spaces, hyphens and opening brackets.
fn title(text: &str) -> String {
    let ends = |letter: char| is_space(letter) || "-({[<".contains(letter);
    let words = text.split_inclusive(ends).map(|word| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters.as_str().to_lowercase().chars()).collect::<String>()
    });
    words.collect()
}

/// `indent(width=4, first=False, blank=False)`.
fn indent(value: &Value, Rest(args): Many) -> Result<Value, Error> {
    let [width, first, blank] = named("indent", &args, ["width", "first", "blank"])?;
    let indention = match &width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => {
                " ".repeat(usize::try_from(whole("indent", width)?.clamp(0, 1000)).unwrap_or(0))
            }
        },
    };
    plain("indent", value)?;
    // Jinja appends a line end, so that one at the end of the text is kept.
    let text = string("indent", value)?.to_owned() + "\n";
    let lines = lines(&text, false);
    memory::text(text.len() + lines.len() * indention.len())?;
    let mut lines = lines.into_iter();
    let mut indented = String::new();
    if flag(first.as_ref()) {
        indented.push_str(&indention);
    }
    indented.push_str(lines.next().unwrap_or_default());
    for line in lines {
        indented.push('\n');
        if flag(blank.as_ref()) || !line.is_empty() {
            indented.push_str(&indention);
        }
        indented.push_str(line);
    }
    Ok(Value::from(indented))
}

/// `raise_exception`: the error that a template makes.
pub(super) fn raise_exception(_: &State<'_, '_>, message: &Value) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("the template refuses it: {}", text(message)),
    ))
}
