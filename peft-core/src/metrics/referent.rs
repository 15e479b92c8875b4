//! Whether a text names what a pronoun stands for, as T5 counts it for Winograd schemas (Raffel et al. 2020, arXiv
//! 1910.10683; `wsc_simple` of its code).

use std::collections::BTreeSet;

/// Words that do not tell referents apart.
const DETERMINERS: [&str; 21] = [
    "a", "an", "few", "her", "his", "each", "every", "many", "much", "my", "our", "some", "that",
    "the", "their", "these", "this", "those", "which", "whose", "your",
];

/// Whether a prediction names the referent: in lower case and without determiners, all words of one are among those of the
/// other ("the fuzzy bunny" names "bunny"). One with an apostrophe and one without never do ("Bob" is not "Bob's hat").
/// `None` for a prediction without words, which is wrong whatever the question.
pub fn names_referent(prediction: &str, referent: &str) -> Option<bool> {
    let words = |text: &str| -> BTreeSet<String> {
        let lower = text.to_lowercase();
        let kept = lower.split_whitespace().filter(|word| !DETERMINERS.contains(word));
        kept.map(str::to_owned).collect()
    };
    let (found, wanted) = (words(prediction), words(referent));
    let has_apostrophe = |words: &BTreeSet<String>| words.iter().any(|word| word.contains('\''));
    let is_same = has_apostrophe(&found) == has_apostrophe(&wanted)
        && (found.is_subset(&wanted) || wanted.is_subset(&found));
    (!found.is_empty()).then_some(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_are_among_those_of_the_other() {
        for (prediction, referent, expected) in [
            ("Tom", "Tom", true),
            (" the fuzzy BUNNY", "bunny", true),
            ("bunny", "The fuzzy bunny", true),
            ("her mother", "mother", true),
            ("Tom", "Mitchell", false),
            ("Tom and Mitchell", "Tom and Ann", false),
            ("Bob", "Bob's hat", false),
            ("Bob's", "Bob's hat", true),
        ] {
            let found = names_referent(prediction, referent);
            assert_eq!(found, Some(expected), "{prediction} / {referent}");
        }
        assert_eq!((names_referent("", "Tom"), names_referent(" The", "the")), (None, None));
    }
}
