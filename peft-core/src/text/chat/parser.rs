//! A place among the tokens of a tag.

use super::tokens::Token;

/// Expressions in expressions. Each takes some of the stack.
const MAX_DEPTH: usize = 100;

/// Reads the tokens of a tag, and writes them anew: expressions in `expressions`, their operands in `operands`.
pub(super) struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn new(tokens: &'t [Token]) -> Self {
        Self { tokens, at: 0, depth: 0 }
    }

    /// Goes past a token.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// The token behind the next one.
    pub(super) fn peek_second(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1)
    }

    pub(super) fn sees(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(found)) if *found == operator)
    }

    pub(super) fn sees_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if found == name)
    }

    pub(super) fn takes(&mut self, operator: &str) -> bool {
        let takes = self.sees(operator);
        self.at += usize::from(takes);
        takes
    }

    pub(super) fn takes_name(&mut self, name: &str) -> bool {
        let takes = self.sees_name(name);
        self.at += usize::from(takes);
        takes
    }

    pub(super) fn needs(&mut self, operator: &str) -> Result<(), String> {
        match self.takes(operator) {
            true => Ok(()),
            false => Err(format!("expected `{operator}`, {}", self.found())),
        }
    }

    pub(super) fn found(&self) -> String {
        match self.peek() {
            None => "found the end of the tag".to_owned(),
            Some(Token::Name(name)) => format!("found `{name}`"),
            Some(Token::Operator(operator)) => format!("found `{operator}`"),
            Some(Token::Text(text)) => format!("found the string {text:?}"),
            Some(Token::Integer(number)) => format!("found the number {number}"),
            Some(Token::Float(number)) => format!("found the number {number}"),
        }
    }

    pub(super) fn end(&self) -> Result<(), String> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(format!("expected the end of the tag, {}", self.found())),
        }
    }

    pub(super) fn name(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(format!("expected a name, {}", self.found())),
        }
    }

    /// Items with commas between them, up to and with a bracket.
    pub(super) fn separated(
        &mut self,
        end: &str,
        item: impl Fn(&mut Self) -> Result<String, String>,
    ) -> Result<Vec<String>, String> {
        let mut items = Vec::new();
        while !self.takes(end) {
            if !items.is_empty() {
                self.needs(",")?;
                if self.takes(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// What `parse` reads, one level deeper.
    pub(super) fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<String, String>,
    ) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("expressions within expressions, more than {MAX_DEPTH}"));
        }
        let written = parse(self);
        self.depth -= 1;
        written
    }
}
