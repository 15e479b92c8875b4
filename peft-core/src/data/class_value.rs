//! What a name of a class says whichever way it is written: numbers by their value, booleans in any case.

/// Whether a name is a boolean, in upper or lower case.
pub fn is_boolean(name: &str) -> bool {
    ["true", "false"].iter().any(|value| name.eq_ignore_ascii_case(value))
}

/// The value of a name: without blanks around it, a number such as `1.0` as `1`. `None` if nothing is left.
pub(crate) fn value_of(name: &str) -> Option<&str> {
    let name = name.trim();
    (!name.is_empty()).then(|| whole_number(name).unwrap_or(name))
}

/// A value by which names of one class are found: a boolean is one class in each spelling.
pub(super) fn in_one_spelling(value: &str) -> String {
    if is_boolean(value) { value.to_ascii_lowercase() } else { value.to_owned() }
}

/// The integer in a number such as `1.0`, without its fraction of zeros.
fn whole_number(text: &str) -> Option<&str> {
    let (whole, zeros) = text.split_once('.')?;
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    let zeros = !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0');
    (plain && !leading && zeros).then_some(match whole {
        "-0" => "0",
        whole => whole,
    })
}
