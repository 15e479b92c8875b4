//! The code within a tag of a template, in tokens, as Jinja's lexer divides it.

/// A token of a tag's code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// The text that a literal stands for.
    Text(String),
    Integer(i128),
    Float(f64),
    /// An operator or a bracket.
    Operator(&'static str),
}

/// A tag's code: its tokens, and where they and the code end.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) tokens: Vec<Token>,
    /// The end of the code, in bytes: where the tag's end begins.
    pub(super) end: usize,
    /// The end of the tag, in bytes.
    pub(super) after: usize,
}

/// Operators, longer ones first.
const OPERATORS: [&str; 28] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "(", ")", "[", "]", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";", "!", "?",
];

/// Divides the code at the beginning of `text`, up to `end`: `}}` or `%}`, with the sign in front of it that rules
/// white space.
///
/// # Errors
/// What Jinja refuses too.
pub(super) fn code(text: &str, end: &str) -> Result<Code, String> {
    let (mut tokens, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            return Err("a tag does not end".to_owned());
        };
        if depth == 0 {
            let sign = usize::from(rest.starts_with('-') || (rest.starts_with('+') && end == "%}"));
            if rest[sign..].starts_with(end) {
                return Ok(Code { tokens, end: at, after: at + sign + end.len() });
            }
        }
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first == '"' || first == '\'' {
            let (text, length) = string(rest, first)?;
            tokens.push(Token::Text(text));
            at += length;
        } else if first.is_ascii_digit() {
            let (number, length) = number(rest, tokens.last() == Some(&Token::Operator(".")))?;
            tokens.push(number);
            at += length;
        } else if first == '_' || first.is_alphabetic() {
            let length = rest.find(|letter: char| letter != '_' && !letter.is_alphanumeric());
            let name = &rest[..length.unwrap_or(rest.len())];
            tokens.push(Token::Name(name.to_owned()));
            at += name.len();
        } else {
            let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator))
            else {
                return Err(format!("found the character `{first}`"));
            };
            match *operator {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| format!("found `{operator}` without a bracket before it"))?;
                }
                _ => {}
            }
            tokens.push(Token::Operator(operator));
            at += operator.len();
        }
    }
}

/// The text of a string literal, and the literal's length.
fn string(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Ok((value, at + 1));
        }
        if letter != '\\' {
            value.push(letter);
            continue;
        }
        let Some((at, letter)) = letters.next() else { break };
        let rest = &text[at + letter.len_utf8()..];
        let (code, digits) = match letter {
            'x' => (hex(rest, 2)?, 2),
            'u' => (hex(rest, 4)?, 4),
            'U' => (hex(rest, 8)?, 8),
            '0'..='7' => {
                let octal = &text[at..];
                let count = octal.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                (u32::from_str_radix(&octal[..count], 8).unwrap_or(0), count - 1)
            }
            'N' => return Err("a string has a character by its name, `\\N`".to_owned()),
            _ => {
                match letter {
                    '\n' => {}
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'a' => value.push('\u{7}'),
                    'b' => value.push('\u{8}'),
                    'f' => value.push('\u{c}'),
                    'v' => value.push('\u{b}'),
                    '\\' | '\'' | '"' => value.push(letter),
                    other => value.extend(['\\', other]),
                }
                continue;
            }
        };
        let character = char::from_u32(code)
            .ok_or_else(|| format!("a string has half of a surrogate pair: \\u{code:04x}"))?;
        value.push(character);
        for _ in 0..digits {
            letters.next();
        }
    }
    Err("a string does not end".to_owned())
}

fn hex(text: &str, digits: usize) -> Result<u32, String> {
    let digits = text.get(..digits).filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
    let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    code.ok_or_else(|| "a string has an escape without its digits".to_owned())
}

/// A number, and its length. Behind a dot it is an index.
fn number(text: &str, is_index: bool) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    // Digits, with single underscores between them.
    let run = |from: usize, is_digit: fn(&u8) -> bool| {
        let mut at = from;
        while bytes.get(at).is_some_and(is_digit)
            || (bytes.get(at) == Some(&b'_')
                && at > from
                && bytes.get(at + 1).is_some_and(is_digit))
        {
            at += 1;
        }
        at
    };
    let plain = |range: std::ops::Range<usize>| text[range].replace('_', "");
    let too_large = || "a number is too large".to_owned();
    let radix = match bytes.get(1).filter(|_| bytes[0] == b'0').map(u8::to_ascii_lowercase) {
        Some(b'x') => Some((16, u8::is_ascii_hexdigit as fn(&u8) -> bool)),
        Some(b'o') => Some((8, (|b: &u8| (b'0'..=b'7').contains(b)) as fn(&u8) -> bool)),
        Some(b'b') => Some((2, (|b: &u8| matches!(b, b'0' | b'1')) as fn(&u8) -> bool)),
        _ => None,
    };
    if let Some((radix, is_digit)) = radix {
        let end = run(2, is_digit);
        if end > 2 {
            let value = i128::from_str_radix(&plain(2..end), radix).map_err(|_| too_large())?;
            return Ok((Token::Integer(value), end));
        }
    }
    let digit: fn(&u8) -> bool = u8::is_ascii_digit;
    let whole = run(0, digit);
    let mut end = whole;
    if !is_index {
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(digit) {
            end = run(end + 1, digit);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.get(end + 1 + sign).is_some_and(digit) {
                end = run(end + 1 + sign, digit);
            }
        }
    }
    if end > whole {
        let value = plain(0..end).parse().map_err(|_| too_large())?;
        return Ok((Token::Float(value), end));
    }
    let value = plain(0..end).parse().map_err(|_| too_large())?;
    Ok((Token::Integer(value), end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn code_ends_where_its_tag_ends() {
        for (text, end, length) in [
            (" {'a': {'b': 1}} }}x", "}}", 17),
            ("'}}' -}}", "}}", 5),
            (" if x +%} %}", "%}", 6),
            (" a[{1: 2}[1]]}}", "}}", 13),
        ] {
            assert_eq!(code(text, end).unwrap().end, length, "{text}");
        }
        for (text, says) in [
            (" a", "does not end"),
            ("'a }}", "string does not end"),
            ("a ; $ }}", "the character `$`"),
            ("a) }}", "without a bracket"),
            (r"'\x4' }}", "without its digits"),
            (r"'\ud83d' }}", "half of a surrogate pair"),
        ] {
            assert!(code(text, "}}").unwrap_err().contains(says), "{text}");
        }
    }

    #[test]
    fn literals_are_those_of_python() {
        let one = |text: &str| code(&format!("{text}}}}}"), "}}").unwrap().tokens;
        assert_eq!(one(r"'\x41\u00e9\U0001F600\101\0\q\n'"), [Token::Text("Aé😀A\0\\q\n".into())]);
        assert_eq!(one("1_000"), [Token::Integer(1000)]);
        assert_eq!(one("0x1F"), [Token::Integer(31)]);
        assert_eq!(one("1.5e3"), [Token::Float(1500.0)]);
        assert_eq!(one("1e-3"), [Token::Float(0.001)]);
        let index = one("a.0.1");
        assert_eq!(index[2..], [Token::Integer(0), Token::Operator("."), Token::Integer(1)]);
    }
}
