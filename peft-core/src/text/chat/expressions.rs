//! Expressions of Jinja, written as minijinja computes them.
//!
//! minijinja reads the same grammar but computes with its own values: `7 // -2`, `x ~ [1]`, `l[2:0:-1]` or `d.items`
//! are others than in Python. So operators, slices and attributes become calls of functions (`operators`, `lookup`),
//! with Jinja's precedence. What follows is `jinja2.parser` of Jinja 3.1.

use super::{parser::Parser, tokens::Token};

impl Parser<'_> {
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
        self.nested(Self::conditional)
    }

    fn conditional(&mut self) -> Result<String, String> {
        let mut written = self.or()?;
        while self.takes_name("if") {
            let condition = self.or()?;
            let otherwise = match self.takes_name("else") {
                true => format!(" else {}", self.expression()?),
                false => String::new(),
            };
            written = format!("({written} if {condition}{otherwise})");
        }
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
                    if !matches!(self.peek_second(), Some(Token::Name(name)) if name == "in") {
                        break;
                    }
                    self.skip();
                    "not in"
                }
                _ => break,
            };
            self.skip();
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
            () if self.takes("-") => format!("_neg({})", self.nested_operand()?),
            () if self.takes("+") => format!("_pos({})", self.nested_operand()?),
            () => self.primary()?,
        };
        written = self.postfix(written)?;
        if filtered { self.filtered(written) } else { Ok(written) }
    }

    fn nested_operand(&mut self) -> Result<String, String> {
        self.nested(|parser| parser.unary(false))
    }
}
