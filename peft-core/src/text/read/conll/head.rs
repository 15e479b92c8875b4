//! What the beginning of a CoNLL file says: whether it is one, and whether a line names its columns.

/// What begins a document.
pub const DOCUMENT: &str = "-DOCSTART-";

/// Whether the beginning of a file looks like CoNLL: lines of equally many columns, the last of them a tag such as
/// `O` or `B-PER`.
pub fn looks_like_conll(head: &str) -> bool {
    let mut count = None;
    let (mut outside, mut tabs) = (false, None);
    // Below the names of columns stands a table, unless blank lines separate sentences.
    let (mut header, mut separated) = (false, false);
    for line in whole_lines(head) {
        if line.trim().is_empty() {
            separated |= outside;
            continue;
        }
        let tabs = *tabs.get_or_insert_with(|| line.contains('\t'));
        let cells = cells(line, tabs);
        if count.is_none() && names_columns(&cells) {
            (count, header) = (Some(cells.len()), true);
            continue;
        }
        if cells[0] == DOCUMENT || (line.starts_with('#') && count != Some(cells.len())) {
            continue;
        }
        let last = cells[cells.len() - 1];
        if cells.len() < 2 || *count.get_or_insert(cells.len()) != cells.len() || !is_tag(last) {
            return false;
        }
        outside |= last == "O";
    }
    outside && (separated || !header)
}

/// The lines of the beginning of a file, the last of which may be cut off.
fn whole_lines(head: &str) -> impl Iterator<Item = &str> {
    let end = head.rfind('\n').map_or(head.len(), |end| end + 1);
    head[..end].lines()
}

/// What the first and the last column are called where a line names them.
const NAMES: (&[&str], &[&str]) = (
    &["token", "tokens", "word", "words", "form", "id", "idx", "index", "sentence", "sentence_id"],
    &[
        "tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "entity", "bio", "iob",
        "pos", "upos", "xpos",
    ],
);

/// What the column of words is called.
pub const WORDS: &[&str] = &["token", "tokens", "word", "words", "form"];

/// What a column is called that says to which sentence a word belongs.
pub const SENTENCES: &[&str] = &["sentence", "sentence_id", "sentence #"];

/// Whether the cells of a line are the names of columns.
fn names_columns(cells: &[&str]) -> bool {
    let is_one = |cell: Option<&&str>, names: &[&str]| {
        cell.is_some_and(|cell| {
            names.contains(&cell.trim().to_lowercase().replace([' ', '-'], "_").as_str())
        })
    };
    cells.len() > 1 && is_one(cells.first(), NAMES.0) && is_one(cells.last(), NAMES.1)
}

/// Whether a file that begins so has a line with the names of its columns in front: one that says so, or the only one
/// without a tag of a named entity.
pub fn has_header(head: &str) -> bool {
    let is_row = |line: &&str| {
        !line.trim().is_empty() && !line.starts_with(DOCUMENT) && !line.starts_with('#')
    };
    let mut rows = whole_lines(head).filter(is_row);
    let Some(first) = rows.next() else { return false };
    let first = cells(first, first.contains('\t'));
    let tags: Vec<&str> =
        rows.filter_map(|row| cells(row, row.contains('\t')).last().copied()).collect();
    let is_alone = first.last().is_some_and(|name| !is_tag(name))
        && tags.contains(&"O")
        // The only entity of the beginning may be the first word, without its place in it: `Mia PER`.
        && tags.iter().any(|tag| *tag != "O")
        && tags.iter().all(|tag| is_tag(tag));
    first.len() > 1 && (names_columns(&first) || is_alone)
}

/// The number of columns of the first line of the beginning of a file that begins neither a document nor a comment.
pub fn columns_of_words(head: &str) -> Option<usize> {
    let is_row = |line: &&str| {
        !line.trim().is_empty() && !line.starts_with(['#']) && !line.starts_with(DOCUMENT)
    };
    whole_lines(head).find(is_row).map(|line| cells(line, line.contains('\t')).len())
}

/// Whether a cell is a tag of a named entity, with its place in the entity.
pub fn is_tag(cell: &str) -> bool {
    let mut parts = cell.splitn(2, '-');
    let place = parts.next().unwrap_or_default();
    let kind = parts.next();
    cell == "O"
        || (place.len() == 1 && "BIESLUM".contains(place) && kind.is_some_and(|k| !k.is_empty()))
}

/// The cells of a line, between tabs or between blanks.
pub fn cells(line: &str, tabs: bool) -> Vec<&str> {
    if tabs { line.split('\t').collect() } else { line.split_ascii_whitespace().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_do_not_look_like_it() {
        assert!(looks_like_conll("Mia B-PER\nis O\n"));
        assert!(looks_like_conll("a\tO\nb\tB-X\nc\tB-"));
        for other in
            ["", "text\tlabel\na\tO\n", "the sea\nis blue\n", "the sea O\nis O\n", "a B-X\nb I-X\n"]
        {
            assert!(!looks_like_conll(other), "{other}");
        }
    }
}
