//! Kinds of characters, and their cases, as Python has them.
//!
//! Python goes by the [general category]: vowel signs are marks, where Rust's `is_alphabetic` counts them among the
//! letters. Characters that Unicode added later than the version of a Python are of no kind there.
//!
//! [general category]: https://www.unicode.org/reports/tr44/#General_Category_Values

use std::sync::LazyLock;

use regex::Regex;

static LETTER: LazyLock<Regex> = LazyLock::new(|| class(r"\p{L}"));
static LETTER_OR_NUMBER: LazyLock<Regex> = LazyLock::new(|| class(r"\p{L}\p{N}"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| class(r"\p{N}"));
static DECIMAL: LazyLock<Regex> = LazyLock::new(|| class(r"\p{Nd}"));
static HIDDEN: LazyLock<Regex> = LazyLock::new(|| class(r"\p{C}\p{Z}"));

/// The letters that are numbers too.
const NUMERALS: &str = "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰\
    阡陆陌陸零\u{f96b}\u{f973}\u{f978}\u{f9b2}\u{f9d1}\u{f9d3}\u{f9fd}𠀁𠁤𠃢𠄡𠤪𠦃𠦌𠦜𠫪𠫽𠬙𢎐𢦘𣬛𦉭\u{2f890}";
/// Those that are since Unicode 15.1 or a later version.
const NEW_NUMERALS: &str = "两京俩倆拐洞皕秭鈎钩\u{12038}\u{12039}\u{12079}\u{12226}\u{1222b}\u{1230b}\u{1230d}\u{12399}\
    \u{32403}\u{324df}";

/// Matches a character of some categories.
fn class(categories: &str) -> Regex {
    Regex::new(&format!("^[{categories}]$")).expect("categories that are known")
}

fn is(class: &Regex, letter: char) -> bool {
    class.is_match(letter.encode_utf8(&mut [0; 4]))
}

/// Whether `letter.isalpha()`.
pub(super) fn is_letter(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_alphabetic() } else { is(&LETTER, letter) }
}

/// Whether `letter.isalnum()`.
pub(super) fn is_letter_or_number(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_alphanumeric() } else { is(&LETTER_OR_NUMBER, letter) }
}

/// Whether `\w` of Python's regular expressions matches it.
pub(super) fn is_word(letter: char) -> bool {
    letter == '_' || is_letter_or_number(letter)
}

/// Whether `letter.isdecimal()`.
pub(super) fn is_decimal(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_digit() } else { is(&DECIMAL, letter) }
}

/// Whether `letter.isdigit()`; `None` for numbers of which the category does not tell.
pub(super) fn is_digit(letter: char) -> Option<bool> {
    match is_decimal(letter) {
        false if is(&NUMBER, letter) => None,
        decimal => Some(decimal),
    }
}

/// Whether `letter.isnumeric()`; `None` where versions of Python differ.
pub(super) fn is_numeric(letter: char) -> Option<bool> {
    match is(&NUMBER, letter) || NUMERALS.contains(letter) {
        false if NEW_NUMERALS.contains(letter) => None,
        numeric => Some(numeric),
    }
}

/// Whether `repr` prints it as it is.
pub(super) fn is_printable(letter: char) -> bool {
    if letter.is_ascii() { !letter.is_ascii_control() } else { !is(&HIDDEN, letter) }
}

/// Whether it has a case: small, capital, or the form that begins a word.
pub(super) fn is_cased(letter: char) -> bool {
    let is_title = matches!(letter, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}'
        | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}');
    is_title || letter.is_lowercase() || letter.is_uppercase()
}

/// A character as the first of a word.
pub(super) fn titled(letter: char) -> Vec<char> {
    // The letters that are two, whose first alone is written large.
    const PAIRS: [(&str, char); 4] = [("Ǆǅǆ", 'ǅ'), ("Ǉǈǉ", 'ǈ'), ("Ǌǋǌ", 'ǋ'), ("Ǳǲǳ", 'ǲ')];
    if let Some((_, title)) = PAIRS.iter().find(|(letters, _)| letters.contains(letter)) {
        return vec![*title];
    }
    let mut upper: Vec<char> = letter.to_uppercase().collect();
    match letter {
        // Georgian has capital letters, but no word begins with one.
        '\u{10d0}'..='\u{10ff}' => vec![letter],
        'ŉ' => upper,
        // Greek vowels with an iota below them, which is a letter of its own behind capitals.
        '\u{1f80}'..='\u{1faf}' => char::from_u32(u32::from(letter) | 8).into_iter().collect(),
        '\u{1fb3}' | '\u{1fbc}' => vec!['\u{1fbc}'],
        '\u{1fc3}' | '\u{1fcc}' => vec!['\u{1fcc}'],
        '\u{1ff3}' | '\u{1ffc}' => vec!['\u{1ffc}'],
        '\u{1fb2}'..='\u{1fff}' if upper.len() > 1 && upper.ends_with(&['Ι']) => {
            upper.pop();
            upper.push('\u{345}');
            upper
        }
        _ => {
            let rest = upper.split_off(upper.len().min(1));
            upper.extend(rest.into_iter().flat_map(char::to_lowercase));
            upper
        }
    }
}

/// `text.casefold()`.
pub(super) fn folded(text: &str) -> String {
    let fold = |letter: char| match letter {
        'ı' => vec!['ı'],
        'ẞ' => vec!['s', 's'],
        // Of Cherokee the capital letters are the older ones.
        '\u{13a0}'..='\u{13fd}' | '\u{ab70}'..='\u{abbf}' => letter.to_uppercase().collect(),
        _ => letter.to_uppercase().flat_map(char::to_lowercase).collect::<Vec<char>>(),
    };
    text.chars().flat_map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_python() {
        for (letter, kinds) in [
            ('a', [true, true, false, true]),
            ('_', [false, false, false, true]),
            ('7', [false, true, true, true]),
            ('ह', [true, true, false, true]),
            ('ि', [false, false, false, true]),
            ('ं', [false, false, false, true]),
            ('ⓐ', [false, false, false, true]),
            ('Ⅷ', [false, true, true, true]),
            ('一', [true, true, true, true]),
            ('丁', [true, true, false, true]),
            ('½', [false, true, true, true]),
            ('\u{e0041}', [false; 4]),
            ('\u{61c}', [false; 4]),
            ('\u{fff9}', [false; 4]),
            ('\u{f0000}', [false; 4]),
            ('\u{378}', [false; 4]),
            ('\u{3000}', [false; 4]),
        ] {
            let numeric = is_numeric(letter).unwrap_or(true);
            let found =
                [is_letter(letter), is_letter_or_number(letter), numeric, is_printable(letter)];
            assert_eq!(found, kinds, "{letter:?}");
        }
        assert_eq!(
            ["7", "٤", "²", "京"].map(|one| one.chars().all(is_decimal)),
            [true, true, false, false]
        );
        assert_eq!(['7', '٤', '²', 'a'].map(is_digit), [Some(true), Some(true), None, Some(false)]);
        assert_eq!((is_numeric('京'), is_numeric('丁')), (None, Some(false)));
        assert_eq!(NUMERALS.chars().count(), 81);
    }

    #[test]
    fn cases_are_those_of_python() {
        for (text, expected) in [
            ("ΟΔΟΣ", "οδοσ"),
            ("ı", "ı"),
            ("İ", "i\u{307}"),
            ("Straße STRASẞE", "strasse strassse"),
            ("\u{13a0}\u{13f8}\u{ab70}", "\u{13a0}\u{13f0}\u{13a0}"),
            ("ŉᾳﬁ", "ʼnαιfi"),
        ] {
            assert_eq!(folded(text), expected);
        }
        for (letter, expected) in [
            ('a', "A"),
            ('ß', "Ss"),
            ('ﬁ', "Fi"),
            ('ŉ', "ʼN"),
            ('ǆ', "ǅ"),
            ('ა', "ა"),
            ('ᾳ', "ᾼ"),
            ('ᾀ', "ᾈ"),
            ('ᾷ', "Α\u{342}\u{345}"),
        ] {
            assert_eq!(titled(letter).into_iter().collect::<String>(), expected);
        }
    }
}
