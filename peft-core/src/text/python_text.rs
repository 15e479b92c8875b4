//! Python's literals as JSON: lists and dicts as pandas and `datasets` write them into the cells of a table.

use serde_json::Value;

use super::json_value::parse;

/// Scalars, as NumPy 2 writes them in a list of Python.
const SCALARS: [&str; 12] = [
    "np.int8(",
    "np.int16(",
    "np.int32(",
    "np.int64(",
    "np.uint8(",
    "np.uint16(",
    "np.uint32(",
    "np.uint64(",
    "np.float16(",
    "np.float32(",
    "np.float64(",
    "np.str_(",
];

/// Deeper lists and dicts are no cell of a table.
const DEEPEST: usize = 32;

/// The JSON of a list or a dict that is written as Python's `repr` writes it: of strings, numbers, booleans, `None`, lists,
/// dicts with strings as keys, arrays of NumPy (`array(['a'], dtype=object)`), which are lists, and its scalars
/// (`np.int64(1)`, `np.str_('a')`, `np.True_`), which are their values. `None` for any other
/// text, for parts that NumPy left out (`...`) and strings with other escapes than those of `repr`. `nan`, as pandas writes
/// a missing value, is `null`; an integer of more than 64 bits stays as it is.
pub(super) fn json_of_python(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text.trim(), json: String::with_capacity(text.len()) };
    if !reader.rest.starts_with(['[', '{']) {
        return None;
    }
    reader.value(DEEPEST)?;
    reader.rest.is_empty().then_some(reader.json)
}

/// What is left to read, and the JSON of what was read.
struct Reader<'t> {
    rest: &'t str,
    json: String,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Whether a text comes next, which is then read.
    fn takes(&mut self, next: &str) -> bool {
        let behind = self.rest.strip_prefix(next);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn letter(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.blanks();
        match self.rest.chars().next()? {
            '[' => self.items(['[', ']'], |reader| reader.value(depth)),
            '{' => self.items(['{', '}'], |reader| {
                reader.blanks();
                reader.string()?;
                reader.blanks();
                reader.takes(":").then(|| reader.json.push(':'))?;
                reader.value(depth)
            }),
            '\'' | '"' => self.string(),
            _ if self.takes("array(") => self.array(depth),
            _ if SCALARS.iter().any(|name| self.takes(name)) => {
                match self.rest.starts_with(['\'', '"']) {
                    true => self.string()?,
                    false => self.word()?,
                }
                self.takes(")").then_some(())
            }
            _ => self.word(),
        }
    }

    /// What stands between brackets, with commas, also behind the last.
    fn items(
        &mut self,
        [open, close]: [char; 2],
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.letter()?;
        self.json.push(open);
        loop {
            self.blanks();
            if self.rest.starts_with(close) {
                break;
            }
            if !self.json.ends_with(open) {
                self.json.push(',');
            }
            item(self)?;
            self.blanks();
            if !self.takes(",") && !self.rest.starts_with(close) {
                return None;
            }
        }
        self.letter()?;
        self.json.push(close);
        Some(())
    }

    /// The rest of an array of NumPy: its list, and perhaps its type.
    fn array(&mut self, depth: usize) -> Option<()> {
        self.blanks();
        self.rest.starts_with('[').then(|| self.value(depth))??;
        self.blanks();
        if self.takes(",") {
            self.blanks();
            self.takes("dtype=").then_some(())?;
            let end = self.rest.find([')', '(', ','])?;
            self.rest = &self.rest[end..];
        }
        self.takes(")").then_some(())
    }

    /// A string, with the escapes that `repr` writes.
    fn string(&mut self) -> Option<()> {
        let quote = self.letter().filter(|letter| ['\'', '"'].contains(letter))?;
        let mut text = String::new();
        loop {
            match self.letter()? {
                '\\' => text.push(match self.letter()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'x' => self.code(2)?,
                    'u' => self.code(4)?,
                    'U' => self.code(8)?,
                    letter @ ('\\' | '\'' | '"') => letter,
                    _ => return None,
                }),
                letter if letter == quote => break,
                letter => text.push(letter),
            }
        }
        self.json += &Value::from(text).to_string();
        Some(())
    }

    /// The character of a hexadecimal number of `digits` digits.
    fn code(&mut self, digits: usize) -> Option<char> {
        let number = (0..digits)
            .try_fold(0, |number, _| Some(number * 16 + self.letter()?.to_digit(16)?))?;
        char::from_u32(number)
    }

    fn word(&mut self) -> Option<()> {
        let ends = |letter: char| ",]}):".contains(letter) || letter.is_whitespace();
        let (word, rest) = self.rest.split_at(self.rest.find(ends)?);
        self.rest = rest;
        self.json += match word {
            "True" | "np.True_" => "true",
            "False" | "np.False_" => "false",
            "None" | "nan" => "null",
            // The digits of a number that 64 bits do not hold are a string there.
            number => match parse(number).ok()? {
                Value::Number(_) | Value::String(_) if !number.starts_with('"') => number,
                _ => return None,
            },
        };
        Some(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// As Python's `repr` writes it.
    fn written(value: &Value) -> String {
        match value {
            Value::Null => "None".into(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            Value::String(text) => {
                let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
                let letter = |letter: char| match letter {
                    '\n' => "\\n".into(),
                    '\t' => "\\t".into(),
                    '\u{7}' => "\\x07".into(),
                    '\u{200b}' => "\\u200b".into(),
                    letter if letter == quote || letter == '\\' => format!("\\{letter}"),
                    letter => letter.to_string(),
                };
                format!("{quote}{}{quote}", text.chars().map(letter).collect::<String>())
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
            }
            Value::Object(members) => {
                let member = |(key, value): (&String, &Value)| {
                    format!("{}: {}", written(&key.as_str().into()), written(value))
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
            }
            number => number.to_string(),
        }
    }

    /// Values that [`written`] is right for.
    fn values() -> impl Strategy<Value = Value> {
        let text = "[a'\"\\\\\n\t\u{7}\u{200b}é😀\\[\\]{}:,]{0,6}";
        let one = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        let any = one.prop_recursive(3, 12, 3, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map(text, inner, 0..3).prop_map(|members| json!(members)),
            ]
        });
        any.prop_filter("a list or a dict", |value| value.is_array() || value.is_object())
    }

    proptest! {
        #[test]
        fn what_python_writes_is_read(value in values()) {
            let text = written(&value);
            let json = json_of_python(&text);
            prop_assert_eq!(json.as_deref().map(|json| parse(json).unwrap()), Some(value), "{}", text);
        }

        /// No text makes the reader panic, and what it makes is JSON.
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[{]([\\[\\]{}'\":,a1 \n\\\\x-]|array\\(|None|nan|\\)){0,20}") {
            if let Some(json) = json_of_python(&text) {
                prop_assert!(parse(&json).is_ok(), "{}: {}", text, json);
            }
        }
    }
}
