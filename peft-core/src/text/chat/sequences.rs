//! Filters of lists: what selects, maps, orders and groups their elements.

use std::cmp::Ordering;

use minijinja::{Environment, Error, ErrorKind, State, Value, value::Rest};

use super::{
    arguments::{flag, named, string, whole},
    comparison::{equal, order, position},
    generator::generator,
    lists::{group, items, list, list_kind, tuple},
    lookup,
    mapping::{check_key, dict_of},
    memory,
    number::invalid,
    objects::{entries, is_mapping},
    operators::computed,
};

type Many = Rest<Value>;

/// Adds the filters.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_filter("sort", |value: &Value, Rest(args): Many| {
        let [reverse, sensitive, attribute] =
            named("sort", &args, ["reverse", "case_sensitive", "attribute"])?;
        let attributes: Vec<Value> = match attribute.as_ref().and_then(Value::as_str) {
            Some(names) => names.split(',').map(Value::from).collect(),
            None => attribute.into_iter().collect(),
        };
        let key = |item: &Value| match attributes.as_slice() {
            [] => Ok(folded(item.clone(), flag(sensitive.as_ref()))),
            [one] => Ok(folded(got(item, one)?, flag(sensitive.as_ref()))),
            several => {
                let parts =
                    several.iter().map(|one| Ok(folded(got(item, one)?, flag(sensitive.as_ref()))));
                parts.collect::<Result<_, Error>>().map(list)
            }
        };
        sorted(items(value)?, key, flag(reverse.as_ref())).map(list)
    });
    for (name, wanted) in [("min", Ordering::Less), ("max", Ordering::Greater)] {
        env.add_filter(name, move |value: &Value, Rest(args): Many| {
            let [sensitive, attribute] = named(name, &args, ["case_sensitive", "attribute"])?;
            let key = key_by(attribute, flag(sensitive.as_ref()));
            let mut best: Option<(Value, Value)> = None;
            for item in items(value)? {
                let found = key(&item)?;
                let is_better = match &best {
                    None => true,
                    Some((_, known)) => order(&found, known, "<")? == Some(wanted),
                };
                if is_better {
                    best = Some((item, found));
                }
            }
            Ok::<_, Error>(best.map_or(Value::UNDEFINED, |(item, _)| item))
        });
    }
    env.add_filter("unique", |value: &Value, Rest(args): Many| {
        let [sensitive, attribute] = named("unique", &args, ["case_sensitive", "attribute"])?;
        let key = key_by(attribute, flag(sensitive.as_ref()));
        let (mut seen, mut kept): (Vec<Value>, Vec<Value>) = Default::default();
        for item in items(value)? {
            let found = key(&item)?;
            check_key(&found)?;
            if position(&seen, &found)?.is_none() {
                seen.push(found);
                kept.push(item);
            }
        }
        Ok::<_, Error>(generator(kept))
    });
    env.add_filter("groupby", group_by);
    env.add_filter("dictsort", dict_sort);
    env.add_filter("sum", |value: &Value, Rest(args): Many| {
        let [attribute, start] = named("sum", &args, ["attribute", "start"])?;
        let mut sum = start.unwrap_or_else(|| Value::from(0));
        for item in items(value)? {
            let item = attribute.as_ref().map_or(Ok(item.clone()), |name| got(&item, name))?;
            sum = computed(&sum, "+", &item)?;
        }
        Ok::<_, Error>(sum)
    });
    env.add_filter("map", map);
    for (name, wanted, by_attribute) in [
        ("select", true, false),
        ("reject", false, false),
        ("selectattr", true, true),
        ("rejectattr", false, true),
    ] {
        env.add_filter(name, move |state: &State<'_, '_>, value: &Value, Rest(args): Many| {
            // As in Jinja, which asks `none` and `false` for no elements here, and looks at no arguments then.
            if !value.is_true() {
                return Ok(generator(Vec::new()));
            }
            let (attribute, args) = match (by_attribute, args.split_first()) {
                (false, _) => (None, args.as_slice()),
                (true, Some((attribute, rest))) => (Some(attribute), rest),
                (true, None) => return Err(invalid(format!("{name}: expected an attribute"))),
            };
            let mut kept = Vec::new();
            for item in items(value)? {
                let tested = attribute.map_or(Ok(item.clone()), |name| got(&item, name))?;
                let passes = match args.split_first() {
                    None => tested.is_true(),
                    Some((test, rest)) => {
                        let all: Vec<Value> = [tested].into_iter().chain(rest.to_vec()).collect();
                        state.perform_test(string(name, test)?, &all)?
                    }
                };
                if passes == wanted {
                    kept.push(item);
                }
            }
            Ok::<_, Error>(generator(kept))
        });
    }
    env.add_filter("batch", |value: &Value, Rest(args): Many| {
        let [count, fill] = named("batch", &args, ["linecount", "fill_with"])?;
        let count = count.as_ref().map_or(Ok(0), |count| whole("batch", count))?;
        let count = usize::try_from(count).ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| invalid("batch: expected a number above 0"))?;
        let fill = fill.filter(|fill| !fill.is_none());
        let values = items(value)?;
        memory::list(values.len() + count)?;
        let row = |row: &[Value]| {
            let mut row = row.to_vec();
            if let Some(fill) = &fill {
                row.resize(count, fill.clone());
            }
            list(row)
        };
        Ok::<_, Error>(generator(values.chunks(count).map(row).collect()))
    });
    env.add_filter("slice", |value: &Value, Rest(args): Many| {
        let [slices, fill] = named("slice", &args, ["slices", "fill_with"])?;
        let slices = slices.as_ref().map_or(Ok(0), |slices| whole("slice", slices))?;
        let slices = usize::try_from(slices).ok().filter(|slices| *slices > 0);
        let slices = slices.ok_or_else(|| invalid("slice: expected a number above 0"))?;
        memory::list(slices)?;
        let fill = fill.filter(|fill| !fill.is_none());
        let values = items(value)?;
        let (each, more) = (values.len() / slices, values.len() % slices);
        let mut rest = values.into_iter();
        let columns = (0..slices).map(|at| {
            let mut column: Vec<Value> =
                rest.by_ref().take(each + usize::from(at < more)).collect();
            if let (Some(fill), true) = (&fill, at >= more) {
                column.push(fill.clone());
            }
            list(column)
        });
        Ok::<_, Error>(generator(columns.collect()))
    });
}

/// The value of an attribute of an element: a path such as `a.0.b`, or an index.
pub(super) fn got(item: &Value, attribute: &Value) -> Result<Value, Error> {
    let Some(path) = attribute.as_str() else { return lookup::item(item, attribute) };
    path.split('.').try_fold(item.clone(), |value, part| {
        let index = part.parse::<u32>().ok().filter(|_| !part.starts_with('+'));
        lookup::item(&value, &index.map_or_else(|| Value::from(part), Value::from))
    })
}

/// A key without its case.
fn folded(key: Value, sensitive: bool) -> Value {
    match key.as_str() {
        Some(text) if !sensitive => Value::from(text.to_lowercase()),
        _ => key,
    }
}

fn key_by(attribute: Option<Value>, sensitive: bool) -> impl Fn(&Value) -> Result<Value, Error> {
    move |item| match attribute.as_ref().filter(|attribute| !attribute.is_none()) {
        Some(attribute) => Ok(folded(got(item, attribute)?, sensitive)),
        None => Ok(folded(item.clone(), sensitive)),
    }
}

/// Sorts by a key; equal elements stay in order, whichever way.
fn sorted(
    values: Vec<Value>,
    key: impl Fn(&Value) -> Result<Value, Error>,
    reverse: bool,
) -> Result<Vec<Value>, Error> {
    let keyed = values.into_iter().map(|value| Ok((key(&value)?, value)));
    let mut keyed: Vec<(Value, Value)> = keyed.collect::<Result<_, Error>>()?;
    memory::list(2 * keyed.len())?;
    let mut fault = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let (a, b) = if reverse { (b, a) } else { (a, b) };
        order(a, b, "<")
            .unwrap_or_else(|error| {
                fault.get_or_insert(error);
                None
            })
            .unwrap_or(Ordering::Equal)
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(keyed.into_iter().map(|(_, value)| value).collect()),
    }
}

/// `groupby(attribute, default=None, case_sensitive=False)`.
fn group_by(value: &Value, Rest(args): Many) -> Result<Value, Error> {
    let [attribute, default, sensitive] =
        named("groupby", &args, ["attribute", "default", "case_sensitive"])?;
    let attribute = attribute.ok_or_else(|| invalid("groupby: expected an attribute"))?;
    let default = default.filter(|default| !default.is_none());
    let plain = |item: &Value| {
        let found = got(item, &attribute)?;
        Ok::<_, Error>(match (&default, found.is_undefined()) {
            (Some(default), true) => default.clone(),
            _ => found,
        })
    };
    let key = |item: &Value| Ok(folded(plain(item)?, flag(sensitive.as_ref())));
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for item in sorted(items(value)?, key, false)? {
        let found = key(&item)?;
        match groups.last_mut() {
            Some((known, members)) if equal(known, &found)? => members.push(item),
            _ => groups.push((found, vec![item])),
        }
    }
    let made = groups.into_iter().map(|(_, members)| Ok(group(plain(&members[0])?, list(members))));
    made.collect::<Result<_, Error>>().map(list)
}

/// `dictsort(case_sensitive=False, by='key', reverse=False)`.
fn dict_sort(value: &Value, Rest(args): Many) -> Result<Value, Error> {
    let [sensitive, by, reverse] = named("dictsort", &args, ["case_sensitive", "by", "reverse"])?;
    let place = match by.as_ref().map_or(Some("key"), Value::as_str) {
        Some("key") => 0,
        Some("value") => 1,
        _ => return Err(invalid("dictsort: expected to sort by key or by value")),
    };
    if !is_mapping(value) {
        return Err(invalid("dictsort: expected a mapping"));
    }
    let pairs = entries(value).into_iter().map(|(key, value)| tuple(vec![key, value])).collect();
    let key = |pair: &Value| Ok(folded(pair.get_item_by_index(place)?, flag(sensitive.as_ref())));
    sorted(pairs, key, flag(reverse.as_ref())).map(list)
}

/// `map(attribute=..., default=...)`, or `map('filter', ...)`.
fn map(state: &State<'_, '_>, value: &Value, Rest(args): Many) -> Result<Value, Error> {
    if !value.is_true() {
        return Ok(generator(Vec::new()));
    }
    let mut mapped = Vec::new();
    let filter = args.first().filter(|filter| filter.as_str().is_some());
    let [attribute, default] = match filter {
        Some(_) => [None, None],
        None => named("map", &args, ["attribute", "default"])?,
    };
    for item in items(value)? {
        mapped.push(match (filter, &attribute) {
            (Some(filter), _) => {
                let all: Vec<Value> = [item].into_iter().chain(args[1..].to_vec()).collect();
                state.apply_filter(string("map", filter)?, &all)?
            }
            (None, Some(attribute)) => {
                let found = got(&item, attribute)?;
                match default.as_ref().filter(|default| !default.is_none()) {
                    Some(default) if found.is_undefined() => default.clone(),
                    _ => found,
                }
            }
            (None, None) => return Err(invalid("map: expected a filter or an attribute")),
        });
    }
    Ok(generator(mapped))
}

/// `dict(mapping, **more)`, or of pairs.
pub(super) fn dict(Rest(args): Many) -> Result<Value, Error> {
    let (Rest(places), more): (Rest<Value>, minijinja::value::Kwargs) =
        minijinja::value::from_args(&args)?;
    let mut pairs = match places.as_slice() {
        [] => Vec::new(),
        [one] if is_mapping(one) => entries(one),
        [one] if list_kind(one).is_some() => {
            let pairs = one.try_iter()?.map(|pair| {
                let pair: Vec<Value> = pair.try_iter()?.collect();
                match <[Value; 2]>::try_from(pair) {
                    Ok([key, value]) => Ok((key, value)),
                    Err(_) => Err(invalid("dict: expected pairs of a key and a value")),
                }
            });
            pairs.collect::<Result<_, Error>>()?
        }
        _ => return Err(invalid("dict: expected a mapping")),
    };
    for name in more.args() {
        pairs.push((Value::from(name), more.get(name)?));
    }
    memory::list(2 * pairs.len())?;
    dict_of(pairs)
}

/// `namespace(mapping, **more)`.
pub(super) fn namespace(args: Many) -> Result<Value, Error> {
    let fields = dict(args)?;
    let hidden = |(key, _): &(Value, Value)| key.as_str().is_some_and(|key| key.starts_with('_'));
    if entries(&fields).iter().any(hidden) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "namespace: a name begins with an underscore, which transformers refuses",
        ));
    }
    minijinja::functions::namespace(Some(fields))
}
