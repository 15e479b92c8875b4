//! The words of a text as COCO's caption evaluation, and with it E2E's script, compares them: Penn Treebank tokens in lower
//! case without punctuation.
//!
//! The reference is Stanford's PTBTokenizer 3.4.1, a Java program. These rules follow it on English prose: contractions are
//! split (`it 's`, `do n't`, `can not`), words with hyphens or slashes, numbers and abbreviations stay whole, brackets
//! become words (`-lrb-`), £ is #, and € is $. Rarer forms, such as addresses and emoticons, may be split otherwise.

use super::segments::words;

/// Tokens that are left out.
const PUNCTUATION: [char; 17] =
    ['\'', '"', '`', '“', '”', '‘', '«', '»', '‹', '›', '.', '?', '!', ',', ':', ';', '…'];

/// Words that keep the full stop behind them, in lower case; single letters do, too.
const ABBREVIATIONS: [&str; 71] = [
    "adj", "adm", "adv", "al", "apr", "assn", "asst", "aug", "ave", "bancorp", "bldg", "blvd",
    "bros", "capt", "cert", "cf", "cmdr", "co", "col", "corp", "dec", "dept", "dr", "drs", "esq",
    "etc", "feb", "fri", "ft", "gen", "gov", "hon", "hosp", "hwy", "inc", "jan", "jr", "jul",
    "jun", "lt", "ltd", "maj", "mar", "messrs", "mfg", "mlle", "mme", "mon", "mr", "mrs", "ms",
    "mt", "nos", "nov", "oct", "op", "ph", "pres", "prof", "rep", "reps", "rev", "sen", "sens",
    "sep", "sept", "sgt", "sr", "st", "ste", "vs",
];

/// Fractions of one character.
const FRACTIONS: [(char, &str); 5] =
    [('½', "1/2"), ('¼', "1/4"), ('¾', "3/4"), ('⅓', "1/3"), ('⅔', "2/3")];

/// Words that are two.
const DOUBLE: [(&str, &str, &str); 6] = [
    ("cannot", "can", "not"),
    ("gonna", "gon", "na"),
    ("gotta", "got", "ta"),
    ("wanna", "wan", "na"),
    ("lemme", "lem", "me"),
    ("gimme", "gim", "me"),
];

/// What may stand behind an apostrophe as a word of its own.
const CLITICS: [&str; 6] = ["s", "m", "d", "re", "ve", "ll"];

/// Splits a text into words.
///
/// # Examples
///
/// ```
/// use peft_core::metrics::caption_tokens;
///
/// assert_eq!(caption_tokens("It's £20-25, isn't it?"), ["it", "'s", "#", "20-25", "is", "n't", "it"]);
/// ```
pub fn caption_tokens(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        match FRACTIONS.iter().find(|(fraction, _)| *fraction == c) {
            Some((_, written)) => plain.extend([" ", written, " "]),
            None => plain.push(simple(c)),
        }
    }
    for (entity, c) in [("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")] {
        plain = plain.replace(entity, c);
    }
    let (mut tokens, mut chunks) = (Vec::new(), words(&plain).peekable());
    while let Some(chunk) = chunks.next() {
        // Elsewhere "no" keeps no full stop.
        let numbered =
            chunks.peek().is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
        if numbered && chunk.eq_ignore_ascii_case("no.") {
            tokens.push("no.".to_owned());
            continue;
        }
        let chunk: Vec<char> = chunk.chars().collect();
        let mut at = 0;
        while at < chunk.len() {
            at += next(&chunk, at, &mut tokens);
        }
    }
    tokens
}

/// Marks of direction and of emoji, blanks of no width, and what is outside Unicode's first plane.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{fe0f}' | '\u{feff}' | '\u{10000}'..)
}

/// Marks that have an ASCII form.
fn simple(c: char) -> char {
    match c {
        '’' => '\'',
        '£' => '#',
        '€' => '$',
        other => other,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || is_mark(c)
}

/// Marks that combine with a letter, in the blocks of accents and of Hebrew and Arabic points.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}')
}

/// Takes what begins at `at`, a token or something between tokens, and returns its length.
fn next(chunk: &[char], at: usize, tokens: &mut Vec<String>) -> usize {
    let c = chunk[at];
    let after = |distance: usize| chunk.get(at + distance).copied();
    let starts = at == 0 || !is_word(chunk[at - 1]);
    let is_digit_next = after(1).is_some_and(|c| c.is_ascii_digit());
    let length = match c {
        _ if is_word(c) => return word(chunk, at, tokens),
        '-' if starts && is_digit_next => 1 + number(&chunk[at + 1..]),
        '.' | '+' if is_digit_next => 1 + number(&chunk[at + 1..]),
        '#' | '@' if starts && after(1).is_some_and(char::is_alphabetic) => {
            1 + chunk[at + 1..].iter().take_while(|c| is_word(**c)).count()
        }
        '\'' => match apostrophe(&chunk[at + 1..]) {
            0 => return 1,
            length => 1 + length,
        },
        '-' | '–' | '—' => {
            return chunk[at..].iter().take_while(|c| matches!(c, '-' | '–' | '—')).count();
        }
        _ if PUNCTUATION.contains(&c) => {
            // Several question and exclamation marks are one token, which stays.
            let same = chunk[at..].iter().take_while(|c| matches!(c, '?' | '!')).count();
            if same < 2 {
                return 1;
            }
            same
        }
        _ => 1,
    };
    tokens.push(match c {
        '(' => "-lrb-".to_owned(),
        ')' => "-rrb-".to_owned(),
        '[' => "-lsb-".to_owned(),
        ']' => "-rsb-".to_owned(),
        '{' => "-lcb-".to_owned(),
        '}' => "-rcb-".to_owned(),
        '¢' => "cents".to_owned(),
        _ => lower(&chunk[at..at + length]),
    });
    length
}

fn lower(chars: &[char]) -> String {
    chars.iter().collect::<String>().to_lowercase()
}

/// The length of a number with points, commas and colons between its digits, and words joined to it by hyphens.
fn number(rest: &[char]) -> usize {
    let length = joined(rest, |before, mark, after| match mark {
        '.' | ',' | ':' => before.is_ascii_digit() && after.is_ascii_digit(),
        mark => mark == '-',
    });
    decimal(rest).filter(|decimal| *decimal < length).unwrap_or(length)
}

/// The length of the digits and marks of a number with marks, if letters follow it at once: `5.3m` is two words.
fn decimal(rest: &[char]) -> Option<usize> {
    let mut length = 0;
    let is_digit = |at: usize| rest.get(at).is_some_and(char::is_ascii_digit);
    let is_mark = |at: usize| matches!(rest.get(at), Some('.' | ',' | ':'));
    while is_digit(length) || length > 0 && is_mark(length) && is_digit(length + 1) {
        length += 1;
    }
    let has_mark = rest[..length].iter().any(|c| !c.is_ascii_digit());
    (has_mark && rest.get(length).is_some_and(|c| is_word(*c))).then_some(length)
}

/// The length of letters and digits, and of the marks between them for which `joins` says so.
fn joined(rest: &[char], joins: impl Fn(char, char, char) -> bool) -> usize {
    let mut length = 0;
    while let Some(c) = rest.get(length) {
        let is_inside = is_word(*c)
            || length > 0
                && matches!(rest.get(length + 1), Some(after) if is_word(*after) && joins(rest[length - 1], *c, *after));
        if !is_inside {
            break;
        }
        length += 1;
    }
    length
}

/// The length of the word behind an apostrophe that belongs to it: `'s`, `'70s`; 0 of a quote.
fn apostrophe(rest: &[char]) -> usize {
    let length = rest.iter().take_while(|c| is_word(**c)).count();
    let text = lower(&rest[..length]);
    let is_decade = length == 3 && text.ends_with("0s") && rest[0].is_ascii_digit();
    if CLITICS.contains(&text.as_str()) || is_decade { length } else { 0 }
}

/// Takes a word that begins at `at`.
fn word(chunk: &[char], at: usize, tokens: &mut Vec<String>) -> usize {
    let rest = &chunk[at..];
    if let Some(length) = address(rest) {
        tokens.push(lower(&rest[..length]));
        return length;
    }
    let mut length = joined(rest, |before, mark, after| match mark {
        '-' | '‐' | '/' | '⁄' => true,
        '.' | ',' | ':' => before.is_ascii_digit() && after.is_ascii_digit(),
        '&' => before.is_uppercase() && after.is_uppercase(),
        _ => false,
    });
    if let Some(decimal) = decimal(rest) {
        length = decimal;
    }
    let letters = &rest[..length];
    // Dollars of a country.
    if length <= 2
        && letters.iter().all(|c| c.is_ascii_uppercase())
        && rest.get(length) == Some(&'$')
    {
        length += 1;
    } else if let Some(acronym) = acronym(rest) {
        length = acronym;
    } else if rest.get(length) == Some(&'\'') {
        let behind: Vec<char> =
            rest[length + 1..].iter().copied().take_while(|c| is_word(*c)).collect();
        let is_not =
            length > 1 && matches!(letters[length - 1], 'n' | 'N') && lower(&behind) == "t";
        if is_not {
            tokens.push(lower(&letters[..length - 1]));
            tokens.push("n't".to_owned());
            return length + 2;
        }
        // As in o'clock and d'Or.
        let is_inside = behind.first().is_some_and(|c| c.is_alphabetic()) && behind != ['n'];
        if is_inside && !CLITICS.contains(&lower(&behind).as_str()) {
            length += 1 + joined(&rest[length + 1..], |_, mark, _| mark == '-');
        }
    } else if rest.get(length) == Some(&'.') {
        // A full stop in front of another mark ends no sentence.
        let goes_on = matches!(rest.get(length + 1), Some(',' | ';' | ':'));
        length += usize::from(goes_on || is_abbreviation(letters));
    }
    let text = lower(&rest[..length]);
    match DOUBLE.iter().find(|(whole, _, _)| *whole == text) {
        Some((_, first, second)) => tokens.extend([first, second].map(|part| (*part).to_owned())),
        None => tokens.push(text),
    }
    length
}

/// Whether the last part of a word keeps the full stop behind it.
fn is_abbreviation(word: &[char]) -> bool {
    match word {
        [letter] => letter.is_alphabetic(),
        _ => ABBREVIATIONS.contains(&lower(word).as_str()),
    }
}

/// The length of single letters with full stops between them and perhaps behind: `U.S.`, `p.m`.
fn acronym(rest: &[char]) -> Option<usize> {
    let pairs = rest.chunks(2).take_while(|pair| matches!(pair, [a, '.'] if a.is_alphabetic()));
    let length = 2 * pairs.count();
    // A last letter without a full stop, unless a word begins there.
    let is_letter = |at: usize| rest.get(at).is_some_and(|c| is_word(*c));
    match (is_letter(length), is_letter(length + 1)) {
        (true, false) if length >= 2 => Some(length + 1),
        (false, _) if length >= 4 => Some(length),
        _ => None,
    }
}

/// The length of an address on the Web.
fn address(rest: &[char]) -> Option<usize> {
    let begins = |text: &str| rest.iter().copied().take(text.len()).eq(text.chars());
    let is_end =
        |c: &char| matches!(c, '(' | ')' | '<' | '>' | '"' | '“' | '”' | '{' | '}' | '[' | ']');
    let mut length = rest.iter().take_while(|c| !is_end(c)).count();
    while length > 0 && matches!(rest[length - 1], '.' | ',' | '!' | '?' | ';' | ':' | '\'') {
        length -= 1;
    }
    if begins("http://") || begins("https://") || begins("www.") {
        return Some(length);
    }
    // A name such as example.com.
    let name = joined(rest, |_, mark, _| matches!(mark, '.' | '-'));
    let text = lower(&rest[..name]);
    let is_name = [".com", ".net", ".org", ".edu"].iter().any(|end| text.ends_with(end));
    (is_name && name > 4).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_treebank() {
        for (text, expected) in [
            (
                "There's a family-friendly pub, isn't there?",
                "there 's a family-friendly pub is n't there",
            ),
            ("U.S. dollars at 5:00 p.m. (5.3%)", "u.s. dollars at 5:00 p.m. -lrb- 5.3 % -rrb-"),
            ("Mr. J. Smith cannot pay US$20...", "mr. j. smith can not pay us$ 20"),
            ("“Café” – and/or 1,000 'Aromi'", "café and/or 1,000 aromi"),
            ("the '70s rock d'Or o'clock", "the '70s rock d'or o'clock"),
            ("V&A v&a #tag -5 .45", "v&a v & a #tag -5 .45"),
            ("see http://x.y/z?a=1, or example.com.", "see http://x.y/z?a=1 or example.com"),
            ("WHAT?? no! -- a - b", "what ?? no a b"),
            ("", ""),
        ] {
            assert_eq!(caption_tokens(text).join(" "), expected);
        }
    }
}
