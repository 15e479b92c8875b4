//! Translation edit rate (Snover et al. 2006, AMTA), as sacrebleu computes it by default: the insertions, deletions,
//! substitutions and shifts of runs of words that turn a prediction into a reference.

use super::{
    edits::{Alignment, Edits},
    segments::{Segment, check, words},
};
use crate::error::Result;

/// The longest run of words that is shifted.
const LONGEST_SHIFT: usize = 10;
/// How far apart its places in prediction and reference may be.
const WIDEST_SHIFT: usize = 50;
/// Shifts that are tried for one reference.
const MOST_SHIFTS: usize = 1000;

/// TER, as a fraction (sacrebleu prints 100 times as much): less is better, and it may exceed 1. Words are what stands
/// between blanks, in lower case.
///
/// Edits of the closest reference, divided by the mean length of the references; both are summed over all segments. The
/// shifts are those of Tercom's greedy search.
///
/// # Errors
/// [`Error::Mismatch`](crate::Error::Mismatch) if there are no segments, or one has no references.
pub fn ter(segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    let (mut edits, mut length) = (0, 0.0);
    for segment in segments {
        let (found, references) = segment.map(|text| {
            let lower = text.to_lowercase();
            words(&lower).map(str::to_owned).collect::<Vec<String>>()
        });
        edits +=
            references.iter().map(|reference| edit_count(&found, reference)).min().unwrap_or(0);
        let words: usize = references.iter().map(Vec::len).sum();
        length += words as f64 / references.len() as f64;
    }
    Ok(match (edits, length > 0.0) {
        (edits, true) => edits as f64 / length,
        (0, false) => 0.0,
        (_, false) => 1.0,
    })
}

/// The edits that turn `found` into `wanted`.
fn edit_count(found: &[String], wanted: &[String]) -> usize {
    if wanted.is_empty() {
        return found.len();
    }
    let (mut words, mut shifts, mut tried) = (found.to_vec(), 0, 0);
    let mut edits = Edits::new(&words, wanted);
    while let Some(shifted) = best_shift(&words, wanted, &edits, &mut tried) {
        words = shifted;
        shifts += 1;
        edits = Edits::new(&words, wanted);
    }
    shifts + edits.count()
}

/// What a shift saves, the length of its run, and its place and target counted from the end: the largest is best.
type Rank = (isize, usize, usize, usize);

/// The words after the shift that saves most edits: of several, that of the longest run, then the earliest, then the one
/// to the earliest place. `None` if none saves any, and once too many were tried.
fn best_shift(
    words: &[String],
    wanted: &[String],
    edits: &Edits<'_>,
    tried: &mut usize,
) -> Option<Vec<String>> {
    let alignment = edits.alignment();
    let mut best: Option<(Rank, Vec<String>)> = None;
    'all: for start in 0..words.len() {
        for place in 0..wanted.len() {
            if place.abs_diff(start) > WIDEST_SHIFT {
                continue;
            }
            let same = words[start..].iter().zip(&wanted[place..]).take_while(|(a, b)| a == b);
            let longest = same.take(LONGEST_SHIFT).count();
            for length in 1..=longest {
                for target in targets(&alignment, start, place, length) {
                    let shifted = shifted(words, start, length, target);
                    let saved = edits.count() as isize - edits.count_of(&shifted) as isize;
                    let rank = (saved, length, usize::MAX - start, usize::MAX - target);
                    *tried += 1;
                    if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                        best = Some((rank, shifted));
                    }
                }
                if *tried >= MOST_SHIFTS {
                    break 'all;
                }
            }
        }
    }
    if *tried >= MOST_SHIFTS {
        return None;
    }
    best.filter(|((saved, ..), _)| *saved > 0).map(|(_, words)| words)
}

/// In front of which words a run may be shifted that stands at `place` in the reference: behind what is aligned with the
/// word before it, or with one of its own. None where either side has no error there, or the run would stay within itself.
fn targets(alignment: &Alignment, start: usize, place: usize, length: usize) -> Vec<usize> {
    let at = |place: usize| alignment.behind.get(place).copied();
    let has_error = |errors: &[bool], from: usize| errors[from..from + length].contains(&true);
    let inside = at(place).is_some_and(|behind| (start + 1..=start + length).contains(&behind));
    if inside
        || !has_error(&alignment.found_errors, start)
        || !has_error(&alignment.wanted_errors, place)
    {
        return Vec::new();
    }
    let first = if place == 0 { Some(0) } else { at(place - 1) };
    let mut targets: Vec<usize> =
        first.into_iter().chain((place..place + length).map_while(at)).collect();
    // Places that follow one another may have the same.
    targets.dedup();
    targets
}

/// The words with a run of them shifted in front of the word at `target`.
fn shifted(words: &[String], start: usize, length: usize, target: usize) -> Vec<String> {
    let run = &words[start..start + length];
    let parts = if target < start {
        [&words[..target], run, &words[target..start], &words[start + length..]]
    } else if target > start + length {
        [&words[..start], &words[start + length..target], run, &words[target..]]
    } else {
        // Within itself: as far behind it as the target is from the beginning of the text.
        let end = (length + target).min(words.len());
        [&words[..start], &words[(start + length).min(end)..end], run, &words[end..]]
    };
    parts.concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::edit_distance;

    fn of(prediction: &str, references: &[&str]) -> f64 {
        ter(&[Segment::new(prediction, references.iter().copied())]).unwrap()
    }

    #[test]
    fn a_shift_is_one_edit() {
        assert_eq!(of("c d a b", &["a b c d"]), 0.25);
        assert_eq!(
            of(
                "THIS WEEK THE SAUDIS denied information published in the New York times",
                &[
                    "SAUDI ARABIA denied THIS WEEK information published in the AMERICAN new york times"
                ]
            ),
            4.0 / 13.0
        );
        assert_eq!(of("a b x", &["a b c", "a b c d e"]), 1.0 / 4.0);
        assert_eq!((of("", &["a b"]), of("a b", &[""]), of("", &[""])), (1.0, 1.0, 0.0));
        assert_eq!(of("a b c", &["x"]), 3.0);
        assert!(ter(&[]).is_err());
    }

    proptest! {
        /// No better than shifts allow, and never more than without them; 0 for a copy alone.
        #[test]
        fn shifts_save_edits(found in "[a-d]?( [a-d]){0,9}", wanted in "[a-d]( [a-d]){0,9}") {
            let list = |text: &str| words(text).map(str::to_owned).collect::<Vec<_>>();
            let (a, b) = (list(&found), list(&wanted));
            let edits = edit_count(&a, &b);
            prop_assert!(edits <= edit_distance(&a, &b));
            prop_assert_eq!(edits == 0, a == b);
            prop_assert!(edits >= a.len().abs_diff(b.len()));
        }
    }
}
