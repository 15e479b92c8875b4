//! The text of new tokens: cut before a stop text, and printed bit by bit while it is generated.

/// Turns ids into text without special tokens; `None` if they are not text.
type Decode<'a> = dyn Fn(&[u32]) -> Option<String> + 'a;

/// The text that new tokens add to the tokens before them.
pub struct NewText<'a> {
    decode: Box<Decode<'a>>,
    before: Vec<u32>,
    /// Bytes of the text before the new tokens.
    start: usize,
    stops: &'a [String],
}

impl std::fmt::Debug for NewText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewText")
            .field("before", &self.before)
            .field("stops", &self.stops)
            .finish_non_exhaustive()
    }
}

impl<'a> NewText<'a> {
    /// The text after the tokens `before`, up to the first of `stops`.
    pub fn new(
        decode: impl Fn(&[u32]) -> Option<String> + 'a,
        before: &[u32],
        stops: &'a [String],
    ) -> Self {
        let start = if before.is_empty() { 0 } else { decode(before).map_or(0, |text| text.len()) };
        Self { decode: Box::new(decode), before: before.to_vec(), start, stops }
    }

    /// All the text of new tokens. They are decoded together with those before them, on which their text
    /// depends.
    pub fn whole(&self, new: &[u32]) -> Option<String> {
        let text = (self.decode)(&[&self.before, new].concat())?;
        Some(text.get(self.start..).unwrap_or_default().to_string())
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

    /// Bytes of `text` that later tokens cannot change or cut away.
    fn settled(&self, text: &str) -> usize {
        // An unfinished character decodes to replacement characters until its last byte is there.
        let whole = text.trim_end_matches('\u{fffd}');
        let begun = |stop: &String| {
            stop.char_indices()
                .map(|(at, _)| at)
                .filter(|at| whole.ends_with(&stop[..*at]))
                .max()
                .unwrap_or(0)
        };
        whole.len() - self.stops.iter().map(begun).max().unwrap_or(0)
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
        let Some(text) = self.text.whole(&self.new) else { return String::new() };
        let end = self.text.stop_at(&text).unwrap_or_else(|| self.text.settled(&text));
        self.show(&text, end)
    }

    /// The text held back so far, at the end of the sequence.
    pub fn finish(&mut self) -> String {
        let text = self.text.cut(&self.new).unwrap_or_default();
        self.show(&text, text.len())
    }

    fn show(&mut self, text: &str, end: usize) -> String {
        let Some(piece) = text.get(self.shown..end) else { return String::new() };
        self.shown = end;
        piece.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Each token is a byte.
    fn bytes(ids: &[u32]) -> Option<String> {
        let bytes: Vec<u8> = ids.iter().map(|id| *id as u8).collect();
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn ids(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn pieces(before: &str, text: &str, stops: &[&str]) -> Vec<String> {
        let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
        let mut stream = TextStream::new(NewText::new(bytes, &ids(before), &stops));
        let mut pieces: Vec<String> =
            ids(text).into_iter().map(|token| stream.push(token)).collect();
        pieces.push(stream.finish());
        pieces
    }

    #[test]
    fn characters_come_whole() {
        let found = pieces("é", "aé😀", &[]);
        assert_eq!(found, ["a", "", "é", "", "", "", "😀", ""]);
        // What stays unfinished is shown as it is at the end.
        let stops = Vec::new();
        let mut stream = TextStream::new(NewText::new(bytes, &[], &stops));
        assert_eq!(stream.push(0xc3), "");
        assert_eq!(stream.finish(), "\u{fffd}");
    }

    #[test]
    fn the_beginning_of_a_stop_text_is_held_back() {
        assert_eq!(pieces("", "ab\nQ", &["\nQ:"]), ["a", "b", "", "", "\nQ"]);
        assert_eq!(pieces("", "ab\nQ:", &["\nQ:"]), ["a", "b", "", "", "", ""]);
        assert_eq!(pieces("", "aab", &["aac"]), ["", "", "aab", ""]);
        // A stop text begins after the given text.
        assert_eq!(pieces("\n", "Q:", &["\nQ:"]), ["Q", ":", ""]);
    }

    #[test]
    fn the_first_stop_text_cuts() {
        let stops = ["x".to_string(), "bc".to_string()];
        let text = NewText::new(bytes, &[], &stops);
        assert_eq!(text.cut(&ids("abcx")).unwrap(), "a");
        assert!(text.stops(&ids("abc")));
        assert!(!text.stops(&ids("ab")));
    }
}
