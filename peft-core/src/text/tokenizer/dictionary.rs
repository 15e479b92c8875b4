//! PhoBERT and BERTweet: words between white space, fastBPE's pairs of characters (`bpe.codes`), and fairseq's dictionary
//! (`vocab.txt`), in which a piece that goes on ends in `@@`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
};

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::{
    afterwards::{MARK, SECOND, UNLISTED, UNLISTED_PIECES},
    class::Class,
    classes,
    definition::{BytePairs, TokenizerDefinition, TokenizerModel},
    finish::{Specials, set_template},
    python,
    settings::Settings,
    token::TokenSpec,
};
use crate::{
    error::{Error, Result},
    formats::read,
};

/// What the pairs have behind the last character of a word.
const END: &str = "</w>";
/// What the dictionary has behind a piece that goes on.
const GOES_ON: &str = "@@";

/// Builds the tokenizer from the dictionary and the pairs.
///
/// # Errors
/// [`Error::Read`] and [`Error::Data`] for files that cannot be read or are of another form, [`Error::Config`] for settings
/// that have no equal here.
pub(super) fn build(
    class: Class,
    [path, codes]: [&Path; 2],
    settings: &Settings,
) -> Result<(Tokenizer, Specials)> {
    if class == Class::Bertweet && settings.flag("normalization", false)? {
        let message = "found true: it rewrites tweets by rules of NLTK and the emoji package, which are not built here; \
                       give texts that are normalised already and set it to false, or rows of token ids (`input_ids`)";
        return Err(settings.error("normalization", message));
    }
    let specials = classes::specials(class, settings, None)?;
    let words = words(path, settings, &specials)?;
    let merges = merges(codes)?;
    let known = |word: &str| words.get(word).copied();
    let added = python::added_tokens(settings, &specials, Vec::new(), words.len(), known)?;
    let vocab = vocabulary(&words, &merges, &added, path)?;
    let unk_token = Some(specials.require("unk_token", settings)?.to_string());
    let end_of_word_suffix = Some(END.to_string());
    let pairs = BytePairs { vocab, merges, unk_token, end_of_word_suffix, ..BytePairs::default() };
    let mut definition = TokenizerDefinition::new(TokenizerModel::BytePairs(pairs));
    // A line break behind a word is its last character, which no pair has.
    let words = json!({"type": "Split", "pattern": {"Regex": format!("[^{}]+\n?", python::SPACES)},
        "behavior": "Removed", "invert": true});
    definition.pre_tokenizer = Some(TokenizerDefinition::part(words, path)?);
    definition.decoder = Some(TokenizerDefinition::part(decoder(&added), path)?);
    definition.added_tokens = python::for_library(&added);
    let mut tokenizer = definition.build(path)?;
    let token = |name| specials.require(name, settings);
    let (cls, sep) = (token("cls_token")?, token("sep_token")?);
    let single = [(cls, 0), ("$A", 0), (sep, 0)];
    let pair = [(cls, 0), ("$A", 0), (sep, 0), (sep, 0), ("$B", 0), (sep, 0)];
    set_template(&mut tokenizer, &single, &pair, path)?;
    Ok((tokenizer, specials))
}

/// The lines of a file, as Python reads them: without what follows the last line break only if there is nothing.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = read::text(path)?.replace("\r\n", "\n").replace('\r', "\n");
    Ok(text.split('\n').map(String::from).collect())
}

/// The words of the dictionary with their ids, behind four special tokens.
fn words(path: &Path, settings: &Settings, specials: &Specials) -> Result<HashMap<String, u32>> {
    let front = ["bos_token", "pad_token", "eos_token", "unk_token"];
    let mut words: HashMap<String, u32> = HashMap::new();
    for (id, name) in (0..).zip(front) {
        words.insert(specials.require(name, settings)?.to_string(), id);
    }
    let mut lines = lines(path)?;
    lines.pop_if(|line| line.is_empty());
    for (line, number) in lines.iter().zip(1..) {
        let line = line.trim_matches(python::is_space);
        let Some((word, _)) = line.rsplit_once(' ') else {
            let message =
                format!("found {line:?}, expected a word, a space and how often it occurs");
            return Err(Error::data(path, number, message));
        };
        // A word that is there twice has the id of the next one, too.
        let id = words.len() as u32;
        words.insert(word.to_string(), id);
    }
    Ok(words)
}

/// The pairs of `bpe.codes`: two pieces a line, and how often they occur.
fn merges(path: &Path) -> Result<Vec<(String, String)>> {
    let mut lines = lines(path)?;
    // transformers takes it for empty, whatever it is.
    lines.pop();
    let pair = |line: &String| {
        let parts = line.split(python::is_space).filter(|part| !part.is_empty());
        match parts.collect::<Vec<_>>()[..] {
            [left, right, _] => Some((left.to_string(), right.to_string())),
            // It reads these, and finds none of them in a text.
            _ => None,
        }
    };
    let pairs: Vec<(String, String)> = lines.iter().filter_map(pair).collect();
    if pairs.is_empty() && !lines.is_empty() {
        let message = "no line has two pieces and a count, which transformers expects (and `BertweetTokenizer` does not \
                       write): take the file of the original model";
        return Err(Error::file(path, message));
    }
    let within = |(left, right): &&(String, String)| {
        left.ends_with(END)
            || !right.ends_with(END) && [left.as_str(), right].concat().ends_with(END)
    };
    if let Some((left, right)) = pairs.iter().find(within) {
        let message = format!(
            "the pair {left:?}, {right:?} has {END} within a word, which is the mark of its end"
        );
        return Err(Error::file(path, message));
    }
    Ok(pairs)
}

/// The pieces that the library merges, with their ids: tokens that are added, pieces of the dictionary, and what the pairs
/// make beside them.
fn vocabulary(
    words: &HashMap<String, u32>,
    merges: &[(String, String)],
    added: &BTreeMap<u32, TokenSpec>,
    path: &Path,
) -> Result<HashMap<String, u32>> {
    let made: HashSet<String> =
        merges.iter().map(|(left, right)| [left.as_str(), right].concat()).collect();
    let mut vocab: HashMap<String, u32> =
        added.iter().map(|(id, token)| (token.content.clone(), *id)).collect();
    let mut owned: HashSet<u32> = added.keys().copied().collect();
    let mut ordered: Vec<(&String, u32)> = words.iter().map(|(word, id)| (word, *id)).collect();
    ordered.sort_unstable_by_key(|(word, id)| (*id, *word));
    for (word, id) in ordered {
        if added.get(&id).is_some_and(|token| token.content == *word) {
            continue;
        }
        let within = word.strip_suffix(GOES_ON).filter(|piece| !piece.is_empty()).map(String::from);
        let last = format!("{word}{END}");
        // What looks like a piece that goes on may be the end of a word, too.
        let last = (within.is_none() || made.contains(&last)).then_some(last);
        for piece in within.into_iter().chain(last) {
            let id = if owned.insert(id) { id } else { SECOND + id };
            if id >= SECOND && !owned.insert(id) || vocab.insert(piece, id).is_some() {
                let message = format!(
                    "{word:?} cannot be told from another of its words or of the added tokens"
                );
                return Err(Error::file(path, message));
            }
        }
    }
    let mut next = UNLISTED..;
    for (left, right) in merges {
        for piece in [left.clone(), right.clone(), [left.as_str(), right].concat()] {
            if !vocab.contains_key(&piece) {
                vocab.extend(next.next().map(|id| (piece, id)));
            }
        }
    }
    vocab.insert(MARK.to_string(), UNLISTED_PIECES);
    Ok(vocab)
}

/// Words with spaces between them, without the marks of pieces that go on.
fn decoder(added: &BTreeMap<u32, TokenSpec>) -> Value {
    let replace = |pattern: String, content: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content});
    let behind = |mark: &str| -> Vec<String> {
        let whole = |token: &TokenSpec| format!(r"({mark}\A{})", literal(&token.content));
        added.values().map(whole).collect()
    };
    let (is_added, is_not) = (behind("?<=").join("|"), behind("?<!").concat());
    let spaces = python::SPACES;
    json!({"type": "Sequence", "decoders": [
        // A piece that goes on is neither the end of a word nor an added token.
        replace(format!(r"(?<!{END})(?<=[\s\S]){is_not}\z"), &format!("{GOES_ON} ")),
        replace(format!(r"(?:{is_added})\z"), " "),
        replace(format!(r"{END}\z"), " "),
        {"type": "Fuse"},
        replace(r" \z".into(), ""),
        {"type": "Replace", "pattern": {"String": format!("{GOES_ON} ")}, "content": ""},
        replace(format!(r"\A[{spaces}]+|[{spaces}]+\z"), ""),
    ]})
}

/// An expression for a text.
fn literal(text: &str) -> String {
    text.chars().map(|c| format!(r"\x{{{:X}}}", u32::from(c))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use crate::text::tokenizer::ModelTokenizer;

    const VOCAB: &str = "ab 9\na@@ 8\nb@@ 7\nb 6\nc 5\nabc@@ 4\n@@ 3\n";
    const CODES: &str = "a b 9\nab c</w> 8\na b</w> 7\n";

    fn load(
        class: &str,
        [vocab, codes]: [&str; 2],
        settings: Value,
    ) -> crate::Result<ModelTokenizer> {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let mut all = json!({"tokenizer_class": class});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        write("tokenizer_config.json", &all.to_string());
        write("vocab.txt", vocab);
        write("bpe.codes", codes);
        ModelTokenizer::load(dir.path())
    }

    // The ids are those of PhobertTokenizer of transformers 5.23.
    #[test]
    fn pieces_are_looked_up_when_no_pair_is_left() {
        let loaded = load("PhobertTokenizer", [VOCAB, CODES], json!({})).unwrap();
        let ids = |text: &str| loaded.encode(text).unwrap().get_ids().to_vec();
        assert_eq!(ids("ab b"), [0, 4, 7, 2]);
        // `abc` is made by the pairs, and not in the dictionary; nor is `ab@@`.
        assert_eq!(ids("abc"), [0, 3, 2]);
        assert_eq!(ids("abb"), [0, 3, 7, 2]);
        assert_eq!(ids("ba x"), [0, 6, 3, 3, 2]);
        // A line break is the last character of the word in front of it.
        assert_eq!(ids("b\nb\n\n b"), [0, 6, 3, 6, 3, 7, 2]);
        assert_eq!(ids("b<mask>b"), [0, 7, 11, 7, 2]);
        let decode = |ids: &[u32]| loaded.tokenizer.decode(ids, true).unwrap();
        assert_eq!(decode(&[0, 6, 4, 7, 2]), "bab b");
        assert_eq!(decode(&[7, 6]), "b b@@");
    }

    #[test]
    fn files_of_another_form_are_refused() {
        let says = |files: [&str; 2], settings| {
            load("BertweetTokenizer", files, settings).unwrap_err().to_string()
        };
        let error = says(["ab 9\nb\n", CODES], json!({}));
        assert!(error.contains("vocab.txt, line 2: found \"b\", expected a word"), "{error}");
        let error = says([VOCAB, "a b\nab c</w>\n"], json!({}));
        assert!(error.contains("bpe.codes: no line has two pieces and a count"), "{error}");
        let error = says([VOCAB, "</w > 9\n"], json!({}));
        assert!(error.contains("has </w> within a word"), "{error}");
        let error = says([VOCAB, CODES], json!({"normalization": true}));
        assert!(error.contains("key `normalization`: found true: it rewrites tweets"), "{error}");
    }
}
