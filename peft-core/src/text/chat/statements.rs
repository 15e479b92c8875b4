//! The tags of Jinja, with their expressions written as minijinja computes them.

use super::{parser::Parser, tokens::Token};

/// Rewrites the code of `{{ ... }}`.
///
/// # Errors
/// What Jinja refuses too.
pub(super) fn printed(tokens: &[Token]) -> Result<String, String> {
    let mut parser = Parser::new(tokens);
    let written = parser.tuple(true)?;
    parser.end()?;
    Ok(written)
}

/// Rewrites the code of `{% ... %}`; `None` if it stays as it is.
///
/// # Errors
/// What Jinja refuses too, or what is not supported.
pub(super) fn statement(tokens: &[Token]) -> Result<Option<String>, String> {
    let Some(Token::Name(name)) = tokens.first() else { return Ok(None) };
    let mut parser = Parser::new(tokens);
    parser.skip();
    let written = match name.as_str() {
        "if" | "elif" => format!("{name} {}", parser.tuple(true)?),
        "for" => parser.for_loop()?,
        "set" => parser.set()?,
        "with" => parser.with()?,
        "macro" => {
            let name = parser.name()?;
            format!("macro {name}{}", parser.parameters()?)
        }
        "call" => {
            let parameters = if parser.sees("(") { parser.parameters()? } else { String::new() };
            format!("call{parameters} {}", parser.expression()?)
        }
        "filter" => {
            let mut written = format!("filter {}", parser.filter()?);
            while parser.takes("|") {
                written += &format!("|{}", parser.filter()?);
            }
            written
        }
        "autoescape" | "trans" | "do" | "debug" | "include" | "import" | "from" | "extends" => {
            return Err(format!("the tag `{name}` is not supported"));
        }
        _ => return Ok(None),
    };
    parser.end()?;
    Ok(Some(written))
}

impl Parser<'_> {
    /// `(a, b=c)` of a macro.
    fn parameters(&mut self) -> Result<String, String> {
        self.needs("(")?;
        let items = self.separated(")", |parser| {
            let name = parser.name()?;
            match parser.takes("=") {
                true => Ok(format!("{name}={}", parser.expression()?)),
                false => Ok(name),
            }
        })?;
        Ok(format!("({})", items.join(",")))
    }

    /// What is assigned to, up to `end`.
    fn target(&mut self, is_end: impl Fn(&Token) -> bool) -> Result<String, String> {
        let mut written = String::new();
        while let Some(token) = self.peek().filter(|token| !is_end(token)) {
            match token {
                Token::Name(name) => written.push_str(name),
                Token::Operator(part) if ["(", ")", ",", "."].contains(part) => {
                    written.push_str(part);
                }
                _ => return Err(format!("expected a name to assign to, {}", self.found())),
            }
            self.skip();
        }
        match written.is_empty() {
            true => Err(format!("expected a name to assign to, {}", self.found())),
            false => Ok(written),
        }
    }

    fn for_loop(&mut self) -> Result<String, String> {
        let target = self.target(|token| *token == Token::Name("in".to_owned()))?;
        if target == "loop" {
            return Err("`loop` cannot be assigned to".to_owned());
        }
        if !self.takes_name("in") {
            return Err(format!("expected `in`, {}", self.found()));
        }
        let mut written = format!("for {target} in _iter({})", self.tuple(false)?);
        if self.takes_name("if") {
            written += &format!(" if {}", self.expression()?);
        }
        if self.takes_name("recursive") {
            written += " recursive";
        }
        Ok(written)
    }

    /// A value that is assigned, or the text of a block.
    fn set(&mut self) -> Result<String, String> {
        let ends = |token: &Token| matches!(token, Token::Operator("=" | "|"));
        let target = self.target(ends)?;
        // Within macros and call blocks, minijinja knows of the variables around them only those that are read there.
        let parts = target.split(['(', ')', ',']).filter_map(|part| part.split_once('.'));
        let mut written: String =
            parts.map(|(namespace, _)| format!("set _read = {namespace} %}}{{% ")).collect();
        if self.takes("=") {
            return Ok(written + &format!("set {target} = {}", self.tuple(true)?));
        }
        written += &format!("set {target}");
        while self.takes("|") {
            written += &format!("|{}", self.filter()?);
        }
        Ok(written)
    }

    fn with(&mut self) -> Result<String, String> {
        let mut assignments = Vec::new();
        while self.peek().is_some() {
            if !assignments.is_empty() {
                self.needs(",")?;
            }
            let target = self.target(|token| *token == Token::Operator("="))?;
            self.needs("=")?;
            assignments.push(format!("{target} = {}", self.expression()?));
        }
        Ok(format!("with {}", assignments.join(", ")))
    }
}
