//! Operands of expressions: names, literals and brackets, with the calls, items, filters and tests behind them.

use super::{parser::Parser, tokens::Token};

impl Parser<'_> {
    pub(super) fn primary(&mut self) -> Result<String, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("expected an expression, found the end of the tag".to_owned());
        };
        self.skip();
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
                    self.skip();
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
            Token::Operator(other) => Err(format!("expected an expression, found `{other}`")),
        }
    }

    pub(super) fn postfix(&mut self, mut written: String) -> Result<String, String> {
        loop {
            if self.takes(".") {
                match self.peek() {
                    Some(Token::Integer(index)) => {
                        written = format!("_item({written},{index})");
                        self.skip();
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
                (parser.peek().cloned(), parser.peek_second())
            {
                parser.skip();
                parser.skip();
                return Ok(format!("{name}={}", value(parser)?));
            }
            value(parser)
        })?;
        Ok(format!("({})", items.join(",")))
    }

    /// Filters, tests and calls behind an operand.
    pub(super) fn filtered(&mut self, mut written: String) -> Result<String, String> {
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
