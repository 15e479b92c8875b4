//! The edit distance of translation edit rate: near the diagonal only, with the edits that it counts.

/// How far from the diagonal of the table distances are computed.
const BEAM: usize = 25;
/// No distance.
const NONE: u32 = u32::MAX / 2;

/// What turned a prediction's words so far into the reference's so far, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Keep,
    Substitute,
    Insert,
    Delete,
}

type Row = Vec<(u32, Edit)>;

/// The edits that turn words into those of a reference.
pub(super) struct Edits<'t> {
    words: Vec<String>,
    wanted: &'t [String],
    /// The least edits, and the last of them, for the first i words and the first j of the reference.
    rows: Vec<Row>,
}

/// Which words of a prediction and of a reference belong together.
pub(super) struct Alignment {
    /// For each word of the reference, the number of words of the prediction up to the one that is aligned with it.
    pub behind: Vec<usize>,
    /// Whether each word of the prediction is not that of the reference.
    pub found_errors: Vec<bool>,
    /// The same for each word of the reference.
    pub wanted_errors: Vec<bool>,
}

impl<'t> Edits<'t> {
    pub fn new(words: &[String], wanted: &'t [String]) -> Self {
        let first = (0..=wanted.len() as u32).map(|count| (count, Edit::Insert)).collect();
        let mut edits = Self { words: words.to_vec(), wanted, rows: vec![first] };
        for i in 1..=words.len() {
            let next = edits.row(words, i, &edits.rows[i - 1]);
            edits.rows.push(next);
        }
        edits
    }

    /// The number of edits.
    pub fn count(&self) -> usize {
        last(&self.rows[self.words.len()])
    }

    /// The number of edits for the same words in another order.
    pub fn count_of(&self, words: &[String]) -> usize {
        let same = words.iter().zip(&self.words).take_while(|(a, b)| a == b).count();
        let mut row: Option<Row> = None;
        for i in same + 1..=words.len() {
            row = Some(self.row(words, i, row.as_ref().unwrap_or(&self.rows[i - 1])));
        }
        last(row.as_ref().unwrap_or(&self.rows[same]))
    }

    /// The row for the first `i` words, from that for one less.
    fn row(&self, words: &[String], i: usize, before: &Row) -> Row {
        let length = self.wanted.len();
        let ratio = length as f64 / words.len() as f64;
        let beam = match (BEAM as f64) < ratio / 2.0 {
            true => (ratio / 2.0 + BEAM as f64).ceil() as usize,
            false => BEAM,
        };
        let diagonal = (i as f64 * ratio).floor() as usize;
        let start = diagonal.saturating_sub(beam);
        let end = if i == words.len() { length + 1 } else { (diagonal + beam).min(length + 1) };
        let mut row = vec![(NONE, Edit::Delete); length + 1];
        for j in start..end {
            if j == 0 {
                row[0] = (before[0].0 + 1, Edit::Delete);
                continue;
            }
            let kept = match words[i - 1] == self.wanted[j - 1] {
                true => (before[j - 1].0, Edit::Keep),
                false => (before[j - 1].0 + 1, Edit::Substitute),
            };
            for edit in [kept, (before[j].0 + 1, Edit::Delete), (row[j - 1].0 + 1, Edit::Insert)] {
                if edit.0 < row[j].0 {
                    row[j] = edit;
                }
            }
        }
        row
    }

    /// The words that the edits leave together.
    pub fn alignment(&self) -> Alignment {
        let (mut i, mut j) = (self.words.len(), self.wanted.len());
        let (mut behind, mut found_errors, mut wanted_errors) =
            (vec![0; j], vec![false; i], vec![false; j]);
        while i > 0 || j > 0 {
            let edit = match i {
                0 => Edit::Insert,
                _ if j == 0 => Edit::Delete,
                _ => self.rows[i][j].1,
            };
            if edit != Edit::Insert {
                found_errors[i - 1] = edit != Edit::Keep;
            }
            if edit != Edit::Delete {
                wanted_errors[j - 1] = edit != Edit::Keep;
                behind[j - 1] = i;
            }
            match edit {
                Edit::Insert => j -= 1,
                Edit::Delete => i -= 1,
                Edit::Keep | Edit::Substitute => (i, j) = (i - 1, j - 1),
            }
        }
        Alignment { behind, found_errors, wanted_errors }
    }
}

fn last(row: &Row) -> usize {
    row.last().map_or(0, |(count, _)| *count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_aligned_by_the_edits() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (words, wanted) = (list("a x b c"), list("a b d c e"));
        let edits = Edits::new(&words, &wanted);
        assert_eq!(edits.count(), 3);
        assert_eq!(edits.count_of(&list("a b x c")), 2);
        assert_eq!(edits.count_of(&words), 3);
        let alignment = edits.alignment();
        let errors = |of: &[bool]| of.iter().filter(|error| **error).count();
        assert_eq!(alignment.behind.len(), 5);
        assert_eq!((alignment.behind[0], alignment.behind[3]), (1, 4));
        assert!(!alignment.found_errors[0] && alignment.wanted_errors[4]);
        assert_eq!(errors(&alignment.found_errors).max(errors(&alignment.wanted_errors)), 3);
    }
}
