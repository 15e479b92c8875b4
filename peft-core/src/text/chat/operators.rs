//! Operators as Python computes them, for the calls that `expressions` writes.

use std::cmp::Ordering;

use minijinja::{
    Environment, Error, Value,
    value::{Rest, ValueKind},
};

use super::{
    comparison::{count, equal, order, position, unsupported},
    format::{of_operator, percent},
    lists::{Kind, list, list_kind, tuple},
    mapping::{check_key, dict_of},
    memory,
    number::{Number, a, as_number, invalid},
    objects::{entries, is_mapping},
    print::text,
    texts::escape,
};

/// Adds the functions.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_function("_same", |value: &Value| value.clone());
    env.add_function("_counted", |value: &Value| {
        count(value, 0)?;
        Ok::<_, Error>(value.clone())
    });
    env.add_function("_infinity", || f64::INFINITY);
    env.add_function("_tuple", |Rest(values): Rest<Value>| tuple(values));
    env.add_function("_dict", |Rest(values): Rest<Value>| {
        dict_of(values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())))
    });
    env.add_function("_neg", negated);
    env.add_function("_pos", |value: &Value| match as_number(value) {
        Some(_) if value.kind() == ValueKind::Number => Ok(value.clone()),
        Some(_) => Ok(Value::from(i64::from(value.is_true()))),
        None => Err(invalid(format!("+ of {}", a(value)))),
    });
    env.add_function("_concat", |Rest(values): Rest<Value>| concatenated(&values));
    env.add_function("_compute", |Rest(parts): Rest<Value>| {
        let mut parts = parts.into_iter();
        let mut left = parts.next().unwrap_or_default();
        while let (Some(operator), Some(right)) = (parts.next(), parts.next()) {
            left = computed(&left, operator.as_str().unwrap_or_default(), &right)?;
        }
        Ok::<_, Error>(left)
    });
    env.add_function("_compare", |Rest(parts): Rest<Value>| {
        for window in parts.windows(3).step_by(2) {
            let [left, operator, right] = window else { break };
            if !compared(left, operator.as_str().unwrap_or_default(), right)? {
                return Ok(false);
            }
        }
        Ok::<_, Error>(true)
    });
}

fn negated(value: &Value) -> Result<Value, Error> {
    let negative = match as_number(value) {
        Some(Number::Integer(number)) => number.checked_neg().map(Number::Integer),
        Some(Number::Float(number)) => Some(Number::Float(-number)),
        None => return Err(invalid(format!("- of {}", a(value)))),
    };
    negative.map(Value::from).ok_or_else(|| invalid("a number is too large"))
}

/// `a ~ b`.
fn concatenated(values: &[Value]) -> Result<Value, Error> {
    let mut joined = String::new();
    for value in values {
        let part = text(value);
        memory::text(joined.len() + part.len())?;
        joined.push_str(&part);
    }
    Ok(Value::from(joined))
}

/// `a + b` of texts. Where one is escaped, the other is escaped too.
fn appended(left: &Value, right: &Value) -> Result<Value, Error> {
    if !left.is_safe() && !right.is_safe() {
        return concatenated(&[left.clone(), right.clone()]);
    }
    let part = |value: &Value| match value.is_safe() {
        true => text(value),
        false => escape(&text(value)),
    };
    let joined = part(left) + &part(right);
    memory::text(joined.len())?;
    Ok(Value::from_safe_string(joined))
}

pub(super) fn computed(left: &Value, operator: &str, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (as_number(left), as_number(right)) {
        return arithmetic(left, operator, right).map(Value::from);
    }
    match operator {
        "+" => match (left.as_str(), right.as_str(), list_kind(left), list_kind(right)) {
            (Some(_), Some(_), ..) => appended(left, right),
            (.., Some(kind @ (Kind::List | Kind::Tuple)), Some(other)) if *kind == *other => {
                let both: Vec<Value> = left.try_iter()?.chain(right.try_iter()?).collect();
                memory::list(both.len())?;
                Ok(if *kind == Kind::Tuple { tuple(both) } else { list(both) })
            }
            _ => Err(unsupported(left, operator, right)),
        },
        "*" => match (as_number(left), as_number(right)) {
            (None, Some(Number::Integer(times))) => repeated(left, times),
            (Some(Number::Integer(times)), None) => repeated(right, times),
            _ => Err(unsupported(left, operator, right)),
        },
        "%" => match left.as_str().filter(|_| !left.is_safe()) {
            Some(format) => {
                let is_tuple = matches!(list_kind(right), Some(Kind::Tuple));
                percent(format, &of_operator(right, is_tuple)?)
            }
            None => Err(unsupported(left, operator, right)),
        },
        _ => Err(unsupported(left, operator, right)),
    }
}

fn repeated(value: &Value, times: i128) -> Result<Value, Error> {
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    match (value.as_str(), list_kind(value)) {
        (Some(text), _) => {
            memory::text(text.len().saturating_mul(times))?;
            let made = text.repeat(times);
            Ok(if value.is_safe() { Value::from_safe_string(made) } else { Value::from(made) })
        }
        (None, Some(kind @ (Kind::List | Kind::Tuple))) => {
            let values: Vec<Value> = value.try_iter()?.collect();
            memory::list(values.len().saturating_mul(times))?;
            let made = std::iter::repeat_n(values, times).flatten().collect();
            Ok(if *kind == Kind::Tuple { tuple(made) } else { list(made) })
        }
        _ => Err(invalid(format!("`*` of {} and a number is not supported", a(value)))),
    }
}

fn arithmetic(left: Number, operator: &str, right: Number) -> Result<Number, Error> {
    use Number::{Float, Integer};
    let zero = || invalid(format!("`{operator}` by zero"));
    let whole = |made: Option<i128>| {
        made.map(Integer).ok_or_else(|| invalid(format!("`{operator}`: a number is too large")))
    };
    let (a, b) = (left.float(), right.float());
    match (operator, left, right) {
        ("/" | "//" | "%", ..) if b == 0.0 => Err(zero()),
        ("+", Integer(a), Integer(b)) => whole(a.checked_add(b)),
        ("-", Integer(a), Integer(b)) => whole(a.checked_sub(b)),
        ("*", Integer(a), Integer(b)) => whole(a.checked_mul(b)),
        ("//", Integer(a), Integer(b)) => whole(a.checked_div(b).map(|quotient| {
            // Rounded down, not towards zero.
            quotient - i128::from(a % b != 0 && (a < 0) != (b < 0))
        })),
        ("%", Integer(a), Integer(b)) => whole(
            a.checked_rem(b)
                .map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }),
        ),
        ("**", Integer(a), Integer(b)) if b >= 0 => {
            whole(u32::try_from(b).ok().and_then(|b| a.checked_pow(b)))
        }
        ("**", ..) if a == 0.0 && b < 0.0 => Err(zero()),
        ("**", ..) if a < 0.0 && b.fract() != 0.0 => {
            Err(invalid("`**`: the result is a complex number"))
        }
        ("+", ..) => Ok(Float(a + b)),
        ("-", ..) => Ok(Float(a - b)),
        ("*", ..) => Ok(Float(a * b)),
        ("/", ..) => Ok(Float(a / b)),
        ("//", ..) => Ok(Float(divided(a, b).0)),
        ("%", ..) => Ok(Float(divided(a, b).1)),
        _ => Ok(Float(a.powf(b))),
    }
}

/// Python's `divmod` of floats.
fn divided(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest == 0.0 {
        rest = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (rest < 0.0) {
        rest += b;
        quotient -= 1.0;
    }
    let floor = quotient.floor();
    let floor = if quotient - floor > 0.5 { floor + 1.0 } else { floor };
    (if quotient == 0.0 { 0.0_f64.copysign(a / b) } else { floor }, rest)
}

fn compared(left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    Ok(match operator {
        "==" => equal(left, right)?,
        "!=" => !equal(left, right)?,
        "in" => contains(right, left)?,
        "not in" => !contains(right, left)?,
        "<" => order(left, right, operator)? == Some(Ordering::Less),
        ">" => order(left, right, operator)? == Some(Ordering::Greater),
        "<=" => matches!(order(left, right, operator)?, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(order(left, right, operator)?, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// `item in container`.
pub(super) fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    if let Some(text) = container.as_str() {
        return match item.as_str() {
            Some(part) => Ok(text.contains(part)),
            None => Err(unsupported(item, "in", container)),
        };
    }
    match container.kind() {
        ValueKind::Undefined => Ok(false),
        ValueKind::Map if is_mapping(container) => {
            check_key(item)?;
            let entries = entries(container);
            Ok(position(entries.iter().map(|(key, _)| key), item)?.is_some())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let values: Vec<Value> = container.try_iter()?.collect();
            Ok(position(&values, item)?.is_some())
        }
        _ => Err(unsupported(item, "in", container)),
    }
}
