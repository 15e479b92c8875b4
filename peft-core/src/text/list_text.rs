//! Lists and objects that a table holds as text: JSON's, and Python's, as pandas writes a column of them.

use serde_json::Value;

use super::{json_value::parse, python_text::json_of_python};

/// The list that a text is: JSON's (`["a", "b"]`), or one of strings, numbers, booleans and `None` as Python writes it
/// (`['a', "b's"]`). Integers of more than 64 bits are strings of their digits. `None` for any other text.
pub fn list_in_text(text: &str) -> Option<Vec<Value>> {
    let text = text.trim();
    if !text.starts_with('[') {
        return None;
    }
    match parse(text) {
        Ok(Value::Array(items)) => Some(items),
        _ => match parse(&json_of_python(text)?) {
            Ok(Value::Array(items)) => {
                let is_one = |item: &Value| !item.is_array() && !item.is_object();
                items.iter().all(is_one).then_some(items)
            }
            _ => None,
        },
    }
}

/// The list or the object that a text is: JSON's, or a list or a dict as Python writes it, also with lists, dicts and
/// NumPy's arrays in it, such as SQuAD's answers in a table of `datasets`: `{'text': array(['a'], dtype=object),
/// 'answer_start': array([515], dtype=int32)}`. `None` for any other text.
pub fn value_in_text(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['[', '{']) {
        return None;
    }
    parse(text).or_else(|error| json_of_python(text).map_or(Err(error), |json| parse(&json))).ok()
}

/// Whether a text is a list of strings as NumPy writes it, without commas: `['a' 'b']`. It is not read: long ones are cut.
pub fn is_numpy_list(text: &str) -> bool {
    let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let quotes = ['\'', '"'];
    inner.map(str::trim).is_some_and(|inner| {
        inner.len() > 1 && inner.starts_with(quotes) && inner.ends_with(quotes)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_json_and_of_python_are_read() {
        for (text, list) in [
            ("[\"a\", \"b\"]", json!(["a", "b"])),
            (" ['x', 'y'] ", json!(["x", "y"])),
            (
                r#"["it's", 'b"c', 'd\'"', 'a\\b\n\xe9\u20ac\U0001f600']"#,
                json!(["it's", "b\"c", "d'\"", "a\\b\né€😀"]),
            ),
            ("['a, b]',]", json!(["a, b]"])),
            ("[ ]", json!([])),
            ("[1, -2.5, True, False, None]", json!([1, -2.5, true, false, null])),
            (
                "[np.int64(1), np.float32(-2.5), np.str_('a, b)'), np.True_, np.False_, np.float64(nan)]",
                json!([1, -2.5, "a, b)", true, false, null]),
            ),
        ] {
            assert_eq!(list_in_text(text).map(Value::from), Some(list), "{text}");
        }
        for text in [
            "",
            "[",
            "[sic]",
            "['a'",
            "['a' 'b']",
            "['a'] b",
            "[[1], ['a']]",
            "['a\\",
            "['\\u12']",
            "[a, b]",
            "('a',)",
            "[np.int64(1]",
            "[np.int64(1) 2]",
            "[np.int64()]",
            "[np.complex64(1j)]",
            "np.int64(1)",
        ] {
            assert_eq!(list_in_text(text), None, "{text}");
        }
    }

    #[test]
    fn integers_of_more_than_64_bits_keep_their_digits() {
        for (text, list) in [
            ("[12345678901234567890123, 1]", json!(["12345678901234567890123", 1])),
            ("['a', -9223372036854775809,]", json!(["a", "-9223372036854775809"])),
            ("[18446744073709551615, None]", json!([u64::MAX, null])),
            ("[1e30, None]", json!([1e30, null])),
        ] {
            assert_eq!(list_in_text(text).map(Value::from), Some(list), "{text}");
        }
        for text in ["[{}, 'a']", "[1e999, 'a']", "[null, 'a']"] {
            assert_eq!(list_in_text(text), None, "{text}");
        }
    }

    #[test]
    fn objects_and_lists_in_them_are_read() {
        let squad = |texts: &[&str], starts: &[u32]| json!({"text": texts, "answer_start": starts});
        for (text, value) in [
            (
                "{'text': array(['Saint Bernadette Soubirous'], dtype=object), 'answer_start': array([515], dtype=int32)}",
                squad(&["Saint Bernadette Soubirous"], &[515]),
            ),
            (" {'text': ['a'], 'answer_start': [1]} ", squad(&["a"], &[1])),
            (
                r#"{'text': array(["it's", 'a "b"'], dtype=object), 'answer_start': array([1, 2])}"#,
                squad(&["it's", "a \"b\""], &[1, 2]),
            ),
            (
                "{'text': array([], dtype=object), 'answer_start': array([], dtype=int32)}",
                squad(&[], &[]),
            ),
            (
                "{'text': array(['a',\n       'b'], dtype='<U1'), 'answer_start': [0, 1],}",
                squad(&["a", "b"], &[0, 1]),
            ),
            (
                "[{'text': 'a', 'answer_start': 12345678901234567890123}]",
                json!([{"text": "a", "answer_start": "12345678901234567890123"}]),
            ),
            ("{\"text\": [\"a\"], \"answer_start\": [1]}", squad(&["a"], &[1])),
            ("{'a': {'b': [[None, True], {}]}}", json!({"a": {"b": [[null, true], {}]}})),
        ] {
            assert_eq!(value_in_text(text), Some(value), "{text}");
        }
        for text in [
            "",
            "a",
            "{",
            "{'a'}",
            "{'a': }",
            "{1: 'a'}",
            "{'a': 1 'b': 2}",
            "{'a': array(['b'], dtype=object}",
            "{'a': array('b')}",
            "{'a': array(['0', '1', ..., '9'], dtype=object)}",
            "{'a': ['b' 'c']}",
            "{'a': ('b',)}",
            "{'a': b'c'}",
            "{'a': 'b'} c",
            "{'a': '\\d'}",
            "array(['a'], dtype=object)",
        ] {
            assert_eq!(value_in_text(text), None, "{text}");
        }
        let deep = |depth: usize| format!("{}'a'{}", "[".repeat(depth), "]".repeat(depth));
        assert!(value_in_text(&deep(20)).is_some());
        assert_eq!(value_in_text(&deep(100_000)), None);
    }

    #[test]
    fn lists_of_numpy_are_told() {
        assert!(is_numpy_list("['a' 'b']") && is_numpy_list(" [\"a's\"\n 'b'] "));
        for text in ["[sic]", "['a' or b]", "[']", "'a'", "[1 2]"] {
            assert!(!is_numpy_list(text), "{text}");
        }
    }
}
