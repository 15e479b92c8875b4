//! Expressions of Jinja, written as minijinja computes them.
//!
//! minijinja reads the same grammar but computes with its own values: `7 // -2`, `x ~ [1]`, `l[2:0:-1]` or `d.items`
//! are others than in Python. So operators, slices and attributes become calls of functions (`operators`, `lookup`),
//! with Jinja's precedence. What follows is `jinja2.parser` of Jinja 3.1.

use super::tokens::Token;

/// Expressions in expressions. Each takes some of the stack.
const MAX_DEPTH: usize = 100;

/// Reads the tokens of a tag, and writes them anew.
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

    pub(super) fn sees(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(found)) if *found == operator)
    }

    fn sees_name(&self, name: &str) -> bool {
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

    /// One or several expressions, which are then a tuple. `conditional` allows `a if b else c`.
    pub(super) fn tuple(&mut self, conditional: bool) -> Result<String, String> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ends = self.peek().is_none() || self.sees(")") || self.sees_name("recursive");
            if is_tuple && ends {
                break;
            }
            items.push(if conditional { self.expression()? } else { self.or()? });
            if !self.takes(",") {
                break;
            }
            is_tuple = true;
        }
        match is_tuple {
            true => Ok(format!("_tuple({})", items.join(","))),
            false => Ok(items.remove(0)),
        }
    }

    pub(super) fn expression(&mut self) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("expressions within expressions, more than {MAX_DEPTH}"));
        }
        let mut written = self.or()?;
        while self.takes_name("if") {
            let condition = self.or()?;
            let otherwise = match self.takes_name("else") {
                true => format!(" else {}", self.expression()?),
                false => String::new(),
            };
            written = format!("({written} if {condition}{otherwise})");
        }
        self.depth -= 1;
        Ok(written)
    }

    fn or(&mut self) -> Result<String, String> {
        self.logical("or", Self::and)
    }

    fn and(&mut self) -> Result<String, String> {
        self.logical("and", Self::not)
    }

    fn logical(
        &mut self,
        operator: &str,
        operand: fn(&mut Self) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut operands = vec![operand(self)?];
        while self.takes_name(operator) {
            operands.push(operand(self)?);
        }
        if operands.len() == 1 {
            return Ok(operands.remove(0));
        }
        // Of constants alone minijinja would make `True` or `False`.
        let operands: Vec<String> = operands.iter().map(|one| format!("_same({one})")).collect();
        Ok(format!("({})", operands.join(&format!(" {operator} "))))
    }

    fn not(&mut self) -> Result<String, String> {
        let mut count = 0;
        while self.takes_name("not") {
            count += 1;
        }
        let operand = self.compare()?;
        Ok((0..count).fold(operand, |operand, _| format!("(not {operand})")))
    }

    fn compare(&mut self) -> Result<String, String> {
        let mut arguments = vec![self.sum()?];
        loop {
            let operator = match self.peek() {
                Some(Token::Operator(op)) if ["==", "!=", "<", "<=", ">", ">="].contains(op) => *op,
                Some(Token::Name(name)) if name == "in" => "in",
                Some(Token::Name(name)) if name == "not" => {
                    let next = self.tokens.get(self.at + 1);
                    if !matches!(next, Some(Token::Name(name)) if name == "in") {
                        break;
                    }
                    self.at += 1;
                    "not in"
                }
                _ => break,
            };
            self.at += 1;
            arguments.push(format!("'{operator}'"));
            arguments.push(self.sum()?);
        }
        match arguments.len() {
            1 => Ok(arguments.remove(0)),
            _ => Ok(format!("_compare({})", arguments.join(","))),
        }
    }

    /// Operators of one rank, which are taken from the left.
    fn binary(
        &mut self,
        operators: &[&str],
        operand: fn(&mut Self) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut parts = vec![operand(self)?];
        while let Some(operator) = operators.iter().find(|operator| self.takes(operator)) {
            parts.push(format!("'{operator}'"));
            parts.push(operand(self)?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(format!("_compute({})", parts.join(","))),
        }
    }

    fn sum(&mut self) -> Result<String, String> {
        self.binary(&["+", "-"], Self::concatenation)
    }

    fn concatenation(&mut self) -> Result<String, String> {
        let mut parts = vec![self.product()?];
        while self.takes("~") {
            parts.push(self.product()?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(format!("_concat({})", parts.join(","))),
        }
    }

    fn product(&mut self) -> Result<String, String> {
        self.binary(&["*", "/", "//", "%"], |parser| {
            parser.binary(&["**"], |parser| parser.unary(true))
        })
    }

    fn unary(&mut self, filtered: bool) -> Result<String, String> {
        let mut written = match () {
            () if self.takes("-") => format!("_neg({})", self.nested_unary()?),
            () if self.takes("+") => format!("_pos({})", self.nested_unary()?),
            () => self.primary()?,
        };
        written = self.postfix(written)?;
        if filtered { self.filtered(written) } else { Ok(written) }
    }

    fn nested_unary(&mut self) -> Result<String, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("expressions within expressions, more than {MAX_DEPTH}"));
        }
        let written = self.unary(false);
        self.depth -= 1;
        written
    }

    fn primary(&mut self) -> Result<String, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("expected an expression, found the end of the tag".to_owned());
        };
        self.at += 1;
        match token {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => Ok("true".to_owned()),
                "false" | "False" => Ok("false".to_owned()),
                "none" | "None" => Ok("none".to_owned()),
                // Jinja's own objects, of which minijinja has none.
                "self" | "varargs" | "kwargs" => Err(format!("`{name}` is not supported")),
                "and" | "or" | "if" | "else" | "in" | "is" | "not" => {
                    Err(format!("expected an expression, found `{name}`"))
                }
                _ => Ok(name),
            },
            Token::Text(mut text) => {
                while let Some(Token::Text(next)) = self.peek() {
                    text += next;
                    self.at += 1;
                }
                Ok(quoted(&text))
            }
            Token::Integer(number) => Ok(number.to_string()),
            Token::Float(number) if number.is_finite() => Ok(format!("{number:?}")),
            Token::Float(_) => Ok("_infinity()".to_owned()),
            Token::Operator("(") => {
                if self.takes(")") {
                    return Ok("_tuple()".to_owned());
                }
                let inner = self.nested(|parser| parser.tuple(true))?;
                self.needs(")")?;
                Ok(inner)
            }
            Token::Operator("[") => {
                let items = self.separated("]", |parser| parser.nested(Self::expression))?;
                Ok(format!("[{}]", items.join(",")))
            }
            Token::Operator("{") => {
                let items = self.separated("}", |parser| {
                    let key = parser.nested(Self::expression)?;
                    parser.needs(":")?;
                    Ok(format!("{key},{}", parser.nested(Self::expression)?))
                })?;
                Ok(format!("_dict({})", items.join(",")))
            }
            _ => {
                self.at -= 1;
                Err(format!("expected an expression, {}", self.found()))
            }
        }
    }

    fn nested(
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

    fn postfix(&mut self, mut written: String) -> Result<String, String> {
        loop {
            if self.takes(".") {
                match self.peek() {
                    Some(Token::Integer(index)) => {
                        written = format!("_item({written},{index})");
                        self.at += 1;
                    }
                    _ => {
                        let name = self.name()?;
                        written = match self.sees("(") {
                            // The sandbox of transformers refuses names with an underscore in front.
                            true if !name.starts_with('_') => {
                                // minijinja compares what `loop.changed` is given, without a limit.
                                let around = if name == "changed" { "_counted" } else { "" };
                                format!("{written}.{name}{}", self.arguments_within(around)?)
                            }
                            _ => format!("_attr({written},{})", quoted(&name)),
                        };
                    }
                }
            } else if self.takes("[") {
                written = self.subscript(written)?;
            } else if self.sees("(") {
                written = format!("{written}{}", self.arguments()?);
            } else {
                return Ok(written);
            }
        }
    }

    /// `[index]` or `[start:stop:step]`, behind the bracket.
    fn subscript(&mut self, written: String) -> Result<String, String> {
        let mut parts = vec![String::new()];
        loop {
            if self.takes(":") {
                parts.push(String::new());
            } else if self.takes("]") {
                break;
            } else {
                match parts.last_mut() {
                    Some(part) if part.is_empty() => *part = self.nested(Self::expression)?,
                    _ => return Err(format!("expected `]`, {}", self.found())),
                }
            }
        }
        match parts.as_slice() {
            [index] if index.is_empty() => Err("expected an index, found `]`".to_owned()),
            [index] => Ok(format!("_item({written},{index})")),
            [_, _] | [_, _, _] => {
                parts.resize(3, String::new());
                for part in parts.iter_mut().filter(|part| part.is_empty()) {
                    part.push_str("none");
                }
                Ok(format!("_slice({written},{})", parts.join(",")))
            }
            _ => Err("a slice has more than three parts".to_owned()),
        }
    }

    /// `(a, b, name=c, *d, **e)`.
    pub(super) fn arguments(&mut self) -> Result<String, String> {
        self.arguments_within("")
    }

    /// The same, each of them within a call of the function `around`.
    fn arguments_within(&mut self, around: &str) -> Result<String, String> {
        self.needs("(")?;
        let items = self.separated(")", |parser| {
            let value = |parser: &mut Self| {
                let value = parser.nested(Self::expression)?;
                Ok::<_, String>(match around {
                    "" => value,
                    around => format!("{around}({value})"),
                })
            };
            for star in ["**", "*"] {
                if parser.takes(star) {
                    return Ok(format!("{star}{}", value(parser)?));
                }
            }
            if let (Some(Token::Name(name)), Some(Token::Operator("="))) =
                (parser.peek().cloned(), parser.tokens.get(parser.at + 1))
            {
                parser.at += 2;
                return Ok(format!("{name}={}", value(parser)?));
            }
            value(parser)
        })?;
        Ok(format!("({})", items.join(",")))
    }

    /// Filters, tests and calls behind an operand.
    fn filtered(&mut self, mut written: String) -> Result<String, String> {
        loop {
            if self.sees("|") {
                written.insert(0, '(');
                while self.takes("|") {
                    written += &format!("|{}", self.filter()?);
                }
                written.push(')');
            } else if self.takes_name("is") {
                written = self.test(&written)?;
            } else if self.sees("(") {
                written = format!("{written}{}", self.arguments()?);
            } else {
                return Ok(written);
            }
        }
    }

    pub(super) fn filter(&mut self) -> Result<String, String> {
        let name = self.name()?;
        let arguments = if self.sees("(") { self.arguments()? } else { String::new() };
        Ok(format!("{name}{arguments}"))
    }

    fn test(&mut self, operand: &str) -> Result<String, String> {
        let not = if self.takes_name("not") { "not " } else { "" };
        let name = self.name()?;
        let arguments = match self.peek() {
            Some(Token::Operator("(")) => self.arguments()?,
            Some(Token::Name(name)) if ["else", "or", "and"].contains(&name.as_str()) => {
                String::new()
            }
            Some(Token::Name(name)) if name == "is" => {
                return Err("a test of a test needs brackets".to_owned());
            }
            Some(Token::Name(_) | Token::Text(_) | Token::Integer(_) | Token::Float(_))
            | Some(Token::Operator("[" | "{")) => {
                let argument = self.primary()?;
                format!("({})", self.postfix(argument)?)
            }
            _ => String::new(),
        };
        Ok(format!("({operand} is {not}{name}{arguments})"))
    }
}

/// A string literal that minijinja reads as `text`.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\0'..='\u{1f}' => literal.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => literal.push(letter),
        }
    }
    literal.push('"');
    literal
}
