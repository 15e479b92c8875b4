//! A chat template that can be rendered.

use std::{fmt, io, ops::Range};

use minijinja::{AutoEscape, Environment, Error as Fault, ErrorKind, Output, State, Value};

use super::{
    clock::Clock,
    filters,
    generation::{MARKS, rewritten, unmarked},
    lookup, mapping,
    memory::{self, MOST_BYTES, TOO_LONG},
    methods, operators, print,
};
use crate::guard::guarded;

/// Instructions that one rendering may take. Long conversations take a few hundred thousand.
const FUEL: u64 = 5_000_000;
/// Macros within macros, and loops within loops.
const MOST_RECURSION: usize = 100;
/// Bytes of a template.
const LONGEST: usize = 1 << 20;

/// The template's name within its environment.
const PLAIN: &str = "plain";
/// Its name with marks around generation blocks.
const MARKED: &str = "marked";

/// A chat template: Jinja, as transformers renders it.
///
/// It runs within limits: a template that loops for ever, calls itself without end or writes without end is refused.
/// It cannot reach files.
pub(super) struct ChatTemplate {
    env: Environment<'static>,
    /// Where it came from, for messages.
    origin: String,
    marks: bool,
    prints_date: bool,
}

/// A rendered conversation.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// What generation blocks wrote, in bytes of the text.
    pub(super) generated: Vec<Range<usize>>,
}

impl ChatTemplate {
    /// Parses a template. `origin` is where it came from, such as a file; `clock` is what it may print.
    ///
    /// # Errors
    /// What is wrong, with the template's line.
    pub(super) fn parse(source: &str, origin: &str, clock: Clock) -> Result<Self, String> {
        if source.len() > LONGEST {
            let length = source.len();
            return Err(format!(
                "{origin}: the chat template has {length} bytes, more than {LONGEST}"
            ));
        }
        // As Jinja reads sources.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let mut env = Environment::new();
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_auto_escape_callback(|_| AutoEscape::None);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(MOST_RECURSION);
        env.set_formatter(write_value);
        env.set_unknown_method_callback(methods::call);
        filters::add_to(&mut env);
        operators::add_to(&mut env);
        lookup::add_to(&mut env);
        env.add_function("raise_exception", filters::raise_exception);
        env.add_function("strftime_now", move |format: String| {
            clock
                .format(&format)
                .map_err(|message| Fault::new(ErrorKind::InvalidOperation, message))
        });
        env.add_function(
            "_generation",
            |state: &State<'_, '_>, kwargs: minijinja::value::Kwargs| said(state, &kwargs),
        );
        env.add_function("_marked", |state: &State<'_, '_>, kwargs: minijinja::value::Kwargs| {
            let [open, close] = MARKS;
            said(state, &kwargs).map(|said| format!("{open}{said}{close}"))
        });
        let prints_date = source.contains("strftime_now");
        let mut template = Self { env, origin: origin.to_owned(), marks: false, prints_date };
        for (name, function) in [(PLAIN, "_generation"), (MARKED, "_marked")] {
            let (source, marks) = rewritten(&source, function).map_err(|(line, message)| {
                format!("{origin}, chat template, line {line}: {message}")
            })?;
            template.marks = marks;
            let added = guarded(|| template.env.add_template_owned(name, source), panicked);
            added.map_err(|fault| template.told(&fault))?;
        }
        Ok(template)
    }

    /// Whether it has generation blocks, which say what the assistant wrote.
    pub(super) fn marks(&self) -> bool {
        self.marks
    }

    /// Whether it prints the date.
    pub(super) fn prints_date(&self) -> bool {
        self.prints_date
    }

    /// Renders with these variables.
    ///
    /// # Errors
    /// What is wrong, with the template's line.
    pub(super) fn render(&self, variables: Vec<(String, Value)>) -> Result<Rendered, String> {
        let variables = mapping::dict(variables);
        let text = self.render_named(PLAIN, &variables)?;
        if !self.marks {
            return Ok(Rendered { text, generated: Vec::new() });
        }
        let marked = self.render_named(MARKED, &variables)?;
        // A filter around a block may cut or change it, marks included, or keep it for later.
        match unmarked(&marked) {
            Some((same, generated)) if same == text => Ok(Rendered { text, generated }),
            _ => Err(format!(
                "{}: the chat template changes what its generation blocks wrote, so that the assistant's part cannot \
                 be found",
                self.origin
            )),
        }
    }

    fn render_named(&self, name: &str, variables: &Value) -> Result<String, String> {
        memory::begin();
        let mut out = Bounded(Vec::new());
        let render = || {
            let template = self.env.get_template(name)?;
            template.render_captured_to(variables, &mut out).map(drop)
        };
        guarded(render, panicked).map_err(|fault| self.told(&fault))?;
        if let Some(why) = memory::exceeded() {
            return Err(format!("{}, chat template: {why}", self.origin));
        }
        if let Some(what) = memory::unprintable() {
            return Err(format!("{}: the chat template prints {what}", self.origin));
        }
        // Texts alone are written to it.
        String::from_utf8(out.0).map_err(|error| format!("{}: {error}", self.origin))
    }

    /// A fault in words: where, and what.
    fn told(&self, fault: &Fault) -> String {
        // The innermost fault is the one that a reader of the template looks for.
        let mut inner = fault;
        while let Some(next) =
            std::error::Error::source(inner).and_then(|source| source.downcast_ref::<Fault>())
        {
            inner = next;
        }
        let line =
            inner.line().or(fault.line()).map_or_else(String::new, |line| format!(", line {line}"));
        let what = match (inner.kind(), inner.detail()) {
            (ErrorKind::OutOfFuel, _) => {
                format!("it is not done after {FUEL} steps; does it loop for ever?")
            }
            (ErrorKind::WriteFailure, _) => TOO_LONG.to_owned(),
            (ErrorKind::UndefinedError, _) => {
                "it reads a field of a value that is not there".to_owned()
            }
            (_, Some(detail)) => detail.to_owned(),
            (kind, None) => kind.to_string(),
        };
        format!("{}, chat template{line}: {what}", self.origin)
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The fault where minijinja panics.
fn panicked() -> Fault {
    Fault::new(ErrorKind::InvalidOperation, "it cannot be computed")
}

/// Writes a value as Python does.
fn write_value(out: &mut Output<'_>, _: &State<'_, '_>, value: &Value) -> Result<(), Fault> {
    let written = match value.as_str() {
        Some(text) => {
            memory::write(text.len())?;
            out.write_str(text)
        }
        None => {
            let text = print::text(value);
            memory::write(text.len())?;
            out.write_str(&text)
        }
    };
    written.map_err(|_| Fault::new(ErrorKind::WriteFailure, TOO_LONG))
}

/// What the body of a generation block writes.
fn said(state: &State<'_, '_>, kwargs: &minijinja::value::Kwargs) -> Result<String, Fault> {
    let caller: Value = kwargs.get("caller")?;
    caller.call(state, &[]).map(|body| print::text(&body))
}

/// A text of bounded length.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_BYTES {
            return Err(io::Error::other(TOO_LONG));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::text::ordered::Ordered;

    fn render(source: &str, variables: &str) -> Result<String, String> {
        let template = ChatTemplate::parse(source, "model", Clock::parse("2024-07-26").unwrap())?;
        let Ordered::Object(fields) = serde_json::from_str(variables).unwrap() else {
            panic!("an object")
        };
        let variables = fields.iter().map(|(key, value)| (key.clone(), value.into())).collect();
        template.render(variables).map(|rendered| rendered.text)
    }

    #[test]
    fn faults_name_the_line() {
        for (source, expected) in [
            ("a\n{{ m.x.y }}", "model, chat template, line 2: it reads a field of a value that"),
            (
                "{{ raise_exception('no ' ~ 'system') }}",
                "line 1: the template refuses it: no system",
            ),
            ("\n\n{% if %}", "line 3: "),
            ("{% include 'x' %}", "line 1: "),
            ("{% extends '/etc/passwd' %}", "line 1: "),
            (
                "{% for i in range(9) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
                "after 5000000 steps",
            ),
            ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion limit exceeded"),
            (
                "{% set ns = namespace(x='0123456789') %}{% for i in range(99) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
                "more than 16 MB",
            ),
            ("{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}", "more than 16 MB"),
            ("{{ strftime_now('%Q') }}", "`%Q` is not known"),
            ("{{ m|nosuch }}", "unknown"),
            ("{{ [1].append(2) }}", "no method named append"),
            ("{{ range(10**9) }}", "range"),
            ("{{ d.items }}", "a field of a value that is not there"),
            ("{{ m.items }}", "prints a method that is not called"),
            (
                "{% set ns = namespace(x='0123456789') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
                "more than 16 MB",
            ),
            (
                "{% set ns = namespace(x=['0123456789'] * 99) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
                "more than 256 MB",
            ),
            ("DOUBLED{{ ns.x }}", "more than 16 MB"),
            ("DOUBLED{% set y = ns.x %}DOUBLED{{ ns.x == y }}", "values more than"),
            ("DOUBLED{% set y = ns.x %}DOUBLED{{ ns.x < y }}", "values more than"),
            ("DOUBLED{% set y = ns.x %}DOUBLED{{ [y, ns.x] | unique | list }}", "no key"),
            (
                "{% set ns = namespace(x=(1,)) %}{% for i in range(40) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
                "values more than",
            ),
            (
                "DOUBLED{% for i in [1, 2] %}{{ loop.changed(ns.x) }}{% endfor %}",
                "values more than",
            ),
            ("{{ range(50000) | unique | list | length }}", "values more than"),
            (
                "{% set ns = namespace(x=[], y=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
                "nested too deeply",
            ),
            ("DOUBLED{{ ns.x | tojson }}", "more than 16 MB"),
            ("DOUBLED{{ (ns.x | string) | length }}", "a value of more than 16 MB of text"),
            (
                "{% set ns = namespace(x='&' * 300000) %}{% for i in range(9999) %}{% set ns.x = ns.x | forceescape %}{% endfor %}",
                "more than 16 MB",
            ),
            ("{% set x = 'a' * 9999999 %}{{ (x | replace('a', x)) | length }}", "more than 16 MB"),
            ("{% set x = 'a' * 9999 %}{{ x.join(x) | length }}", "more than 256 MB"),
            (
                "{% set x = 'a' * 9999999 %}{% for i in range(99) %}{% set y = x.upper() %}{% endfor %}",
                "more than 256 MB",
            ),
            ("{{ u|tojson }}", "tojson: found a value of type undefined"),
        ] {
            // A list that holds another twice, which holds another twice, and so on.
            let doubled = "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
            let source = source.replace("DOUBLED", doubled);
            let error = render(&source, "{\"m\": {}}").unwrap_err();
            assert!(error.contains(expected), "{source}: {error}");
        }
        let long = "a".repeat(LONGEST + 1);
        assert!(ChatTemplate::parse(&long, "m", Clock::now()).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_block_that_a_filter_changes_is_refused() {
        let blocks = "{% filter trim %}{% generation %} a {% endgeneration %}{% endfilter %}";
        assert!(render(blocks, "{}").unwrap_err().contains("changes what its generation blocks"));
    }
}
