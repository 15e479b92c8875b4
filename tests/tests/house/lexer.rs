//! Rust source as tokens: enough to tell code from comments, strings and tests.

/// A piece of source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// An identifier or keyword.
    Word(String),
    /// A string literal, as it is written between its quotes.
    Text(String),
    /// A number, a character or a lifetime.
    Other,
    /// Any other character.
    Mark(char),
}

/// A token and its line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub token: Token,
    pub line: usize,
}

impl Placed {
    pub fn is(&self, mark: char) -> bool {
        self.token == Token::Mark(mark)
    }

    pub fn word(&self) -> Option<&str> {
        if let Token::Word(word) = &self.token { Some(word) } else { None }
    }

    pub fn text(&self) -> Option<&str> {
        if let Token::Text(text) = &self.token { Some(text) } else { None }
    }
}

/// The tokens of a file outside its tests.
pub fn code(source: &str) -> Vec<Placed> {
    without_tests(&lex(source))
}

/// All tokens; comments, doc comments among them, are left out.
pub fn lex(source: &str) -> Vec<Placed> {
    let source: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { source: &source, at: 0 };
    let (mut tokens, mut line, mut counted) = (Vec::new(), 1, 0);
    while lexer.at < source.len() {
        let start = lexer.at;
        let token = lexer.next();
        line += source[counted..start].iter().filter(|c| **c == '\n').count();
        counted = start;
        tokens.extend(token.map(|token| Placed { token, line }));
    }
    tokens
}

struct Lexer<'a> {
    source: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.source.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Moves on while `wanted` holds, and gives what was passed.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.at < self.source.len() && wanted(self.source[self.at]) {
            self.at += 1;
        }
        self.source[start..self.at].iter().collect()
    }

    /// The token that begins here, if one does. Always moves on.
    fn next(&mut self) -> Option<Token> {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => {
                self.take_while(|c| c != '\n');
                None
            }
            ('/', '*') => {
                self.block_comment();
                None
            }
            ('"', _) => Some(self.string()),
            ('\'', _) => Some(self.quote()),
            (c, _) if c.is_whitespace() => {
                self.at += 1;
                None
            }
            (c, _) if c.is_ascii_digit() => {
                self.take_while(is_word);
                Some(Token::Other)
            }
            (c, _) if is_word(c) => Some(self.word()),
            (c, _) => {
                self.at += 1;
                Some(Token::Mark(c))
            }
        }
    }

    /// Comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.source.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) -> Token {
        self.at += 1;
        let start = self.at;
        while self.at < self.source.len() && self.peek(0) != '"' {
            self.at += if self.peek(0) == '\\' { 2 } else { 1 };
        }
        let end = self.at.min(self.source.len());
        self.at = end + 1;
        Token::Text(self.source[start..end].iter().collect())
    }

    /// `"..."` between as many `#` as stand before it.
    fn raw_string(&mut self) -> Token {
        let hashes = self.take_while(|c| c == '#').len();
        self.at += 1;
        let start = self.at;
        let closes = |at: usize| {
            let behind = self.source[at + 1..].iter().take(hashes);
            self.source[at] == '"' && behind.filter(|c| **c == '#').count() == hashes
        };
        let end = (start..self.source.len()).find(|at| closes(*at)).unwrap_or(self.source.len());
        self.at = end + 1 + hashes;
        Token::Text(self.source[start..end].iter().collect())
    }

    /// A character or a lifetime: only a character has a second quote right behind it.
    fn quote(&mut self) -> Token {
        if self.peek(1) == '\\' {
            self.at += 3;
            self.take_while(|c| c != '\'');
            self.at += 1;
        } else if self.peek(2) == '\'' {
            self.at += 3;
        } else {
            self.at += 1;
            self.take_while(is_word);
        }
        Token::Other
    }

    /// A word, or the literal or raw identifier that its first letters introduce.
    fn word(&mut self) -> Token {
        let word = self.take_while(is_word);
        let hashes = self.source[self.at.min(self.source.len())..].iter();
        let hashes = hashes.take_while(|c| **c == '#').count();
        match word.as_str() {
            "r" | "br" | "cr" if self.peek(hashes) == '"' => self.raw_string(),
            "b" | "c" if self.peek(0) == '"' => self.string(),
            "b" if self.peek(0) == '\'' => self.quote(),
            "r" if self.peek(0) == '#' && is_word(self.peek(1)) => {
                self.at += 1;
                Token::Word(self.take_while(is_word))
            }
            _ => Token::Word(word),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Leaves out what `#[cfg(test)]` and `#[test]` stand before.
pub fn without_tests(tokens: &[Placed]) -> Vec<Placed> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match attribute_end(tokens, at) {
            Some(end) if is_for_tests(&tokens[at..end]) => at = item_end(tokens, end),
            _ => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// Behind the attribute `#[...]` that begins here.
fn attribute_end(tokens: &[Placed], at: usize) -> Option<usize> {
    let begins = tokens.get(at)?.is('#') && tokens.get(at + 1)?.is('[');
    begins.then(|| closing(tokens, at + 1) + 1)
}

/// `#[test]`, `#[cfg(test)]` and `#[cfg(all(test, ...))]`.
fn is_for_tests(attribute: &[Placed]) -> bool {
    let words: Vec<&str> = attribute.iter().filter_map(Placed::word).collect();
    matches!(words[..], ["test"] | ["cfg", "test", ..] | ["cfg", "all", "test", ..])
}

/// Behind the item that begins here: its block or its semicolon.
fn item_end(tokens: &[Placed], mut at: usize) -> usize {
    while let Some(end) = attribute_end(tokens, at) {
        at = end;
    }
    while at < tokens.len() {
        match tokens[at].token {
            Token::Mark('{') => return closing(tokens, at) + 1,
            Token::Mark('(' | '[') => at = closing(tokens, at),
            Token::Mark(';') => return at + 1,
            // The end of what surrounds it.
            Token::Mark('}') => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Where the bracket that opens here is closed; the last token where it never is.
pub fn closing(tokens: &[Placed], open: usize) -> usize {
    let mut depth = 0;
    for (at, placed) in tokens.iter().enumerate().skip(open) {
        match placed.token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and marks as they are, texts in quotes, others as `_`.
    fn shown(tokens: &[Placed]) -> String {
        let one = |placed: &Placed| match &placed.token {
            Token::Word(word) => word.clone(),
            Token::Text(text) => format!("\"{text}\""),
            Token::Other => "_".to_string(),
            Token::Mark(mark) => mark.to_string(),
        };
        tokens.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_no_tokens() {
        let source = "a // crate::b\n/// [`crate::c`]\n/* d /* e */ f */ g /**/ h";
        assert_eq!(shown(&lex(source)), "a g h");
    }

    #[test]
    fn strings_of_all_kinds_are_texts() {
        let source = r####"f("a \" // b", r"\", r#"c " d"#, br##"e"#"##, b"g", c"h") i"####;
        let expected = r####"f ( "a \" // b" , "\" , "c " d" , "e"#" , "g" , "h" ) i"####;
        assert_eq!(shown(&lex(source)), expected);
    }

    #[test]
    fn characters_are_not_lifetimes() {
        let source = r"'a' '\'' '\n' '\u{2014}' b'x' '{' &'a T 'static 1.5e3 0x_ff r#type r";
        assert_eq!(shown(&lex(source)), "_ _ _ _ _ _ & _ T _ _ . _ _ type r");
    }

    #[test]
    fn lines_are_counted_in_strings_and_comments_too() {
        let tokens = lex("a\n\"x\ny\" /* \n */ b\nc");
        let lines: Vec<usize> = tokens.iter().map(|placed| placed.line).collect();
        assert_eq!(lines, [1, 2, 4, 5]);
    }

    #[test]
    fn tests_are_left_out() {
        for (source, rest) in [
            ("a; #[cfg(test)] mod tests; b", "a ; b"),
            ("#[cfg(test)] #[allow(x)] mod tests { fn f() { {} } } b", "b"),
            ("#[test] fn f<A, B>(a: [u8; 2]) -> C { ; } b", "b"),
            ("{ a; #[cfg(test)] b() } c", "{ a ; } c"),
            ("#[cfg(all(test, feature = \"x\"))] use a::b; c", "c"),
            ("#[cfg(not(test))] a", "# [ cfg ( not ( test ) ) ] a"),
            ("#[cfg(feature = \"test\")] a", "# [ cfg ( feature = \"test\" ) ] a"),
        ] {
            assert_eq!(shown(&code(source)), rest, "{source}");
        }
    }
}
