//! Porter's stemmer (Porter 1980, "An algorithm for suffix stripping") with NLTK's extensions, which rouge-score uses.
//!
//! A stem's measure m is the number of vowels that a consonant follows. `y` is a vowel behind a consonant.

/// The stem of an English word in lower case: `connections` and `connected` become `connect`.
pub fn porter_stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(known, _)| *known == word) {
        return (*stem).to_owned();
    }
    if word.chars().count() <= 2 {
        return word.to_owned();
    }
    let steps = [plural, past, final_y, double_suffix, third, fourth, final_e, double_l];
    steps.iter().fold(word.chars().collect::<Vec<_>>(), |word, step| step(word)).iter().collect()
}

/// Forms that the rules do not reach.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

type Word = Vec<char>;

/// What a stem has to be for its suffix to be replaced.
type Condition = fn(&[char]) -> bool;

/// Suffixes with what replaces them.
type Rules = [(&'static str, &'static str)];

/// Whether each letter is a consonant.
fn consonants(word: &[char]) -> Vec<bool> {
    let mut found: Vec<bool> = Vec::with_capacity(word.len());
    for (at, c) in word.iter().enumerate() {
        found.push(match c {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => at == 0 || !found[at - 1],
            _ => true,
        });
    }
    found
}

fn measure(stem: &[char]) -> usize {
    consonants(stem).windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_measure(stem: &[char]) -> bool {
    measure(stem) > 0
}

fn is_long(stem: &[char]) -> bool {
    measure(stem) > 1
}

fn has_vowel(stem: &[char]) -> bool {
    consonants(stem).contains(&false)
}

fn ends_in_double_consonant(word: &[char]) -> bool {
    matches!(word, [.., a, b] if a == b) && consonants(word).last() == Some(&true)
}

/// Consonant, vowel, consonant that is not w, x or y; NLTK: or a vowel and a consonant alone.
fn ends_in_short_syllable(word: &[char]) -> bool {
    match consonants(word).as_slice() {
        [.., true, false, true] => !matches!(word.last(), Some('w' | 'x' | 'y')),
        [false, true] => true,
        _ => false,
    }
}

fn ends_with(word: &[char], suffix: &str) -> bool {
    without(word, suffix).is_some()
}

/// The word without a suffix, if it has it.
fn without<'w>(word: &'w [char], suffix: &str) -> Option<&'w [char]> {
    let start = word.len().checked_sub(suffix.len())?;
    word[start..].iter().copied().eq(suffix.chars()).then_some(&word[..start])
}

fn with(stem: &[char], suffix: &str) -> Word {
    stem.iter().copied().chain(suffix.chars()).collect()
}

/// Replaces the first suffix of `rules` that the word has, if its stem fulfils the condition; no other is tried.
fn replaced(word: Word, rules: &Rules, condition: Condition) -> Word {
    let found = rules.iter().find_map(|(suffix, new)| Some((without(&word, suffix)?, new)));
    match found {
        Some((stem, new)) if condition(stem) => with(stem, new),
        _ => word,
    }
}

/// Step 1a: `caresses`, `ponies`, `cats`; NLTK: `dies` becomes `die`.
fn plural(word: Word) -> Word {
    match without(&word, "ies") {
        Some(stem) if word.len() == 4 => with(stem, "ie"),
        _ => replaced(word, &[("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")], |_| true),
    }
}

/// Step 1b: `agreed`, `plastered`, `motoring`; NLTK: `died` becomes `die`, `spied` `spi`.
fn past(word: Word) -> Word {
    if let Some(stem) = without(&word, "ied") {
        return with(stem, if word.len() == 4 { "ie" } else { "i" });
    }
    if ends_with(&word, "eed") {
        return replaced(word, &[("eed", "ee")], has_measure);
    }
    let stem =
        ["ed", "ing"].iter().find_map(|suffix| without(&word, suffix).filter(|s| has_vowel(s)));
    let Some(stem) = stem else { return word };
    if ["at", "bl", "iz"].iter().any(|end| ends_with(stem, end)) {
        return with(stem, "e");
    }
    if ends_in_double_consonant(stem) {
        return match stem.last() {
            Some('l' | 's' | 'z') => stem.to_vec(),
            _ => stem[..stem.len() - 1].to_vec(),
        };
    }
    match measure(stem) == 1 && ends_in_short_syllable(stem) {
        true => with(stem, "e"),
        false => stem.to_vec(),
    }
}

/// Step 1c: `happy`; NLTK: where a consonant precedes it and is not the first letter, so `enjoy` stays.
fn final_y(word: Word) -> Word {
    replaced(word, &[("y", "i")], |stem| stem.len() > 1 && consonants(stem).last() == Some(&true))
}

/// Step 2: `relational`, `digitizer`, `hopefulness`.
fn double_suffix(word: Word) -> Word {
    // NLTK: `alli` first, and what is left goes through this step again.
    if let Some(stem) = without(&word, "alli").filter(|stem| has_measure(stem)) {
        return double_suffix(with(stem, "al"));
    }
    // NLTK: the l of `logi` counts as part of the stem.
    const RULES: &Rules = &[
        ("ational", "ate"),
        ("tional", "tion"),
        ("enci", "ence"),
        ("anci", "ance"),
        ("izer", "ize"),
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("ization", "ize"),
        ("ation", "ate"),
        ("ator", "ate"),
        ("alism", "al"),
        ("iveness", "ive"),
        ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"),
        ("iviti", "ive"),
        ("biliti", "ble"),
        ("fulli", "ful"),
    ];
    if ends_with(&word, "logi") {
        return match has_measure(&word[..word.len() - 3]) {
            true => word[..word.len() - 1].to_vec(),
            false => word,
        };
    }
    replaced(word, RULES, has_measure)
}

/// Step 3: `triplicate`, `formative`, `goodness`.
fn third(word: Word) -> Word {
    const RULES: &Rules = &[
        ("icate", "ic"),
        ("ative", ""),
        ("alize", "al"),
        ("iciti", "ic"),
        ("ical", "ic"),
        ("ful", ""),
        ("ness", ""),
    ];
    replaced(word, RULES, has_measure)
}

/// Step 4: `allowance`, `adjustment`, `adoption`.
fn fourth(word: Word) -> Word {
    const RULES: &Rules = &[
        ("al", ""),
        ("ance", ""),
        ("ence", ""),
        ("er", ""),
        ("ic", ""),
        ("able", ""),
        ("ible", ""),
        ("ant", ""),
        ("ement", ""),
        ("ment", ""),
        ("ent", ""),
        ("ion", ""),
        ("ou", ""),
        ("ism", ""),
        ("ate", ""),
        ("iti", ""),
        ("ous", ""),
        ("ive", ""),
        ("ize", ""),
    ];
    match without(&word, "ion") {
        Some(stem) if !matches!(stem.last(), Some('s' | 't')) => word,
        _ => replaced(word, RULES, is_long),
    }
}

/// Step 5a: `probate`, `cease`.
fn final_e(word: Word) -> Word {
    let goes = |stem: &[char]| is_long(stem) || measure(stem) == 1 && !ends_in_short_syllable(stem);
    match without(&word, "e") {
        Some(stem) if goes(stem) => stem.to_vec(),
        _ => word,
    }
}

/// Step 5b: `controll`.
fn double_l(word: Word) -> Word {
    match without(&word, "l") {
        Some(stem) if ends_with(&word, "ll") && is_long(stem) => stem.to_vec(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_their_stems() {
        for (words, stem) in [
            ("caress caresses", "caress"),
            ("connect connected connecting connection connections", "connect"),
            ("relational relate", "relat"),
            ("enjoy enjoying", "enjoy"),
            ("happy happiness", "happi"),
            ("die dies died dying", "die"),
            ("sky skies", "sky"),
            ("archaeology", "archaeolog"),
            ("geology", "geolog"),
            ("controlling control", "control"),
            ("hopefulness hope", "hope"),
            ("2020s", "2020"),
            ("is", "is"),
        ] {
            words.split(' ').for_each(|word| assert_eq!(porter_stem(word), stem, "{word}"));
        }
    }
}
