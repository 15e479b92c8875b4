//! CoNLL files: a word and its tags per line, sentences separated by blank lines.
//!
//! ```text
//! -DOCSTART- -X- -X- O
//!
//! Mia NNP B-NP B-PER
//! lives VBZ B-VP O
//! ```
//!
//! Columns are separated by tabs if the first line has one, else by blanks. A sentence is a record: `tokens`, the
//! first column, `tags`, the last one, and each column by its number, counted from 1; or each column by the name that
//! [`ReadOptions::columns`] gives it, and no other. Lines that begin a document, and comments in front of a sentence, are left
//! out, and so is a first line that names the columns. A last column that plainly holds no tags beside one that does is refused. Where the first column numbers the words, they are in the second. In [CoNLL-U] (ten columns, such words)
//! the tags are parts of speech, column 4, and the lines of contracted and of empty words are left out.
//!
//! [CoNLL-U]: https://universaldependencies.org/format.html

mod head;

use serde_json::{Map, Value};

pub(super) use head::looks_like_conll;
use head::{DOCUMENT, SENTENCES, WORDS, cells, columns_of_words, has_header, is_tag};

use super::{
    input::{Input, strip_end},
    options::{Notes, ReadOptions},
};
use crate::{
    error::{Error, Result},
    text::record::Record,
};

/// The columns of CoNLL-U, and the one with the parts of speech, counted from 0.
const UNIVERSAL: (usize, usize) = (10, 3);

/// The lines of a sentence, as cells, with the line of the first.
struct Sentence {
    line: usize,
    words: Vec<Vec<String>>,
}

/// Where in a file words and tags are, told from its first sentence; columns counted from 0.
#[derive(Clone, Copy, Debug)]
struct Layout {
    columns: usize,
    words: usize,
    tags: usize,
    universal: bool,
    /// Whether the first column numbers the words, and the line of the sentence that tells.
    numbered: (bool, usize),
}

/// The records of a CoNLL file, read one at a time.
pub(super) struct ConllRecords {
    input: Input,
    options: ReadOptions,
    tabs: Option<bool>,
    /// Whether a line with the names of the columns comes first.
    header: bool,
    /// The column of words by the header.
    words: Option<usize>,
    /// The number of columns that the first line seems to have that is no comment.
    expected: Option<usize>,
    /// The number of columns, and the first line that has them.
    columns: Option<(usize, usize)>,
    layout: Option<Layout>,
}

impl ConllRecords {
    /// The records of a file.
    pub fn new(input: Input, options: &ReadOptions) -> Self {
        let head = input.head();
        let head = String::from_utf8_lossy(&head);
        let (header, expected) = (has_header(&head), columns_of_words(&head));
        let options = options.clone();
        Self {
            input,
            options,
            tabs: None,
            header,
            words: None,
            expected,
            columns: None,
            layout: None,
        }
    }

    /// The next record, `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Data`] at the line of what is malformed,
    /// [`Error::Setting`] if the file has not as many columns as are named.
    pub fn next(&mut self, notes: &mut Notes) -> Result<Option<Record>> {
        let Some(sentence) = self.sentence(notes)? else { return Ok(None) };
        let layout = match self.layout {
            Some(layout) => layout,
            None => *self.layout.insert(self.layout_of(&sentence, notes)?),
        };
        self.check_numbers(&sentence, layout)?;
        let mut words = sentence.words;
        if layout.universal {
            words.retain(|cells| !cells[0].contains(['-', '.']));
        }
        let column = |index: usize| {
            Value::Array(words.iter().map(|cells| Value::String(cells[index].clone())).collect())
        };
        let mut fields = Map::new();
        // Names that are given say which columns these are.
        if self.options.columns.is_none() {
            fields.insert("tokens".to_owned(), column(layout.words));
            fields.insert("tags".to_owned(), column(layout.tags));
        }
        for index in 0..layout.columns {
            match &self.options.columns {
                Some(names) if names[index].is_empty() => {}
                Some(names) => _ = fields.insert(names[index].clone(), column(index)),
                None if layout.columns > 2 => {
                    fields.insert((index + 1).to_string(), column(index));
                }
                None => {}
            }
        }
        Ok(Some(Record::new(self.input.path.clone(), sentence.line, fields)))
    }

    /// The next sentence, `None` at the end of the file.
    fn sentence(&mut self, notes: &mut Notes) -> Result<Option<Sentence>> {
        let mut sentence: Option<Sentence> = None;
        loop {
            let (line, mut row) = (self.input.line, String::new());
            if !self.input.read_line(&mut row)? {
                return Ok(sentence);
            }
            strip_end(&mut row);
            if row.trim().is_empty() || row.starts_with(DOCUMENT) {
                match sentence {
                    Some(_) => return Ok(sentence),
                    None => continue,
                }
            }
            let tabs = *self.tabs.get_or_insert_with(|| row.contains('\t'));
            let cells = cells(&row, tabs);
            if sentence.is_none() && self.is_comment(&row, cells.len()) {
                // A comment does not tell how columns are separated.
                self.tabs = self.columns.and(self.tabs);
                continue;
            }
            if std::mem::take(&mut self.header) {
                let (path, names) = (self.input.path.display(), cells.join(", "));
                let place = |known: &[&str]| {
                    cells.iter().position(|cell| known.contains(&&*cell.trim().to_lowercase()))
                };
                if place(SENTENCES) == Some(0) {
                    let message = format!(
                        "the first column is called {}, but sentences are separated by blank lines here: write them so, \
                         or as JSON Lines with `tokens` and `tags`",
                        cells[0]
                    );
                    return Err(Error::data(&self.input.path, line, message));
                }
                self.words = place(WORDS);
                notes.say(format!("line {line} of {path} is its header: {names}"));
                continue;
            }
            let (columns, first) = *self.columns.get_or_insert((cells.len(), line));
            if cells.len() < 2 || cells.len() != columns {
                let expected = match first == line {
                    true => "a word and its tag, separated by a blank or a tab".to_owned(),
                    false => format!("{columns} as on line {first}"),
                };
                let message = format!("found {} columns, expected {expected}", cells.len());
                return Err(Error::data(&self.input.path, line, message));
            }
            let cells = cells.into_iter().map(str::to_owned).collect();
            sentence.get_or_insert(Sentence { line, words: Vec::new() }).words.push(cells);
        }
    }

    /// Whether a line in front of a sentence is a comment: it has other columns than words have, or the form that
    /// comments have.
    fn is_comment(&self, row: &str, columns: usize) -> bool {
        let Some(rest) = row.strip_prefix('#') else { return false };
        let of_words = match self.columns {
            Some((expected, _)) => expected == columns,
            // `#Mia B-PER` may be the first word.
            None => {
                let last =
                    cells(row, self.tabs == Some(true)).last().is_some_and(|cell| is_tag(cell));
                last && self.expected == Some(columns)
            }
        };
        let rest = rest.trim_start();
        let forms = ["id ", "newdoc", "newpar", "begin ", "end "];
        let named = rest.contains(" = ") || forms.iter().any(|form| rest.starts_with(form));
        named || !of_words
    }

    /// Refuses a sentence whose first column is another thing than that of the first sentence.
    fn check_numbers(&self, sentence: &Sentence, layout: Layout) -> Result<()> {
        let (numbered, first) = layout.numbered;
        if !numbered && self.options.columns.is_none() && is_numbered(sentence) {
            let message = format!(
                "the first column numbers the words, but not those of the sentence on line {first}: name the columns with \
                 `columns`"
            );
            return Err(Error::data(&self.input.path, sentence.line, message));
        }
        // Names that are given say what each column is.
        match sentence.words.iter().find(|cells| !is_number(&cells[0])) {
            Some(cells) if numbered && self.options.columns.is_none() => {
                let message = format!(
                    "found `{}` in the first column, which numbers the words of the sentence on line {first}: name the \
                     columns with `columns`",
                    cells[0]
                );
                Err(Error::data(&self.input.path, sentence.line, message))
            }
            _ => Ok(()),
        }
    }

    fn layout_of(&self, sentence: &Sentence, notes: &mut Notes) -> Result<Layout> {
        let columns = sentence.words[0].len();
        let numbered = is_numbered(sentence);
        let universal = numbered && columns == UNIVERSAL.0;
        let layout = Layout {
            columns,
            words: self.words.filter(|words| words + 1 < columns).unwrap_or(usize::from(numbered)),
            tags: if universal { UNIVERSAL.1 } else { columns - 1 },
            universal,
            numbered: (numbered, sentence.line),
        };
        let path = self.input.path.display();
        if let Some(names) = self.options.columns.as_ref().filter(|names| names.len() != columns) {
            let (found, line) = (names.len(), sentence.line);
            let message = format!(
                "found {found} names ({}), but line {line} of {path} has {columns} columns",
                names.join(", ")
            );
            return Err(Error::setting("columns", message));
        }
        self.options.say_remembered(&self.input.path, notes);
        if self.options.columns.is_none()
            && let Some(what) = no_words(sentence, layout)
        {
            let message = format!(
                "column {} would be the words, but {what}: name the columns with `columns`, as in {}tokens,tags; one \
                 without a name is not read",
                layout.words + 1,
                ",".repeat(columns.saturating_sub(2))
            );
            return Err(Error::data(&self.input.path, sentence.line, message));
        }
        if self.options.columns.is_none()
            && let Some((what, other)) = no_tags(sentence, layout)
        {
            let message = format!(
                "column {columns} would be the tags, but {what}, and column {} holds tags: name the columns with `columns`, \
                 as in {}",
                other + 1,
                names(layout.words, other, columns)
            );
            return Err(Error::data(&self.input.path, sentence.line, message));
        }
        if columns > 2 && self.options.columns.is_none() {
            let (words, tags) = (layout.words + 1, layout.tags + 1);
            notes.say(format!(
                "{path}: the words are column {words} of {columns}, the tags column {tags}; `columns` names others"
            ));
        }
        Ok(layout)
    }
}

/// Why the column of a sentence that would be its words holds none, where that is plain.
fn no_words(sentence: &Sentence, layout: Layout) -> Option<String> {
    let column = |index: usize| sentence.words.iter().map(move |cells| cells[index].as_str());
    let words = || column(layout.words);
    let first = words().next()?;
    let beside = layout.columns > 2 && sentence.words.len() > 1;
    let same = beside && words().all(|word| word == first);
    // As the name of a document is; a word may come three times.
    let is_name = || sentence.words.len() > 3 || first.contains(['.', '/', '_', ':']);
    if words().any(str::is_empty) {
        return Some("a cell of it is empty".to_owned());
    }
    if words().all(is_tag) && !column(layout.tags).all(is_tag) {
        return Some(format!("holds tags (`{first}`), and the last column none"));
    }
    if same && is_name() {
        return Some(format!("all words of the sentence are `{first}`"));
    }
    let is_offset = |cell: &str| cell.parse::<f64>().is_ok();
    (beside && words().all(is_offset)).then(|| format!("holds numbers (`{first}`)"))
}

/// Why the last column of a sentence holds no tags, where that is plain and another column holds some, which is given.
fn no_tags(sentence: &Sentence, layout: Layout) -> Option<(String, usize)> {
    let column = |index: usize| sentence.words.iter().map(move |cells| cells[index].as_str());
    let first = column(layout.tags).next().filter(|_| !layout.universal)?;
    let tags = (layout.words + 1..layout.tags).rev().find(|index| column(*index).all(is_tag))?;
    if column(layout.tags).all(|cell| cell.parse::<f64>().is_ok()) {
        return Some((format!("holds numbers (`{first}`)"), tags));
    }
    let is_nothing = |cell: &str| cell.bytes().all(|byte| matches!(byte, b'_' | b'-' | b'*'));
    column(layout.tags).all(is_nothing).then(|| (format!("holds nothing (`{first}`)"), tags))
}

/// The names of columns of which the words and the tags are read.
fn names(words: usize, tags: usize, columns: usize) -> String {
    let name = |index| match index {
        _ if index == words => "tokens",
        _ if index == tags => "tags",
        _ => "",
    };
    (0..columns).map(name).collect::<Vec<_>>().join(",")
}

/// Whether a cell is the number of a word, of several (`1-2`) or of one that is not written (`1.1`).
fn is_number(cell: &str) -> bool {
    cell.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

/// Whether the first column numbers the words, all of them: `Chelsea 0 Arsenal 1` are words.
fn is_numbered(sentence: &Sentence) -> bool {
    let columns = sentence.words[0].len();
    let numbers: Vec<usize> =
        sentence.words.iter().filter_map(|cells| cells[0].parse().ok()).collect();
    columns > 2
        && sentence.words.iter().all(|cells| is_number(&cells[0]))
        && numbers.len() > usize::from(columns < UNIVERSAL.0)
        && numbers[0] < 2
        && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::records::tests::{failure, lines, notes, read, read_with};
    use super::*;
    use serde_json::json;

    const CONLL: &str = "-DOCSTART- -X- -X- O\n\nMia NNP B-NP B-PER\nlives VBZ B-VP O\n\n\n# NN B-NP O\nsea NN I-NP O";

    #[test]
    fn sentences_become_tokens_and_tags() {
        let records = read("a.conll", CONLL).unwrap();
        assert_eq!(lines(&records), [3, 7]);
        assert_eq!(records[0].strings("tokens").unwrap(), ["Mia", "lives"]);
        assert_eq!(records[0].strings("tags").unwrap(), ["B-PER", "O"]);
        assert_eq!(records[0].strings("2").unwrap(), ["NNP", "VBZ"]);
        assert_eq!(records[1].strings("tokens").unwrap(), ["#", "sea"]);
        let (_, said) = notes("a.conll", CONLL, &ReadOptions::default());
        assert!(
            said[0].ends_with(
                "the words are column 1 of 4, the tags column 4; `columns` names others"
            ),
            "{said:?}"
        );
    }

    #[test]
    fn two_columns_of_any_name_separator_and_line_end_are_one() {
        for (name, text) in [
            ("a.txt", "Mia B-PER\nlives O\n\nsea O\n"),
            ("a", "Mia\tB-PER\r\nlives\tO\r\n\r\nsea\tO\r\n\r\n"),
            ("a.tsv", "\nMia\tB-PER\nlives\tO\n\nsea\tO"),
            ("a.bio", "Mia  B-PER \nlives O\n   \nsea O"),
            ("a.txt", "# id 12 domain=en\nMia B-PER\nlives O\n\n# text = sea\nsea O"),
        ] {
            let records = read(name, text).unwrap();
            let fields: Vec<_> = records.iter().map(|record| json!(record.fields)).collect();
            let expected = json!([{"tokens": ["Mia", "lives"], "tags": ["B-PER", "O"]},
                {"tokens": ["sea"], "tags": ["O"]}]);
            assert_eq!(json!(fields), expected, "{text}");
        }
        // A word may have blanks where tabs separate.
        assert_eq!(
            read("a.conll", "New York\tB-LOC\n").unwrap()[0].strings("tokens").unwrap(),
            ["New York"]
        );
    }

    #[test]
    fn a_line_that_names_the_columns_is_no_word() {
        for (name, text) in [
            ("a.iob2", "Token\tTag\nMia\tB-PER\nlives\tO\n\nsea\tO\n"),
            ("a.conll", "-DOCSTART- O\n\nWord NER\n\nMia B-PER\nlives O\n\nsea O\n"),
            ("a.conll", "Wort Art\nMia B-PER\nlives O\n\nsea O\n"),
            ("a.tsv", "word\tlabel\nMia\tB-PER\nlives\tO\n\nsea\tO\n"),
        ] {
            let (records, said) = notes(name, text, &ReadOptions::default());
            let records = records.unwrap();
            assert_eq!(records[0].strings("tokens").unwrap(), ["Mia", "lives"], "{text}");
            assert_eq!(records[1].strings("tags").unwrap(), ["O"]);
            assert!(said[0].contains("is its header: "), "{said:?}");
        }
        let (records, said) = notes(
            "a.conll",
            "id word ner\n7 Mia B-PER\n9 runs O\n\n4 sea O\n",
            &ReadOptions::default(),
        );
        assert_eq!(records.unwrap()[0].strings("tokens").unwrap(), ["Mia", "runs"], "{said:?}");
        let error = failure(
            "a.conll",
            "sentence_id\twords\tlabels\n0\tMia\tB-PER\n0\truns\tO\n1\tsea\tO\n",
        );
        assert!(
            error.starts_with(", line 1: the first column is called sentence_id, but"),
            "{error}"
        );
        // A table, whatever it is read for.
        let table = read("a.tsv", "sentence_id\tword\tner\n0\tMia\tB-PER\n0\truns\tO\n1\tsea\tO\n")
            .unwrap();
        assert_eq!((table.len(), table[1].text("word").unwrap()), (3, "runs"));
        // The first word may be the only entity, or begin as a comment does.
        for (text, first) in [
            ("John PER\nruns O\n\nsea O\n", "John"),
            ("#Trump B-PER\nruns O\n\nsea O\n", "#Trump"),
            ("#Trump\tB-PER\nruns\tO\n", "#Trump"),
        ] {
            assert_eq!(
                read("a.conll", text).unwrap()[0].strings("tokens").unwrap(),
                [first, "runs"],
                "{text}"
            );
        }
        let comment = "# O my\n#made by\nMia B-PER\n";
        assert_eq!(read("a.conll", comment).unwrap()[0].strings("tokens").unwrap(), ["Mia"]);
        let tagged = "The DT\nsea NN\n\nis VBZ\n";
        assert_eq!(read("a.conll", tagged).unwrap()[0].strings("tokens").unwrap(), ["The", "sea"]);
        let late = "Mia B-PER\nword tag\n";
        assert_eq!(read("a.conll", late).unwrap()[0].strings("tokens").unwrap(), ["Mia", "word"]);
    }

    #[test]
    fn results_of_matches_are_no_numbers_of_words() {
        let text = "Mia N X B-PER\n\nChelsea N X B-ORG\n0 C X O\nArsenal N X B-ORG\n1 C X O\n";
        assert_eq!(read("a.conll", text).unwrap().len(), 2);
        let first = text.split_once("\n\n").unwrap().1;
        let words = ["Chelsea", "0", "Arsenal", "1"];
        assert_eq!(read("a.conll", first).unwrap()[0].strings("tokens").unwrap(), words);
    }

    #[test]
    fn numbered_words_are_in_the_second_column() {
        let text = "# source\n1\tAm\tO\tO\n2\tMeer\tB-LOC\tO\n\n1\tDa\tO\tO\n";
        let records = read("a.conll", text).unwrap();
        assert_eq!(records[0].strings("tokens").unwrap(), ["Am", "Meer"]);
        assert_eq!(records[0].strings("3").unwrap(), ["O", "B-LOC"]);
        for (text, says) in [
            (
                "1 Am O O\n2 Meer B-LOC O\n\nMia B-PER O O\n",
                "line 4: found `Mia` in the first column, which",
            ),
            (
                "1 Da O O\n\n1 Am O O\n2 Meer B-LOC O\n",
                "line 3: the first column numbers the words, but not",
            ),
        ] {
            let error = failure("a.conll", text);
            assert!(error.contains(says) && error.contains("`columns`"), "{error}");
        }
        let universal = "# text = al mar\n1-2\tal\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tADP\t_\t_\t3\tcase\t_\t_\n\
                         2\tel\tel\tDET\t_\t_\t3\tdet\t_\t_\n3\tmar\tmar\tNOUN\t_\t_\t0\troot\t_\t_\n";
        let records = read("a.conllu", universal).unwrap();
        assert_eq!(records[0].strings("tokens").unwrap(), ["a", "el", "mar"]);
        assert_eq!(records[0].strings("tags").unwrap(), ["ADP", "DET", "NOUN"]);
    }

    #[test]
    fn columns_may_be_named() {
        let options = |names: &str| ReadOptions {
            columns: Some(names.split(',').map(str::to_owned).collect()),
            ..ReadOptions::default()
        };
        let records = read_with("a.conll", CONLL, &options("tokens,tags,,ner")).unwrap();
        assert_eq!(records[0].strings("tags").unwrap(), ["NNP", "VBZ"]);
        assert_eq!(records[0].strings("ner").unwrap(), ["B-PER", "O"]);
        assert!(!records[0].has("3"));
        // No other column is taken for the words or the tags.
        let records = read_with("a.conll", CONLL, &options("words,pos_tags,,ner_tags")).unwrap();
        assert!(!records[0].has("tokens") && !records[0].has("tags"));
        let error = read_with("a.conll", CONLL, &options("a,b")).unwrap_err().to_string();
        assert!(error.ends_with("a.conll has 4 columns"), "{error}");
    }

    #[test]
    fn lines_of_other_columns_are_refused() {
        assert_eq!(
            failure("a.conll", "Mia NNP B-PER\n\nsea O\n"),
            ", line 3: found 2 columns, expected 3 as on line 1"
        );
        assert_eq!(
            failure("a.conll", "Mia\n"),
            ", line 1: found 1 columns, expected a word and its tag, separated by a blank or a tab"
        );
        assert_eq!(failure("a.conll", "\n-DOCSTART- O\n\n"), ": holds no records");
    }

    #[test]
    fn what_is_plainly_no_tag_is_refused_where_another_column_is() {
        for (text, says) in [
            (
                "Mia B-PER 0.98\nruns O 1\n",
                "line 1: column 3 would be the tags, but holds numbers (`0.98`), and column 2 holds tags: name the columns \
                 with `columns`, as in tokens,tags,",
            ),
            (
                "1 Mia NNP B-PER _ _\n2 runs VBZ O _ -\n",
                "holds nothing (`_`), and column 4 holds tags: name the columns with `columns`, as in ,tokens,,tags,,",
            ),
        ] {
            let error = failure("a.conll", text);
            assert!(error.ends_with(says), "{error}");
        }
        let columns = Some(["tokens", "tags", ""].map(str::to_owned).to_vec());
        let options = ReadOptions { columns, ..ReadOptions::default() };
        let records = read_with("a.conll", "Mia B-PER 0.98\nruns O 1\n", &options).unwrap();
        assert_eq!(records[0].strings("tags").unwrap(), ["B-PER", "O"]);
        // Parts of speech behind chunks, and numbers of classes behind what is no tag.
        for text in
            ["Mia B-NP NNP\nruns O VBZ\n", "Mia NNP 1\nruns VBZ 0\n", "Mia B-NP O\nruns O O\n"]
        {
            assert_eq!(read("a.conll", text).unwrap().len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_plainly_no_word_is_refused() {
        for (text, says) in [
            (
                "B-Rating\tgood\nO\tfilm\n",
                "line 1: column 1 would be the words, but holds tags (`B-Rating`)",
            ),
            (
                "doc1.txt 1 EU B-ORG\ndoc1.txt 2 rejects O\n",
                "all words of the sentence are `doc1.txt`",
            ),
            (
                "bc 0 0 a NN O\nbc 0 1 b NN O\nbc 0 2 c NN O\nbc 0 3 d NN O\n",
                "are `bc`: name the columns",
            ),
            (
                "0\t2\tEU\tB-ORG\n3\t10\trejects\tO\n",
                "holds numbers (`0`): name the columns with `columns`, as in ,,tokens",
            ),
            ("Sentence: 1\tThousands\tNNS\tO\n\tof\tIN\tO\n", "a cell of it is empty"),
        ] {
            let error = failure("a.conll", text);
            assert!(error.contains(says), "{error}");
        }
        for text in ["ha NN O\nha NN O\nha NN O\n", "1 O\n2 O\n", "O O\nB-52 O\n", "O B-PER\n"] {
            assert_eq!(read("a.conll", text).unwrap().len(), 1, "{text}");
        }
    }
}
