//! The text of new tokens: cut before a stop text, and printed bit by bit while it is generated.

use crate::token_text::TokenText;

/// The text that new tokens add to the tokens before them.
///
/// It is what stands behind the text before it when all tokens are decoded together, so it begins with a blank where
/// the first new token begins a word. The text before it is complete: bytes among the new tokens never join it.
#[derive(Clone, Debug)]
pub struct NewText<'a> {
    tokens: TokenText<'a>,
    context: Vec<u32>,
    /// The text of the context.
    before: String,
    stops: &'a [String],
}

impl<'a> NewText<'a> {
    /// The text after the tokens `before`, up to the first of `stops`.
    pub fn new(tokens: TokenText<'a>, before: &[u32], stops: &'a [String]) -> Self {
        let context = tokens.context(before);
        let before = match context.as_slice() {
            [] => String::new(),
            context => tokens.decode(context).unwrap_or_default(),
        };
        Self { tokens, context, before, stops }
    }

    /// All the text of new tokens; `None` if they are not text.
    pub fn whole(&self, new: &[u32]) -> Option<String> {
        let text = self.tokens.decode(&[&self.context, new].concat())?;
        let common = text.chars().zip(self.before.chars()).take_while(|(a, b)| a == b);
        let start = common.map(|(c, _)| c.len_utf8()).sum();
        Some(text[start..].to_string())
    }

    /// The text of new tokens before a stop text.
    pub fn cut(&self, new: &[u32]) -> Option<String> {
        let mut text = self.whole(new)?;
        if let Some(at) = self.stop_at(&text) {
            text.truncate(at);
        }
        Some(text)
    }

    /// Whether a stop text appears among new tokens.
    pub fn stops(&self, new: &[u32]) -> bool {
        !self.stops.is_empty() && self.whole(new).is_some_and(|text| self.stop_at(&text).is_some())
    }

    fn stop_at(&self, text: &str) -> Option<usize> {
        self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min()
    }

    /// The text of new tokens that later ones can neither change nor cut away.
    fn settled(&self, new: &[u32]) -> Option<String> {
        let mut text = self.whole(&new[..self.tokens.settled(new)])?;
        // An unfinished character decodes to replacement characters until its last byte is there.
        text.truncate(text.trim_end_matches('\u{fffd}').len());
        let begun = |stop: &String| {
            stop.char_indices()
                .map(|(at, _)| at)
                .filter(|at| text.ends_with(&stop[..*at]))
                .max()
                .unwrap_or(0)
        };
        let held_back = self.stops.iter().map(begun).max().unwrap_or(0);
        text.truncate(text.len() - held_back);
        Some(text)
    }
}

/// The text of a sequence while it is generated.
#[derive(Debug)]
pub struct TextStream<'a> {
    text: NewText<'a>,
    new: Vec<u32>,
    /// Bytes returned so far.
    shown: usize,
}

impl<'a> TextStream<'a> {
    /// A stream without tokens.
    pub fn new(text: NewText<'a>) -> Self {
        Self { text, new: Vec::new(), shown: 0 }
    }

    /// Adds a token and returns the text that can be shown now.
    pub fn push(&mut self, token: u32) -> String {
        self.new.push(token);
        let settled = match self.text.stops(&self.new) {
            true => self.text.cut(&self.new),
            false => self.text.settled(&self.new),
        };
        self.show(&settled.unwrap_or_default())
    }

    /// The text held back so far, at the end of the sequence.
    pub fn finish(&mut self) -> String {
        let text = self.text.cut(&self.new).unwrap_or_default();
        self.show(&text)
    }

    /// What `text` adds to the text returned so far.
    fn show(&mut self, text: &str) -> String {
        let Some(piece) = text.get(self.shown..) else { return String::new() };
        self.shown = text.len();
        piece.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tokenizers::Tokenizer;

    use super::*;

    /// A tokenizer of the pieces, behind the special token `<s>`, 0.
    fn tokenizer(decoder: Value, pieces: &[String]) -> Tokenizer {
        let special = json!({"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true});
        let all = ["<s>".to_string()].into_iter().chain(pieces.iter().cloned());
        let vocab: serde_json::Map<String, Value> =
            all.enumerate().map(|(id, piece)| (piece, id.into())).collect();
        let file = json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [special],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
            "model": {"type": "WordLevel", "unk_token": "<s>", "vocab": vocab}});
        Tokenizer::from_bytes(file.to_string()).unwrap()
    }

    fn pieces(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    /// Each byte is a token, and its id is 1 more.
    fn bytes() -> Tokenizer {
        let bytes: Vec<String> = (0..=255u8).map(|byte| format!("<0x{byte:02X}>")).collect();
        tokenizer(json!({"type": "ByteFallback"}), &bytes)
    }

    fn byte_ids(text: &str) -> Vec<u32> {
        text.bytes().map(|byte| u32::from(byte) + 1).collect()
    }

    /// Llama's decoder and Gemma's, GPT-2's, BERT's, T5's, the first GPT's, none, and one whose text changes
    /// afterwards.
    fn decoders() -> Vec<Tokenizer> {
        let blank = json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "});
        let fallback = json!({"type": "ByteFallback"});
        let fuse = json!({"type": "Fuse"});
        let strip = json!({"type": "Strip", "content": " ", "start": 1, "stop": 0});
        let sequence = |parts: &[&Value]| json!({"type": "Sequence", "decoders": parts});
        let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let word_piece = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        let clean = json!({"type": "Replace", "pattern": {"String": " ."}, "content": "."});
        let words =
            pieces(&["\u{2581}a", "b", "\u{2581}", "é", "\u{2581}é", ".", "\u{2581}.", "ab"]);
        let raw = [0x20, 0x41, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xff];
        let raw = raw.map(|byte: u8| format!("<0x{byte:02X}>"));
        let with_bytes = [words.clone(), raw.to_vec()].concat();
        // Letters of GPT-2's table: a blank, the bytes of é and of €, one that is never UTF-8.
        let letters = pieces(&["a", "Ġ", "Ġa", "Ã", "©", "â", "Ĥ", "¬", "ÿ", "âĤ", "."]);
        let plain = pieces(&["a", "##b", ".", "'", "##é", "s"]);
        let suffixed = pieces(&["a", "b</w>", "é</w>", "."]);
        vec![
            tokenizer(sequence(&[&blank, &fallback, &fuse, &strip]), &with_bytes),
            tokenizer(sequence(&[&blank, &fallback, &fuse]), &with_bytes),
            tokenizer(byte_level, &letters),
            tokenizer(word_piece, &plain),
            tokenizer(metaspace, &words),
            tokenizer(json!({"type": "BPEDecoder", "suffix": "</w>"}), &suffixed),
            tokenizer(Value::Null, &plain),
            tokenizer(sequence(&[&blank, &fallback, &fuse, &clean]), &with_bytes),
        ]
    }

    /// What is shown after each token, and at the end.
    fn shown(text: NewText<'_>, new: &[u32]) -> Vec<String> {
        let mut stream = TextStream::new(text);
        let mut shown: Vec<String> = new.iter().map(|token| stream.push(*token)).collect();
        shown.push(stream.finish());
        shown
    }

    fn shown_bytes(before: &str, text: &str, stops: &[&str]) -> Vec<String> {
        let (tokenizer, stops) = (bytes(), pieces(stops));
        let text_of = NewText::new(TokenText::new(&tokenizer), &byte_ids(before), &stops);
        shown(text_of, &byte_ids(text))
    }

    #[test]
    fn letters_come_as_they_are_made() {
        let tokenizer = &decoders()[2];
        // a, the bytes of é, and the first byte of a character that stays unfinished.
        let new = NewText::new(TokenText::new(tokenizer), &[1], &[]);
        assert_eq!(shown(new, &[1, 4, 5, 2, 6]), ["a", "", "é", " ", "", "\u{fffd}"]);
    }

    #[test]
    fn bytes_wait_until_their_run_has_ended() {
        let tokenizer = &decoders()[0];
        let (a, euro, stray) = (1, [13, 14, 15], 20);
        let text = |before: &[u32]| NewText::new(TokenText::new(tokenizer), before, &[]);
        let new = [&euro[..], &[a, euro[0], a]].concat();
        assert_eq!(shown(text(&[a]), &new), ["", "", "", "€ a", "", "\u{fffd} a", ""]);
        // One stray byte and the whole run is none.
        let new = [&euro[..], &[stray, a]].concat();
        assert_eq!(shown(text(&[a]), &new).concat(), format!("{} a", "\u{fffd}".repeat(4)));
        // The text before stays as it was given.
        assert_eq!(shown(text(&euro), &[stray, a]).concat(), "\u{fffd} a");
        assert_eq!(shown(text(&euro), &[a]).concat(), " a");
    }

    #[test]
    fn the_beginning_of_a_stop_text_is_held_back() {
        let tokenizer =
            tokenizer(json!({"type": "Fuse"}), &pieces(&["a", "b", "c", "\n", "Q", ":"]));
        let shown = |before: &[u32], new: &[u32], stop: &str| {
            let stops = pieces(&[stop]);
            shown(NewText::new(TokenText::new(&tokenizer), before, &stops), new)
        };
        assert_eq!(shown(&[1], &[1, 2, 4, 5], "\nQ:"), ["a", "b", "", "", "\nQ"]);
        assert_eq!(shown(&[1], &[1, 2, 4, 5, 6], "\nQ:"), ["a", "b", "", "", "", ""]);
        assert_eq!(shown(&[1], &[1, 1, 2], "aac"), ["", "", "aab", ""]);
        // A stop text begins after the given text.
        assert_eq!(shown(&[4], &[5, 6], "\nQ:"), ["Q", ":", ""]);
    }

    #[test]
    fn the_first_stop_text_cuts() {
        let tokenizer = bytes();
        let stops = pieces(&["x", "bc"]);
        let text = NewText::new(TokenText::new(&tokenizer), &[], &stops);
        assert_eq!(text.cut(&byte_ids("abcx")).unwrap(), "a");
        assert!(text.stops(&byte_ids("abc")));
        assert!(!text.stops(&byte_ids("ab")));
        assert_eq!(shown_bytes("", "abcx", &["x", "bc"]).concat(), "a");
    }

    #[test]
    fn blanks_at_the_beginning_stay_behind_a_text() {
        let [llama, metaspace] = [&decoders()[0], &decoders()[4]];
        for tokenizer in [llama, metaspace] {
            let of = |before: &[u32]| NewText::new(TokenText::new(tokenizer), before, &[]);
            assert_eq!(of(&[0, 1]).whole(&[1, 2]).unwrap(), " ab");
            assert_eq!(of(&[0]).whole(&[1, 2]).unwrap(), "ab", "the first word of a text");
        }
    }

    proptest! {
        /// What is shown piece by piece is the text as a whole, whatever the tokens, and the text before them stays.
        #[test]
        fn pieces_add_up_to_the_whole(
            before in prop::collection::vec(0u32..21, 0..5),
            new in prop::collection::vec(0u32..21, 0..14),
            stops in prop::collection::vec(prop::sample::select(vec!["ab", " a", ".", "é", "€", "\u{fffd}b"]), 0..3),
        ) {
            let stops = pieces(&stops);
            for tokenizer in decoders() {
                let known = |ids: &[u32]| -> Vec<u32> {
                    let size = tokenizer.get_vocab_size(true) as u32;
                    ids.iter().map(|id| id % size).collect()
                };
                let (before, new) = (known(&before), known(&new));
                let text = NewText::new(TokenText::new(&tokenizer), &before, &stops);
                // Generation ends with the token that completes a stop text.
                let end = (0..new.len()).find(|end| text.stops(&new[..=*end])).map_or(new.len(), |end| end + 1);
                let new = &new[..end];
                prop_assert_eq!(shown(text.clone(), new).concat(), text.cut(new).unwrap());
                // Where the decoder lets tokens stand side by side, this is what decoding all of them adds.
                let decode = |ids: &[u32]| TokenText::new(&tokenizer).decode(ids).unwrap();
                let all = decode(&[before.as_slice(), new].concat());
                let is_whole = !all.contains('\u{fffd}');
                if let Some(added) = all.strip_prefix(&decode(&before)).filter(|_| is_whole) {
                    prop_assert_eq!(text.whole(new).unwrap(), added);
                }
            }
        }
    }
}
